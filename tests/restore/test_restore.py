"""A database from a backup serves and sends nothing until it has what was promised since."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import asyncpg
import msgspec
import pytest

from crm import above, campaigns, consent, customers, ledger, mail, restore
from crm.above import DueCampaign
from crm.app import application, served, state_of
from crm.campaigns import State
from crm.consent import Method, OptOutStands
from crm.db import Database, open_database
from crm.events import Actor
from crm.journal import Ending, Journal, Left, PutBack, Watch
from crm.journal import jobs as journal_jobs
from crm.mail import Scope
from crm.restore import jobs
from crm.settings import Settings
from crm.tokens import Stop, stop_token
from crm.wakes import open_pool
from tests import make
from tests.browser import Browser
from tests.conftest import KEYS, Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import (
    LEFT,
    READERS,
    Story,
    backed_up,
    execute,
    name_of,
    places_of,
    put_back,
    replayed,
    restored,
)

THOUSAND = 1000


async def _restore(told: Story, watch: Watch) -> restore.Restored:
    return await replayed(told.cluster, watch.keeper, told.business.id)


async def status(database: Database, told: Story, customer_id: UUID) -> str:
    """Return where a customer stands, or nothing."""
    async with database.read(told.business.id) as db:
        state = await consent.state(db, customer_id, told.purpose_id)
    return state.status if state else ""


async def test_it_is_noticed(story: Story, own_cluster: Cluster) -> None:
    async with restored(story) as (database, watch):
        assert await watch.stops()
        assert watch.found is not None
        assert watch.found.put_back == (story.business.id,)
        # Whoever has not looked yet cannot write either.
        with pytest.raises(PutBack):
            async with database.write(story.business.id) as db:
                await customers.restrict(db, make.SYSTEM, story.readers[-1])
    # The database that was not put back goes on.
    async with restored(msgspec.structs.replace(story, cluster=own_cluster)) as (_, watch):
        assert not await watch.stops()


async def test_it_is_noticed_while_running(story: Story, own_cluster: Cluster) -> None:
    """Connections are lost when a database is put back; the first new one is looked at."""
    name = name_of(own_cluster)
    async with restored(msgspec.structs.replace(story, cluster=own_cluster)) as (database, watch):
        assert not await watch.stops()
        postgres = own_cluster.named("postgres")
        await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")
        await execute(postgres, f"CREATE DATABASE {name} TEMPLATE {name}_backup OWNER crm_owner")
        # Those of before are dead, or closed by now.
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await above.businesses(database)
        assert await watch.stops()


async def test_everything_is_as_it_was_said_to_be(story: Story) -> None:
    async with restored(story) as (database, watch):
        done = await _restore(story, watch)
        assert not (await watch.look()).put_back
        assert not await watch.stops()
        for customer_id in story.left:
            assert await status(database, story, customer_id) == "withdrawn"
        assert await status(database, story, story.readers[-1]) == "given"
        async with database.read(story.business.id) as db:
            for fingerprint, scope in (
                (story.silenced, Scope.all),
                (story.newcomer, Scope.marketing),
                (KEYS.address_hash(db.business_id, story.nora.address.lower()), Scope.marketing),
            ):
                kept = await mail.suppressed(db, fingerprint)
                assert kept is not None
                assert kept.scope == scope
            frozen = await customers.get(db, story.readers[LEFT])
            assert frozen.restricted_at is not None
        # What was said once more says where it comes from.
        async with database.read(story.business.id) as db:
            newest = (await consent.history(db, story.left[0]))[0]
        assert newest.method is Method.one_click
        assert newest.evidence == {"source": "journal"}
        assert done.stopped == restore.Stopped(letters=1)
        assert done.lost.entries["withdrawn"] == LEFT + 1
        assert done.origin.endswith("/ledger/2")
        # And goes on: nothing is lost once more.
        async with database.write(story.business.id) as db:
            await customers.restrict(db, make.SYSTEM, story.readers[-2])
        await ledger.seal(database, story.business.id, story.journal, most=1000)
        assert not (await watch.look()).put_back


async def test_a_thousand_withdrawals_since(own_cluster: Cluster, journal: Journal) -> None:
    """Most in a list of opt-outs, a hundred one by one, several at once."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            notice = await make.notice(db, (await make.purpose(db)).id)
            readers = await make.audience(db, notice, THOUSAND + 1)
            cited = (await consent.version(db, notice.purpose_id, notice.purpose_version)).cited
    *leave, stays = readers

    async def one(customer_id: UUID) -> None:
        async with database.write(business.id) as db:
            by = Actor.customer(customer_id)
            await consent.withdraw(db, by, customer_id, cited.purpose_id, method=Method.one_click)

    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            async with database.write(business.id) as db:
                ended = [
                    consent.NewEvent(
                        customer_id=each,
                        purpose=cited,
                        status=consent.Status.withdrawn,
                        method=Method.imported,
                        at=db.now,
                    )
                    for each in leave[100:]
                ]
                states = await consent.states_for(db, cited.purpose_id, leave[100:])
                await consent.append_many(
                    db, make.SYSTEM, [(each, states[each.customer_id]) for each in ended]
                )
            for start in range(0, 100, 4):
                await asyncio.gather(*map(one, leave[start : start + 4]))
        async with put_back(backup, journal) as (database, watch):
            assert await watch.stops()
            done = await replayed(backup, watch.keeper, business.id)
            assert done.lost.entries["withdrawn"] == 101
            async with database.read(business.id) as read:
                found = await consent.states_for(read, cited.purpose_id, readers)
            gone = [each for each, state in found.items() if state.status == "withdrawn"]
            assert sorted(gone) == sorted(leave)
            assert found[stays].status == "given"


