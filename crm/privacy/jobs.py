"""Entry points of the worker for privacy: copies, complete erasures, and no answer forgotten."""

from __future__ import annotations

import asyncio
from typing import TypedDict
from uuid import UUID

from crm import above
from crm.db import Database
from crm.log import logger
from crm.privacy import actions, copies, fulfilling, restriction
from crm.privacy.copies.building import build_next
from crm.privacy.erasure import grace
from crm.privacy.retention import sweeping
from crm.privacy.retention.sweeps import SWEEPS

_log = logger(__name__)


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


class BuildCtx(TypedDict):
    """The same, and what lets a worker build one copy at a time."""

    database: Database
    building: asyncio.Lock


async def build(ctx: BuildCtx, business_id: str) -> None:
    """Build the copies that wait, one after the other."""
    async with ctx["building"]:
        while await build_next(ctx["database"], UUID(business_id)) is not None:
            continue


async def sweep(ctx: Ctx) -> None:
    """Erase who has waited, and again what was written meanwhile; end copies and freezes.

    A copy asked for while no worker listened is found here, and so is what a killed one left.
    """
    for business_id in await above.businesses(ctx["database"]):
        async with ctx["database"].write(business_id) as db:
            await actions.erase_traces(db)
            await restriction.end_due(db)
            await copies.end(db)
            if await copies.due(db):
                db.wake("privacy.build", str(business_id))
        while await ctx["database"].attempt(business_id, grace.carry_out):
            pass


async def remind(ctx: Ctx) -> None:
    """Remind staff of requests whose last day comes near, business by business."""
    for business_id in await above.businesses(ctx["database"]):
        await ctx["database"].attempt(business_id, fulfilling.remind)


async def retain(ctx: Ctx) -> None:
    """Delete what has had its time, business by business and kind by kind, in short pieces."""
    for business_id in await above.businesses(ctx["database"]):
        for name, act in SWEEPS.items():
            try:
                await sweeping.sweep(ctx["database"], business_id, name, act)
            except Exception:  # noqa: BLE001  (one kind must not keep the others from theirs)
                _log.exception("round_failed", business_id=str(business_id), what=name)
