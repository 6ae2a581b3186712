"""Rows that senders share are held in one order, so that no two wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import asyncpg

from crm import campaigns, mail
from crm.businesses import Business
from crm.campaigns import jobs
from crm.campaigns.sending import RangeSender
from crm.db import Database, parse
from crm.events import Actor
from crm.mail import Scope, Why, domains, relays
from crm.mail.outcome import Kind, Outcome, Whose
from crm.mail.routes import open_routes
from crm.mail.wire import Limits
from tests import make
from tests.campaigns.test_relays import context, relay
from tests.campaigns.test_send import started
from tests.conftest import Cluster
from tests.smtpd import smtpd

_HOLD, _ON_ITS_WAY = parse(
    """
-- name: hold
-- The ranges of a campaign, held.
SELECT number FROM crm.lease
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   FOR UPDATE;

-- name: on_its_way
-- A mail that was handed over.
UPDATE crm.delivery
   SET state = 'sending', claimed_at = :now
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND customer_id = :customer_id;
"""
)

SYSTEM = Actor.system()
TOO_FAST = Outcome(Kind.later, "policy", Whose.policy, 451, "4.7.1", "Too fast")


@asynccontextmanager
async def senders(database: Database, business: Business) -> AsyncIterator[list[RangeSender]]:
    """Two workers of one campaign, whose relay has a rate and whose readers' domain a limit."""
    campaign_id, _ = await started(database, business, 80)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(smtpd())
        await relay(database, business, server.port, rate=1000)
        async with database.write(business.id) as db:
            await relays.limit_domain(db, SYSTEM, "example.com", 5, None)
        ctx = context(database, range=40, batch=10)
        await jobs.fill(ctx, str(business.id), str(campaign_id))
        made = []
        for holder in ("one", "other"):
            async with database.read(business.id) as db:
                known = await relays.usable(db, ctx["settings"])
            lease = await jobs._take(ctx, business.id, campaign_id, holder)  # noqa: SLF001
            assert lease is not None
            issue = await jobs._issue(database, business.id, campaign_id)  # noqa: SLF001
            routes = await open_routes(known, Limits())
            stack.push_async_callback(routes.close, grace=1.0)
            made.append(RangeSender(database, issue, lease, routes, ctx["settings"].sending))
        yield made


async def until_waiting(cluster: Cluster, count: int) -> None:
    """Return when so many transactions of this database wait for another."""
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        async with asyncio.timeout(30):
            while count != await conn.fetchval(  # noqa: ASYNC110  (PostgreSQL tells nobody)
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)
    finally:
        await conn.close()


async def test_who_was_told_to_slow_down_and_who_goes_slowly_take_turns(
    database: Database, business: Business, shared_cluster: Cluster
) -> None:
    """Both need the pace of the domain and what the relay took; whoever comes first ends first."""
    async with senders(database, business) as (calm, told):
        await calm._turn(claiming=True)  # noqa: SLF001  (it knows that the domain goes slowly)
        told._hand.domains.heard("reader1@example.com", TOO_FAST)  # noqa: SLF001
        async with database.write(business.id) as db:
            await domains.hold(db, ["example.com"])
            first = asyncio.ensure_future(told._turn(claiming=True))  # noqa: SLF001
            await until_waiting(shared_cluster, 1)
            second = asyncio.ensure_future(calm._turn(claiming=True))  # noqa: SLF001
            await until_waiting(shared_cluster, 2)
        await asyncio.gather(first, second)
        async with database.read(business.id) as db:
            [pace] = (await domains.slowed(db)).values()

    assert (pace.strikes, pace.limit_rate) == (1, 5)


async def test_what_comes_back_and_a_suppression_hold_ranges_in_one_order(
    database: Database, business: Business, shared_cluster: Cluster
) -> None:
    """A bounce of the later campaign, and another customer who is suppressed in both."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        ids = await make.audience(db, await make.notice(db, purpose.id), 2)
        both = sorted([(await make.campaign(db, purpose.id)).id for _ in range(2)])
        for campaign_id in both:
            await campaigns.start(db, SYSTEM, campaign_id)
    ctx = context(database)
    for campaign_id in both:
        await jobs.fill(ctx, str(business.id), str(campaign_id))
    bounced, other = (
        database.keys.address_hash(business.id, f"reader{number}@example.com")
        for number in range(2)
    )
    async with database.write(business.id) as db:
        await db.run(_ON_ITS_WAY, campaign_id=both[1], customer_id=ids[0])

    async def comes_back() -> bool:
        async with database.write(business.id) as db:
            found = await campaigns.bounced(db, both[1], bounced, "hard", "5.1.1")
            await mail.suppress(db, SYSTEM, bounced, Scope.all, Why.bounced)
            return found

    async with database.write(business.id) as db:
        await db.many(_HOLD, int, campaign_id=both[0])
        task = asyncio.ensure_future(comes_back())
        await until_waiting(shared_cluster, 1)
        await mail.suppress(db, SYSTEM, other, Scope.marketing, Why.staff)

    assert await task
    assert {await state_of(database, business, each, ids[1]) for each in both} == {"excluded"}


async def state_of(
    database: Database, business: Business, campaign_id: UUID, customer_id: UUID
) -> str:
    async with database.read(business.id) as db:
        found = [each async for each in campaigns.export(db, customer_id)]
    return next(each.state for each in found if each.campaign_id == campaign_id)
