"""Whoever leaves several purposes at once holds ranges of campaigns in one order with others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from crm import campaigns, consent, customers, mail
from crm.businesses import Business
from crm.campaigns import filling, jobs
from crm.consent import Method, Status
from crm.db import Database, Db
from crm.events import Actor
from crm.mail import Scope, Why
from crm.privacy import merging
from tests import make, races
from tests.campaigns.test_send import settings
from tests.campaigns.test_share import state_of, until_waiting
from tests.conftest import Cluster
from tests.consent.conftest import imported

LeaveBoth = Callable[[Db, UUID, UUID], Awaitable[object]]


async def _press(db: Db, her: UUID, _: UUID) -> None:
    await consent.withdraw_all(db, Actor.customer(her), her, method=Method.portal)


async def _merge(db: Db, her: UUID, gone: UUID) -> None:
    """With a record of hers that had said no to both."""
    await merging.merge(db, make.SYSTEM, her, gone)


@pytest.mark.parametrize("leave_both", [_press, _merge])
async def test_she_leaves_both_while_another_is_suppressed(
    own_database: Database, own_cluster: Cluster, leave_both: LeaveBoth
) -> None:
    """The campaign of the purpose that she leaves last began first, and both wait in each."""
    database, business = own_database, await make.business(own_database)
    async with database.write(business.id) as db:
        notices = [await make.notice(db, (await make.purpose(db, name=each)).id) for each in "ab"]
        notices.sort(key=lambda each: each.purpose_id, reverse=True)
        her, other = await make.audience(db, notices[0], 2)
        key, gone = Actor.key(UUID(int=1), "Shop"), (await make.customer(db)).id
        for each in (her, other):
            await consent.give(db, key, each, notices[1].question, make.ELSEWHERE)
        for notice in notices:
            await consent.withdraw(db, key, gone, notice.purpose_id, method=Method.api)
        started = [(await make.campaign(db, each.purpose_id)).id for each in notices]
        for campaign_id in started:
            await campaigns.start(db, make.SYSTEM, campaign_id)
    ctx: jobs.Ctx = {"database": database, "settings": settings(1), "sending": asyncio.Lock()}
    for campaign_id in started:
        await jobs.fill(ctx, str(business.id), str(campaign_id))
    silenced = database.keys.address_hash(business.id, "reader1@example.com")

    async def leaves() -> None:
        async with database.write(business.id) as db:
            await leave_both(db, her, gone)

    async def is_suppressed() -> None:
        async with database.write(business.id) as db:
            await mail.suppress(db, make.SYSTEM, silenced, Scope.all, Why.bounced)

    root = await asyncpg.connect(own_cluster.superuser_url)
    async with root.transaction():
        # She is taken out for the first purpose, and is not at the second.
        await root.execute("LOCK TABLE crm.retry IN SHARE MODE")
        first = asyncio.ensure_future(leaves())
        await until_waiting(own_cluster, 1)
        late = asyncio.ensure_future(is_suppressed())
        await until_waiting(own_cluster, 2)
    await root.close()
    await asyncio.gather(first, late)

    states = {
        await state_of(database, business, one, each) for one in started for each in (her, other)
    }
    assert states == {"excluded"}
    async with database.read(business.id) as read:
        assert {each.status for each in await consent.states(read, her)} == {Status.withdrawn}


@pytest.mark.parametrize("status", [Status.withdrawn, Status.expired])
@pytest.mark.parametrize("waits_for", ["a range", "a decision"])
async def test_many_ends_wait_without_a_range_that_comes_later(
    database: Database, business: Business, shared_cluster: Cluster, status: Status, waits_for: str
) -> None:
    """One waits in the second campaign alone, the other in both: and she is not the first."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        one, other = sorted(await make.audience(db, notice, 2))
        first, last = sorted([(await make.campaign(db, notice.purpose_id)).id for _ in range(2)])
        await customers.restrict(db, make.SYSTEM, one)
        await campaigns.start(db, make.SYSTEM, first)
        await campaigns.start(db, make.SYSTEM, last)
    async with database.write(business.id) as db:
        await filling.fill_piece(db, first, 100)
        await customers.unrestrict(db, make.SYSTEM, one)
        await filling.fill_piece(db, last, 100)

    async def ends() -> int:
        async with database.write(business.id) as db:
            rows = [await imported(db, each, notice, status) for each in (one, other)]
            return await consent.append_many(db, make.SYSTEM, rows)

    range_of = "SELECT FROM crm.lease WHERE campaign_id = $1 FOR UPDATE NOWAIT"
    decision = "SELECT FROM crm.consent WHERE customer_id = $1 FOR UPDATE"
    held, key = (range_of, first) if waits_for == "a range" else (decision, other)
    async with races.stubborn(shared_cluster) as somebody, database.write(business.id) as watch:
        await somebody.execute(held, key)
        ending = asyncio.ensure_future(ends())
        await races.waited_for(watch, somebody.get_server_pid(), ending)
        for each in (first, last):
            await somebody.execute(range_of, each)
    assert await ending == 2

    states = {
        await state_of(database, business, campaign_id, each)
        for campaign_id in (first, last)
        for each in (one, other)
    }
    assert states == {"excluded"}
