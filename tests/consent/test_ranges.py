"""Whoever leaves several purposes at once holds ranges of campaigns in one order with others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from crm import campaigns, consent, mail
from crm.campaigns import jobs
from crm.consent import Method, Status
from crm.db import Database, Db
from crm.events import Actor
from crm.mail import Scope, Why
from crm.privacy import merging
from tests import make
from tests.campaigns.test_send import settings
from tests.campaigns.test_share import state_of, until_waiting
from tests.conftest import Cluster

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