async def test_an_erased_customer_is_nowhere(story: Story, redis_url: str) -> None:
    async with restored(story) as (_, watch):
        assert await places_of(story.cluster, story.journal, redis_url, "marked")
        await _restore(story, watch)
        assert not await places_of(story.cluster, story.journal, redis_url, "marked")


async def test_campaigns_are_held_and_nobody_is_mailed_twice(story: Story) -> None:
    async with restored(story) as (database, watch):
        done = await _restore(story, watch)
        held = {each.id: each for each in done.held}
        assert {each: held[each].state for each in held} == {
            story.sending: State.sending,
            story.starting: State.starting,
            story.paused: State.paused,
            story.scheduled: State.scheduled,
            story.draft: State.draft,
        }
        async with database.read(story.business.id) as db:
            for each, state in (
                (story.sending, State.paused),
                (story.starting, State.paused),
                (story.paused, State.paused),
                (story.scheduled, State.held),
                (story.draft, State.held),
            ):
                assert (await campaigns.get(db, each)).state is state
            for each in (story.sending, story.starting, story.paused):
                counts, rows = await campaigns.counts(db, each), await campaigns.recount(db, each)
                assert counts.audience == READERS
                assert (counts.waiting, counts.sending, counts.sent) == (0, 0, 0)
                # Who has left since is left out; of all the others nobody knows.
                assert (counts.excluded, counts.uncertain) == (LEFT + 1, READERS - LEFT - 1)
                assert rows == counts
        assert await above.leases_due(database) == []
        assert await above.campaigns_to_start(database) == []
        assert await above.businesses_with_letters(database) == []
        # Staff go on with it: nothing is left to send, so it ends.
        async with database.write(story.business.id) as db:
            await campaigns.resume(db, make.SYSTEM, story.sending)
            assert (await campaigns.counts(db, story.sending)).waiting == 0
        over = DueCampaign(story.business.id, story.sending)
        assert await above.campaigns_over(database) == [over]


async def test_it_may_be_stopped_anywhere_and_run_again(story: Story) -> None:
    async with restored(story) as (database, watch):
        steps = 0

        def kill(_: int) -> None:
            raise InterruptedError

        async with open_database(story.cluster.app_url, KEYS, size=2) as plain:
            for watcher in (kill, lambda _: None):
                try:
                    await restore.restore(plain, watch.keeper, story.business.id, watch=watcher)
                except InterruptedError:
                    steps += 1
                    assert (await watch.look()).put_back
            assert steps == 1
            again = await restore.lost(plain, watch.keeper, story.business.id)
            assert again.lines == 0
        async with database.read(story.business.id) as db:
            said = await consent.history(db, story.left[0])
            assert [each.status for each in said] == ["withdrawn", "given"]
        assert not (await watch.look()).put_back


@pytest.fixture
def settings(story: Story, redis_url: str) -> Settings:
    return Settings(
        database_url=story.cluster.app_url,
        redis_url=redis_url,
        link_keys="1:" + "31" * 32,
        storage_keys="1:" + "73" * 32,
        pepper="70" * 32,
        journal=str(make.place_of(story.journal)),
    )


@asynccontextmanager
async def _browsing(
    told: Story, settings: Settings, database: Database, watch: Watch
) -> AsyncIterator[Browser]:
    """Open a browser on a web process around a database that was put back."""
    redis = open_pool(settings.redis_url)
    state = state_of(settings, database, database, redis)
    state["watch"] = watch
    async with Browser(served(application(settings, state)), told.business.origin) as browser:
        yield browser
    await redis.aclose()


