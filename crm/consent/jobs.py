"""Entry points of the worker for consent: its ends are said, changes found, tallies kept short."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TypedDict
from uuid import UUID

from crm import above, ledger
from crm.above import LedgerHealth
from crm.consent import ageing, monitor, network, tally
from crm.db import Database
from crm.rounds import apart, each_business
from crm.settings import Settings

# A job leaves well before the next begins; the round goes on where it was.
_SECONDS = 40.0


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


class WatchCtx(Ctx):
    """The same for the monitor, with how often it looks at all of it."""

    settings: Settings


async def lapse(ctx: Ctx) -> None:
    """Record what has ended, and delete the network addresses that have had their time."""
    database = ctx["database"]

    async def lapsed(business_id: UUID) -> None:
        async with database.write(business_id) as db:
            await network.lapse(db)
        while await database.attempt(business_id, ageing.lapse):
            pass

    await each_business(database, "consent.lapse", lapsed)


async def sum_up(ctx: Ctx) -> None:
    """Put the rows of long tallies together."""
    database = ctx["database"]

    async def summed(business_id: UUID) -> None:
        while await database.attempt(business_id, tally.sum_up):
            pass

    await each_business(database, "consent.sum_up", summed)


async def recount(ctx: Ctx) -> None:
    """Count what is tallied, business by business."""
    database = ctx["database"]

    async def recounted(business_id: UUID) -> None:
        await database.attempt(business_id, tally.recount)

    await each_business(database, "consent.recount", recounted)


async def watch(ctx: WatchCtx) -> None:
    """Go on with the rounds of the monitor, and begin those that are due."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _SECONDS
    every = timedelta(hours=ctx["settings"].ledger.watch_hours)
    for health in await above.ledgers_health(ctx["database"]):
        with apart("consent.watch", health.business_id):
            await begin_if_due(ctx["database"], health, every)
            while loop.time() < until:
                async with ctx["database"].write(health.business_id) as db:
                    if await monitor.watch_next(db) is None:
                        break


async def begin_if_due(database: Database, health: LedgerHealth, every: timedelta) -> None:
    """Begin a round where none is under way and the last one ended long enough ago."""
    async with database.write(health.business_id) as db:
        last = await ledger.watch(db)
        if last is None or (last.ended_at is not None and last.ended_at <= db.now - every):
            await ledger.begin_watch(db)
