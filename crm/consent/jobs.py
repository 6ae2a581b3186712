"""Entry point of the worker for consent: what has ended is recorded as that, or goes."""

from __future__ import annotations

from typing import TypedDict

from crm import above
from crm.consent import ageing, network
from crm.db import Database


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def lapse(ctx: Ctx) -> None:
    """Record what has ended, and delete the network addresses that have had their time."""
    database = ctx["database"]
    for business_id in await above.businesses(database):
        async with database.write(business_id) as db:
            await network.lapse(db)
        while await database.attempt(business_id, ageing.lapse):
            pass
