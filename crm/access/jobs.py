"""Entry point of the worker for access: what has ended goes."""

from __future__ import annotations

from typing import TypedDict

from crm import above
from crm.access import actions
from crm.db import Database


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def tidy(ctx: Ctx) -> None:
    """Delete sign-ups, ways in and sessions that have ended, business by business."""
    for business_id in await above.businesses(ctx["database"]):
        async with ctx["database"].write(business_id) as db:
            await actions.tidy(db)
