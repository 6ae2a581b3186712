"""Lines of the journal that no transaction has committed, and a backup that is put back."""

from __future__ import annotations

from crm import consent, customers, mail
from crm.journal import Ending, Journal, Left, Restricted
from crm.mail import Scope, Why
from crm.restore import jobs
from crm.restore_command import _say_done
from crm.terminal import out
from tests import make
from tests.conftest import KEYS, Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import backed_up, execute, put_back, replayed


async def test_a_press_that_others_were_written_behind_outlives_a_restore(
    own_cluster: Cluster, journal: Journal
) -> None:
    """Pressed while nothing was served, and not swept when the backup was made: it is done."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            notice = await make.notice(db, (await make.purpose(db)).id)
            left, first, second = await make.audience(db, notice, 3)
        pressed = Left(KEYS.address_hash(business.id, "reader0@example.com").hex(), None, "portal")
        journal.log(business.id).write(None, database.clock(), [pressed])
        async with database.write(business.id) as db:
            await customers.restrict(db, make.SYSTEM, first)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database, database.write(business.id) as db:
            await customers.restrict(db, make.SYSTEM, second)
        async with put_back(backup, journal) as (database, watch):
            assert await watch.stops()
            await replayed(backup, watch.keeper, business.id)
            assert not (await watch.look()).put_back
            await jobs.sweep({"database": database, "watch": watch})
            async with database.read(business.id) as db:
                state = await consent.state(db, left, notice.purpose_id)
            assert state is not None
            assert state.status == "withdrawn"
            assert journal.log(business.id).tail().open == {}


async def test_a_line_that_cannot_be_carried_out_keeps_no_restore_from_ending(
    own_cluster: Cluster, journal: Journal
) -> None:
    """It is told, and stays open with all that it says; one that was set aside rests."""
    wrong = Left("00", 7, "no such way")
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            first, second = await make.customer(db), await make.customer(db)
    log = journal.log(business.id)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            aside = log.write(None, database.clock(), [wrong])
            log.settle([aside], Ending.set_aside)
            async with database.write(business.id) as db:
                await customers.restrict(db, make.SYSTEM, first.id)
                db.note(wrong)
            failed = log.tail().last
            async with database.write(business.id) as db:
                await customers.restrict(db, make.SYSTEM, second.id)
        async with put_back(backup, journal) as (database, watch):
            assert await watch.stops()
            done = await replayed(backup, watch.keeper, business.id)
            assert done.failed == [aside, failed]
            with out.capture() as said:
                _say_done(done)
            assert f"Line {failed} of the journal could not be carried out" in said.get()
            assert not (await watch.look()).put_back
            # As another process reads it.
            tail = Journal(make.place_of(journal)).log(business.id).tail()
            assert [wrong in line.entries for line in tail.open.values()] == [True]
            assert list(tail.open) == [failed]
            async with database.read(business.id) as db:
                assert (await customers.get(db, first.id)).restricted_at is None
                assert (await customers.get(db, second.id)).restricted_at is not None
            await jobs.sweep({"database": database, "watch": watch})
            async with database.read(business.id) as db:
                assert (await customers.get(db, first.id)).restricted_at is not None
            log.settle([failed], Ending.set_aside)
            assert log.tail().open == {}


async def test_a_line_that_a_trigger_refuses_is_one_that_cannot_be_carried_out(
    own_cluster: Cluster, journal: Journal
) -> None:
    """As our own triggers do, that keep a promise: what comes behind it is done."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            her = await make.customer(db)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            async with database.write(business.id) as db:
                await mail.suppress(db, make.SYSTEM, b"n" * 16, Scope.all, Why.bounced)
            async with database.write(business.id) as db:
                await customers.restrict(db, make.SYSTEM, her.id)
        await execute(
            backup,
            """CREATE FUNCTION crm.no() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE 'no' USING ERRCODE = 'insufficient_privilege'; END $$;
               CREATE TRIGGER no BEFORE INSERT ON crm.suppression
               FOR EACH ROW EXECUTE FUNCTION crm.no()""",
        )
        async with put_back(backup, journal) as (database, watch):
            done = await replayed(backup, watch.keeper, business.id)
            assert done.failed == [1]
            assert list(journal.log(business.id).tail().open) == [1]
            assert not (await watch.look()).put_back
            async with database.read(business.id) as db:
                assert (await customers.get(db, her.id)).restricted_at is not None


async def test_what_postgresql_refused_to_commit_is_never_replayed(
    own_cluster: Cluster, journal: Journal
) -> None:
    """Whoever asked for the end of a freeze was told no; what was owed before is done."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            frozen, owed, other = [await make.customer(db) for _ in range(3)]
            await customers.restrict(db, make.SYSTEM, frozen.id)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            log = journal.log(business.id)
            both = [Restricted(owed.id, frozen=True), Restricted(frozen.id, frozen=False)]
            for owing, entries in enumerate((both[1:], both)):
                refused = log.write(None, database.clock(), entries, owed=owing)
                log.settle([refused], Ending.refused)
            async with database.write(business.id) as db:
                await customers.restrict(db, make.SYSTEM, other.id)
        async with put_back(backup, journal) as (database, watch):
            assert await watch.stops()
            done = await replayed(backup, watch.keeper, business.id)
            assert (done.failed, done.lost.lines, done.lost.entries) == ([], 3, {"restricted": 2})
            async with database.read(business.id) as db:
                for each in (frozen, owed, other):
                    assert (await customers.get(db, each.id)).restricted_at is not None


async def test_what_was_swept_before_is_open_where_a_restore_cannot_do_it(
    own_cluster: Cluster, journal: Journal
) -> None:
    """What the sweep had done is gone with the database that was lost."""
    wrong = Left("00", 7, "no such way")
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            her = await make.customer(db)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            log = journal.log(business.id)
            swept = log.write(None, database.clock(), [wrong])
            log.settle([swept], Ending.carried_out)
            async with database.write(business.id) as db:
                await customers.restrict(db, make.SYSTEM, her.id)
        async with put_back(backup, journal) as (_, watch):
            assert (await replayed(backup, watch.keeper, business.id)).failed == [swept]
            assert list(log.tail().open) == [swept]
            assert not (await watch.look()).put_back
