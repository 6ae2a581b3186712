"""Entry points of the worker for privacy: an erasure stays complete, and no answer is forgotten."""

from __future__ import annotations

from typing import TypedDict

from crm import above
from crm.db import Database
from crm.privacy import actions, answering, certifying, grace


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def sweep(ctx: Ctx) -> None:
    """Erase who has waited long enough, and again what was written during an erasure."""
    for business_id in await above.businesses(ctx["database"]):
        async with ctx["database"].write(business_id) as db:
            await actions.erase_traces(db)
            await certifying.drop_old_certificates(db)
        while await ctx["database"].attempt(business_id, grace.carry_out):
            pass


async def remind(ctx: Ctx) -> None:
    """Remind staff of requests whose last day comes near, business by business."""
    for business_id in await above.businesses(ctx["database"]):
        await ctx["database"].attempt(business_id, answering.remind)
