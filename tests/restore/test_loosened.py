"""The end of a freeze, or a member let in again, of which nobody knows whether it was committed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from crm import customers, staff
from crm.businesses import Business
from crm.db import Database, Db, ReadDb
from crm.journal import (
    Ending,
    Entry,
    Journal,
    Keeper,
    Left,
    Readmitted,
    Replayed,
    Restricted,
    Revoked,
)
from crm.restore import jobs, settle
from crm.restore.replaying import replay
from tests import make
from tests.conftest import Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import backed_up, execute, put_back, replayed

HOUR = timedelta(hours=1)


async def _frozen(db: ReadDb, customer_id: UUID) -> bool:
    return (await customers.get(db, customer_id)).restricted_at is not None


async def _shut_out(db: ReadDb, member_id: UUID) -> bool:
    (found,) = [each for each in await staff.members(db) if each.id == member_id]
    return found.disabled_at is not None


async def _both(db: Db) -> tuple[UUID, UUID]:
    await make.owner(db)
    return (await make.customer(db)).id, (await make.owner(db)).id


async def test_a_sweep_does_not_undo_what_was_decided_since(
    database: Database, business: Business, journal: Journal
) -> None:
    async with database.write(business.id) as db:
        her, member = await _both(db)
        log = journal.log(business.id)
        log.write(None, db.now - HOUR, [Restricted(her, frozen=False), Readmitted(member)])
        await customers.restrict(db, make.SYSTEM, her)
        await staff.disable(db, make.SYSTEM, member)
    assert await settle(database, Keeper(journal), business.id) == 1
    assert log.tail().open == {}
    async with database.read(business.id) as db:
        assert await _frozen(db, her)
        assert await _shut_out(db, member)


async def test_what_shuts_out_is_carried_out(
    database: Database, business: Business, journal: Journal
) -> None:
    async with database.write(business.id) as db:
        her, member = await _both(db)
        entries: list[Entry] = [Restricted(her, frozen=True), Revoked("member", member)]
        journal.log(business.id).write(None, db.now - HOUR, entries)
    assert await settle(database, Keeper(journal), business.id) == 1
    async with database.read(business.id) as db:
        assert await _frozen(db, her)
        assert await _shut_out(db, member)


@pytest.mark.parametrize("ended", [True, False])
async def test_a_restore_replays_both_in_their_order(
    database: Database, business: Business, *, ended: bool
) -> None:
    async with database.write(business.id) as db:
        her, member = await _both(db)
        shut: list[Entry] = [Restricted(her, frozen=True), Revoked("member", member)]
        opens: list[Entry] = [Restricted(her, frozen=False), Readmitted(member)]
        for entry in (*shut, *opens) if ended else (*opens, *shut):
            await replay(db, entry, db.now)
        assert await _frozen(db, her) is not ended
        assert await _shut_out(db, member) is not ended


async def test_what_a_restore_left_is_not_passed_over(
    database: Database, business: Business, journal: Journal
) -> None:
    """It may have been committed: the rest of its line is done once, and it waits for a person."""
    async with database.write(business.id) as db:
        her, member = await _both(db)
        other = (await make.customer(db, address="other@example.com")).id
        await customers.restrict(db, make.SYSTEM, her)
        await staff.disable(db, make.SYSTEM, member)
        log = journal.log(business.id)
        both: list[Entry] = [Restricted(other, frozen=True), Restricted(her, frozen=False)]
        log.write(None, db.now - HOUR, both, owed=1)
        log.write(None, db.now - HOUR, [Readmitted(member)])
        log.committed(log.write(None, db.now, [Replayed(upto=2, left=list(log.since(0)))]))
    keeper = Keeper(journal)
    assert await settle(database, keeper, business.id) == 1
    async with database.write(business.id) as db:
        assert await _frozen(db, her)
        assert await _shut_out(db, member)
        assert await _frozen(db, other)
        await customers.unrestrict(db, make.SYSTEM, other)
    assert await settle(database, keeper, business.id) == 0
    async with database.read(business.id) as read:
        assert not await _frozen(read, other)
    # As another process reads it.
    found = Journal(make.place_of(journal)).log(business.id).tail().open
    assert {n: line.entries for n, line in found.items()} == {1: both[1:], 2: [Readmitted(member)]}
    log.settle([1, 2], Ending.set_aside)
    assert log.tail().open == {}


async def test_an_end_that_a_trigger_refuses_at_a_restore_outlives_the_sweep(
    own_cluster: Cluster, journal: Journal
) -> None:
    """It was committed for certain: the operator is told to look, and finds it."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            her = (await make.customer(db)).id
            await customers.restrict(db, make.SYSTEM, her)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database, database.write(business.id) as db:
            await customers.unrestrict(db, make.SYSTEM, her)
        await execute(
            backup,
            """CREATE FUNCTION crm.no() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE 'no' USING ERRCODE = 'insufficient_privilege'; END $$;
               CREATE TRIGGER no BEFORE UPDATE ON crm.customer
               FOR EACH ROW EXECUTE FUNCTION crm.no()""",
        )
        async with put_back(backup, journal) as (database, watch):
            done = await replayed(backup, watch.keeper, business.id)
            (number,) = done.failed
            await execute(backup, "DROP TRIGGER no ON crm.customer")
            await jobs.sweep({"database": database, "watch": watch})
            log = journal.log(business.id)
            assert list(log.tail().open) == [number]
            assert number not in log.settled(0)


async def test_what_a_sweep_passed_over_is_not_replayed_by_a_restore(
    own_cluster: Cluster, journal: Journal
) -> None:
    """Nobody had committed it: what shuts out in its line is done, also where that is left open."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            her, member = await _both(db)
            other = (await make.customer(db, address="other@example.com")).id
            await customers.restrict(db, make.SYSTEM, her)
            await staff.disable(db, make.SYSTEM, member)
    log = journal.log(business.id)
    shuts: list[Entry] = [Restricted(other, frozen=True)]
    opens: list[Entry] = [Restricted(her, frozen=False), Readmitted(member)]
    wrong: list[Entry] = [Left("00", 7, "no such way")]
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            swept = log.write(None, database.clock(), shuts + opens)
            assert await settle(database, Keeper(journal), business.id) == 1
            left = log.write(None, database.clock(), opens[:1] + wrong + opens[1:], owed=1)
            log.settle([left], Ending.passed_over)
            async with database.write(business.id) as db:
                await customers.unrestrict(db, make.SYSTEM, other)
                await customers.restrict(db, make.SYSTEM, other)
        assert log.settled(0) == dict.fromkeys((swept, left), Ending.passed_over)
        async with put_back(backup, journal) as (database, watch):
            assert await watch.stops()
            assert (await replayed(backup, watch.keeper, business.id)).failed == [left]
            async with database.read(business.id) as read:
                assert await _frozen(read, her)
                assert await _shut_out(read, member)
                assert await _frozen(read, other)
            assert log.tail().open[left].entries == opens[:1] + wrong
