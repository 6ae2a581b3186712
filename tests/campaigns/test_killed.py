"""Workers die in the middle and Redis forgets everything: the rows and the relay's log agree."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from uuid import UUID

import asyncpg
from redis.asyncio import Redis

from crm import campaigns
from crm.campaigns import Counts, State
from crm.db import Database
from crm.events import Actor
from tests import make
from tests.commands import process
from tests.conftest import KEYS, Cluster
from tests.smtpd import Smtpd, smtpd

CUSTOMERS = 1200
BATCH = 50
CONNECTIONS = 10
KILLS = 3
LEASE_SECONDS = 2
# At the latest when so many have arrived, the next kill comes.
EACH = CUSTOMERS // (KILLS + 2)


def environ(cluster: Cluster, redis_url: str, relay: Smtpd, journal: Path) -> dict[str, str]:
    """Configure a worker of its own process."""
    (number, key), *_ = KEYS.link_keys
    (storage, kept), *_ = KEYS.storage_keys
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    return plain | {
        "CRM_DATABASE_URL": cluster.app_url,
        "CRM_REDIS_URL": redis_url,
        "CRM_LINK_KEYS": f"{number}:{key.hex()}",
        "CRM_STORAGE_KEYS": f"{storage}:{kept.hex()}",
        "CRM_PEPPER": KEYS.pepper.hex(),
        "CRM_JOURNAL": str(journal),
        "CRM_SMTP__PORT": str(relay.port),
        "CRM_SENDING__BATCH": str(BATCH),
        "CRM_SENDING__CONNECTIONS": str(CONNECTIONS),
        "CRM_SENDING__RANGE": "700",
        "CRM_SENDING__LEASE_SECONDS": str(LEASE_SECONDS),
    }


async def until_sending(conn: asyncpg.Connection, campaign_id: UUID) -> int:
    """Wait for an instant at which rows are on their way; return how many."""
    while True:
        on_the_way: int = await conn.fetchval(
            "SELECT count(*) FROM crm.delivery WHERE campaign_id = $1 AND state = 'sending'",
            campaign_id,
        )
        if on_the_way:
            return on_the_way
        await asyncio.sleep(0)


async def until_done(database: Database, business_id: UUID, campaign_id: UUID) -> Counts:
    """Wait for the campaign to end by itself."""
    while True:
        async with database.read(business_id) as db:
            if (await campaigns.get(db, campaign_id)).state is State.done:
                return await campaigns.recount(db, campaign_id)
        await asyncio.sleep(0.1)


async def test_kills_lose_nobody_and_mail_nobody_twice(
    own_database: Database, own_cluster: Cluster, redis_url: str, tmp_path: Path
) -> None:
    """Promise 3 under SIGKILL while rows are `sending`, with Redis emptied in between."""
    business = await make.business(own_database)
    async with own_database.write(business.id) as db:
        purpose = await make.purpose(db)
        await make.audience(db, await make.notice(db, purpose.id), CUSTOMERS)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, Actor.system(), campaign.id)
    owner = await asyncpg.connect(own_cluster.superuser_url)
    redis = Redis.from_url(redis_url)
    async with smtpd() as relay:
        settings = environ(own_cluster, redis_url, relay, tmp_path)
        for kill in range(KILLS):
            async with process("worker", environ=settings) as running:
                await relay.until_heard(".", EACH * (kill + 1))
                on_the_way = await until_sending(owner, campaign.id)
                running.kill()
            assert on_the_way > 0
            await redis.flushall()
        async with process("worker", environ=settings):
            async with asyncio.timeout(90):
                counts = await until_done(own_database, business.id, campaign.id)
    await owner.close()
    await redis.aclose()

    accepted = Counter(relay.accepted())
    assert set(accepted.values()) == {1}
    assert counts.audience == CUSTOMERS
    assert counts.waiting == counts.sending == counts.failed == counts.excluded == 0
    assert counts.sent <= len(accepted) <= counts.sent + counts.uncertain
    assert counts.uncertain <= KILLS * (2 * BATCH + CONNECTIONS)