async def test_nothing_is_served_and_one_click_is_kept(story: Story, settings: Settings) -> None:
    fingerprint = KEYS.address_hash(story.business.id, "reader50@example.com")
    leaving = f"/u/{stop_token(KEYS, Stop(story.business.id, fingerprint, None))}"
    async with restored(story) as (database, watch):
        async with _browsing(story, settings, database, watch) as browser:
            for path in ("/sign-up", "/", "/me", "/staff/campaigns", leaving.replace("/u/", "/p/")):
                answer = await browser.get(path)
                assert answer.status_code == 503, path
                assert "put back to an earlier state" in answer.text
                assert answer.headers["retry-after"] == "60"
            problem = await browser.get("/v1/customers")
            assert (problem.status_code, problem.json()["code"]) == (503, "put_back")
            health = await browser.get("/health")
            assert health.status_code == 503
            assert "crm restore" in health.json()["checks"]["restored"]
            page = await browser.get(leaving)
            assert page.status_code == 200
            assert "reader50" not in page.text
            click = await browser.post(leaving, data={"List-Unsubscribe": "One-Click"})
            assert (click.status_code, click.text) == (200, "You get no more of these mails.\n")
            last = list(story.journal.log(story.business.id).tail().open.values())[-1]
            assert last.entries == [Left(fingerprint.hex(), None, "one_click")]
            reader = story.readers[50]
            assert await status(database, story, reader) == "given"
            await _restore(story, watch)
            assert await status(database, story, reader) == "withdrawn"
            await watch.look()
            assert (await browser.get("/sign-up")).status_code == 200
        # Another process, which has not answered this a moment ago.
        async with _browsing(story, settings, database, watch) as browser:
            assert (await browser.get("/health")).json()["checks"]["restored"] == "ok"


async def test_one_click_that_cannot_be_kept_is_not_said_to_be(
    story: Story, settings: Settings
) -> None:
    fingerprint = KEYS.address_hash(story.business.id, "reader50@example.com")
    leaving = f"/u/{stop_token(KEYS, Stop(story.business.id, fingerprint, None))}"
    async with restored(story) as (database, watch):
        place = make.place_of(story.journal)
        place.rename(place.with_name("elsewhere"))
        place.write_text("")
        async with _browsing(story, settings, database, watch) as browser:
            click = await browser.post(leaving, data={"List-Unsubscribe": "One-Click"})
            assert click.status_code == 503
        place.unlink()
        place.with_name("elsewhere").rename(place)


async def test_a_press_during_the_last_step_is_carried_out_after_it(story: Story) -> None:
    async with restored(story) as (database, watch):
        await _restore(story, watch)
        fingerprint = KEYS.address_hash(story.business.id, "reader51@example.com")
        left = Left(fingerprint.hex(), None, "one_click")
        await watch.keeper.note_alone(story.business.id, left, database.clock())
        await jobs.sweep({"database": database, "watch": watch})
        assert await status(database, story, story.readers[51]) == "withdrawn"
        assert story.journal.log(story.business.id).tail().open == {}


async def test_an_old_list_does_not_bring_her_back(story: Story) -> None:
    """Who came and left after the backup is unknown here, and still not mailed."""
    async with restored(story) as (database, watch):
        await _restore(story, watch)
        async with database.write(story.business.id) as db:
            late = await make.customer(db, address="late@example.com")
            notice = (await consent.current_notices(db, "en"))[story.purpose_id]
            with pytest.raises((consent.Silenced, OptOutStands)):
                await consent.give(db, make.SYSTEM, late.id, notice.question, make.ELSEWHERE)


async def test_a_transaction_that_died_at_its_commit_is_no_restore(
    own_cluster: Cluster, story: Story
) -> None:
    """Killed between the journal and the commit: nothing stops, and what was wanted is done."""
    told = msgspec.structs.replace(story, cluster=own_cluster)
    async with restored(told) as (database, watch):
        customer_id = told.readers[40]
        dying = database.write(told.business.id)
        db = await dying.begin()
        by = make.SYSTEM
        await consent.withdraw(db, by, customer_id, told.purpose_id, method=Method.portal)
        assert database.keep is not None
        await database.keep(db)
        await dying.roll_back()
        assert await status(database, told, customer_id) == "given"
        assert len(told.journal.log(told.business.id).tail().open) == 1
        assert watch.found == await watch.look()
        assert not await watch.stops()
        # The next one goes on with the next number, and the job does what was wanted.
        async with database.write(told.business.id) as db:
            await mail.suppress(db, by, b"n" * 16, Scope.all, mail.Why.bounced)
        await jobs.sweep({"database": database, "watch": watch})
        assert await status(database, told, customer_id) == "withdrawn"
        assert told.journal.log(told.business.id).tail().open == {}
        assert not (await watch.look()).put_back
        await journal_jobs.beat({"database": database})


async def test_what_postgresql_refused_at_the_commit_is_given_up(
    own_cluster: Cluster, story: Story
) -> None:
    """Whoever was told no is not heard of again."""
    told = msgspec.structs.replace(story, cluster=own_cluster)
    async with restored(told) as (database, _):
        await execute(
            own_cluster,
            """CREATE FUNCTION crm.no() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION 'no'; END $$;
               CREATE CONSTRAINT TRIGGER no AFTER INSERT ON crm.suppression
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crm.no()""",
        )
        with pytest.raises(asyncpg.RaiseError):
            async with database.write(told.business.id) as db:
                await mail.suppress(db, make.SYSTEM, b"n" * 16, Scope.all, mail.Why.bounced)
        log = told.journal.log(told.business.id)
        assert log.tail().open == {}
        assert log.settled(0) == {log.tail().last: Ending.refused}
