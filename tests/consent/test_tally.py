"""How many consents there are of each state is known at once, and put together by a job."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg

from crm import consent
from crm.businesses import Business
from crm.consent import Method, Notice, Status, jobs, tally
from crm.db import Database, Db, ReadDb
from crm.events import Actor
from tests.consent.conftest import add_customer, empty_customer, imported, say_no, say_yes
from tests.consent.counting import astray, rows, tallied

# That so many rows become one, and no fewer.
MANY = 20
PAST_THE_TRIGGERS = "UPDATE crm.consent SET status = 'expired' WHERE business_id = $1"


async def decide(db: Db, notice: Notice, times: int) -> None:
    """So many customers say yes, each in a statement of its own."""
    for _ in range(times):
        await say_yes(db, await add_customer(db), notice)


async def right(db: ReadDb) -> int:
    """How many rows the tally has, if it is right."""
    assert await astray(db) == []
    return await rows(db)


async def test_each_statement_tallies_what_it_changed(db: Db, notice: Notice) -> None:
    people = [await add_customer(db) for _ in range(5)]
    yeses = [await imported(db, each, notice, Status.given) for each in people]
    await consent.append_many(db, Actor.system(), yeses)
    assert await right(db) == 1

    await say_no(db, people[0], notice.purpose_id)
    assert await right(db) == 3  # one given less, one withdrawn more

    await say_no(db, people[0], notice.purpose_id)
    assert await right(db) == 3  # nothing moved


async def test_many_rows_become_one(db: Db, notice: Notice) -> None:
    await decide(db, notice, MANY)
    assert await tally.sum_up(db, MANY) == 0

    await decide(db, notice, 1)
    assert await tally.sum_up(db, MANY) == MANY + 1
    assert await right(db) == 1
    assert await tally.sum_up(db, MANY) == 0


async def test_what_adds_up_to_nothing_is_gone(db: Db, notice: Notice) -> None:
    """All said yes, and all left: only that they left remains."""
    people = [await add_customer(db) for _ in range(MANY + 1)]
    for each in people:
        await say_yes(db, each, notice)
    for each in people:
        await say_no(db, each, notice.purpose_id)
    while await tally.sum_up(db, MANY):
        pass

    assert await right(db) == 1


async def test_a_transaction_that_fails_tallies_nothing(
    database: Database, business: Business, notice: Notice
) -> None:
    with suppress(RuntimeError):
        async with database.write(business.id) as db:
            await decide(db, notice, 3)
            assert await right(db) == 3
            raise RuntimeError

    async with database.read(business.id) as db:
        assert await right(db) == 0


async def test_nobody_waits_for_another(
    database: Database, business: Business, notice: Notice
) -> None:
    """While one has decided and not committed, others decide, and the job puts together."""
    async with database.write(business.id) as before:
        await decide(before, notice, MANY + 1)
    async with asyncio.timeout(20), database.write(business.id) as early:
        await decide(early, notice, 2)
        async with database.write(business.id) as late:
            await decide(late, notice, 1)
        async with database.write(business.id) as one, database.write(business.id) as other:
            assert await tally.sum_up(one, MANY) == MANY + 2
            # What the first holds is passed over.
            assert await tally.sum_up(other, MANY) == 0

    async with database.read(business.id) as db:
        assert await right(db) == 3


async def test_the_job_puts_together_what_is_long(
    database: Database, business: Business, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        await decide(db, notice, tally.MANY + 1)
    await jobs.sum_up({"database": database})

    async with database.read(business.id) as db:
        assert await right(db) == 1


async def test_what_was_changed_past_the_triggers_is_put_right(
    database: Database, business: Business, notice: Notice, root: asyncpg.Connection
) -> None:
    async with database.write(business.id) as db:
        await decide(db, notice, 4)
        assert await tally.recount(db) == 0
    await root.execute(PAST_THE_TRIGGERS, business.id)

    async with database.write(business.id) as db:
        assert {each.status: each.astray for each in await astray(db)} == {
            "given": 4,
            "expired": -4,
        }
    await jobs.recount({"database": database})
    async with database.read(business.id) as db:
        assert await astray(db) == []


async def test_two_counts_at_once_put_right_once(
    database: Database, business: Business, notice: Notice, root: asyncpg.Connection
) -> None:
    async with database.write(business.id) as db:
        await decide(db, notice, 4)
    await root.execute(PAST_THE_TRIGGERS, business.id)
    async with database.write(business.id) as late:
        async with database.write(business.id) as early:
            assert await tally.recount(early) == 2
            second = asyncio.ensure_future(tally.recount(late))
            await asyncio.wait([second], timeout=0.2)
            assert not second.done()
        assert await second == 0

    async with database.read(business.id) as db:
        assert await astray(db) == []


async def test_whoever_decides_for_all_is_tallied_too(
    database: Database, business: Business, notice: Notice
) -> None:
    """A complaint, an erasure, and a purpose that is in use no more, which ends what is left."""
    async with database.write(business.id) as db:
        people = [await add_customer(db) for _ in range(4)]
        for each in people:
            await say_yes(db, each, notice)
        await consent.withdraw(
            db, Actor.system(), people[0], notice.purpose_id, method=Method.complaint
        )
        await empty_customer(db, people[1])
        await consent.forget(db, people[1])
        await consent.retire(db, Actor.system(), notice.purpose_id)
        counted = await tallied(db)
    assert counted == {"given": 2, "withdrawn": 1}

    await jobs.lapse({"database": database})
    async with database.read(business.id) as db:
        assert await tallied(db) == {"revoked": 2, "withdrawn": 1}
        assert await astray(db) == []
