"""Entry point of the worker for imports that somebody wants undone: the row is the queue."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TypedDict
from uuid import UUID

from crm import above, imports
from crm.db import Database
from crm.privacy.undoing.carrying_out import go_on
from crm.rounds import apart

_JOB = "privacy.undo"
# A turn leaves before the next begins, which would wait for what it holds.
_SECONDS = 12.0


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def sweep(ctx: Ctx) -> None:
    """Undo every import that waits for it; one that was cut short goes on where it was.

    A piece for each business in turn: whoever undoes a million keeps nobody from undoing a few.
    """
    database, loop = ctx["database"], asyncio.get_running_loop()
    until = loop.time() + _SECONDS
    left = await above.businesses(database)
    while left:
        left = [business_id for business_id in left if await _goes_on(database, business_id)]
        if loop.time() >= until:
            return


async def _goes_on(database: Database, business_id: UUID) -> bool:
    """Do a piece of the first that waits; False where nothing does, or it cannot be done."""
    with apart(_JOB, business_id):
        async with database.read(business_id) as db:
            waiting = await imports.undoing(db)
        if waiting:
            await database.attempt(business_id, partial(go_on, found=waiting[0]))
            return True
    return False
