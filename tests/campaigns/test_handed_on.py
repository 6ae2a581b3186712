"""A wake that reaches a worker that is busy already goes on to one that is not."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import cycle

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import jobs
from crm.db import Database
from crm.ids import opaque
from tests.campaigns.test_send import settings, started
from tests.smtpd import smtpd

Woken = tuple[str, tuple[str, ...], str]


def workers(database: Database, port: int, count: int) -> tuple[list[jobs.Ctx], deque[Woken]]:
    """So many workers, and the queue into which they wake."""
    queue: deque[Woken] = deque()

    async def wake(job: str, args: tuple[str, ...], slot: str) -> None:
        queue.append((job, args, slot))

    heard = Database(database.connections, database.keys, wake, database.clock)
    return [
        {
            "database": heard,
            "settings": settings(port, range=10),
            "sending": asyncio.Lock(),
        }
        for _ in range(count)
    ], queue


async def test_an_idle_worker_sends_what_only_a_busy_one_was_woken_for(
    database: Database, business: Business
) -> None:
    """The busy one, which has it in line too, finds nothing left when its turn comes."""
    campaign_id, ids = await started(database, business, 30)
    own, campaign = str(business.id), str(campaign_id)
    async with smtpd() as relay:
        (busy, idle), queue = workers(database, relay.port, 2)
        await jobs.fill(busy, own, campaign)
        queue.clear()
        async with busy["sending"]:
            await jobs.send(busy, own, campaign)
            [(job, args, slot)] = queue
            assert (job, slot) == ("campaigns.send", "")
            await jobs.send(idle, *args)
            async with database.read(business.id) as db:
                counts = await campaigns.recount(db, campaign_id)
            assert (counts.sent, counts.audience) == (len(ids), len(ids))
        await jobs.send(busy, own, campaign)

    assert len(relay.messages) == len(ids)
    assert len(queue) == 1
    assert busy["line"].next() is None


async def test_where_all_are_busy_a_wake_comes_to_its_end(
    database: Database, business: Business
) -> None:
    """And each of them has the campaign in line, once."""
    known, queue = workers(database, 1, 3)
    own, campaign_id = str(business.id), opaque()
    for each in known:
        await each["sending"].acquire()
    queue.append(("campaigns.send", (own, str(campaign_id)), ""))
    heard = 0
    for each in cycle(known):
        if not queue or heard > 100:
            break
        heard += 1
        await jobs.send(each, *queue.popleft()[1])

    assert heard == 9
    for each in known:
        assert each["line"].next() == (business.id, campaign_id)
        assert each["line"].next() is None
