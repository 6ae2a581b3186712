"""Entry point of the worker for what HTTP keeps: answers to repeated requests, past their time."""

from __future__ import annotations

from typing import TypedDict

from crm import above
from crm.db import Database
from crm.web import idempotency


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def tidy(ctx: Ctx) -> None:
    """Delete answers whose time is over, business by business."""
    for business_id in await above.businesses(ctx["database"]):
        more = True
        while more:
            async with ctx["database"].write(business_id) as db:
                more = await idempotency.forget(db)
