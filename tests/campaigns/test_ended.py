"""A campaign of which nothing is left to send ends, whoever was the last at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from crm import above, campaigns, events
from crm.above import DueCampaign
from crm.businesses import Business
from crm.campaigns import State, jobs
from crm.db import Database
from crm.events import ActorKind, Kind
from tests import make
from tests.campaigns.test_send import settings, started
from tests.conftest import Cluster
from tests.smtpd import Fault, Smtpd, smtpd


async def state_of(database: Database, business: Business, campaign_id: UUID) -> State:
    async with database.read(business.id) as db:
        return (await campaigns.get(db, campaign_id)).state


def worker(database: Database, relay: Smtpd) -> jobs.Ctx:
    """One that hands over in ranges of two customers."""
    return {
        "database": database,
        "settings": settings(relay.port, range=2),
        "sending": asyncio.Lock(),
    }


async def test_two_workers_leave_the_last_two_ranges_at_once(
    own_cluster: Cluster, own_database: Database
) -> None:
    """Neither sees in its transaction that the other's range is done with as well."""
    business = await make.business(own_database)
    campaign_id, ids = await started(own_database, business, 4)
    own, campaign = str(business.id), str(campaign_id)
    async with smtpd() as relay:
        known = [worker(own_database, relay) for _ in range(2)]
        await jobs.fill(known[0], own, campaign)
        async with _nobody_writes_campaigns(own_cluster) as waiting:
            sending = [asyncio.create_task(jobs.send(each, own, campaign)) for each in known]
            # PostgreSQL tells nobody that a lock is waited for.
            while await waiting() < len(known):
                assert not any(each.done() for each in sending)
        await asyncio.gather(*sending)

    assert len(relay.messages) == len(ids)
    assert await state_of(own_database, business, campaign_id) is State.done
    async with own_database.read(business.id) as db:
        told = [each for each in await events.page(db) if each.kind is Kind.campaign_done]
    assert [(each.ref, each.actor_kind) for each in told] == [(campaign_id, ActorKind.system)]


@asynccontextmanager
async def _nobody_writes_campaigns(
    cluster: Cluster,
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Keep everybody from writing that a campaign has ended; says how many wait for that."""
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        async with conn.transaction():
            await conn.execute("LOCK TABLE crm.campaign IN SHARE MODE")
            yield lambda: conn.fetchval(_WAITING)
    finally:
        await conn.close()


_WAITING = """
SELECT count(*)
  FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
 WHERE NOT l.granted AND l.relation = 'crm.campaign'::regclass
"""


async def test_the_last_mails_arrive_while_it_is_paused(
    database: Database, business: Business
) -> None:
    """Resumed, it has nothing left to send: it ends, and does not say for ever that it sends."""
    campaign_id, ids = await started(database, business, 2)
    own, campaign = str(business.id), str(campaign_id)
    answer = asyncio.Event()
    async with smtpd() as relay:
        ctx = worker(database, relay)
        await jobs.fill(ctx, own, campaign)
        relay.fails("dot", Fault(until=answer), Fault(until=answer))
        sending = asyncio.create_task(jobs.send(ctx, own, campaign))
        await relay.until_heard(".", len(ids))
        async with database.write(business.id) as db:
            await campaigns.pause(db, make.SYSTEM, campaign_id)
        answer.set()
        await sending
        assert await state_of(database, business, campaign_id) is State.paused
        async with database.write(business.id) as db:
            assert (await campaigns.counts(db, campaign_id)).sent == len(ids)
            await campaigns.resume(db, make.SYSTEM, campaign_id)
        [(job, args, _)] = db.wakes
        assert job == "campaigns.send"
        await jobs.send(ctx, *args)

    assert await state_of(database, business, campaign_id) is State.done


async def test_the_sweep_ends_what_a_worker_left_that_was_stopped(
    database: Database, business: Business
) -> None:
    """It let its last range go, and was not there any more to look for another."""
    campaign_id, _ = await started(database, business, 2)
    own, campaign = str(business.id), str(campaign_id)
    async with smtpd() as relay:
        ctx = worker(database, relay)
        await jobs.fill(ctx, own, campaign)
        due = DueCampaign(business.id, campaign_id)
        assert due not in await above.campaigns_over(database)
        answer = asyncio.Event()
        relay.fails("dot", Fault(until=answer), Fault(until=answer))
        sending = asyncio.create_task(jobs.send(ctx, own, campaign))
        await relay.until_heard(".", 2)
        sending.cancel()
        answer.set()
        await asyncio.wait([sending])
        assert await state_of(database, business, campaign_id) is State.sending
        assert due in await above.campaigns_over(database)

        await jobs.sweep(ctx)

    assert await state_of(database, business, campaign_id) is State.done
    assert due not in await above.campaigns_over(database)
