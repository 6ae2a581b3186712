"""Entry point of the worker for privacy: an erasure stays complete."""

from __future__ import annotations

from typing import TypedDict

from crm import above
from crm.db import Database
from crm.privacy import actions


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def sweep(ctx: Ctx) -> None:
    """Erase again what was written while an erasure was under way, business by business."""
    for business_id in await above.businesses(ctx["database"]):
        async with ctx["database"].write(business_id) as db:
            await actions.erase_traces(db)
