"""Entry point of the worker for imports that somebody wants undone: the row is the queue."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from crm import imports
from crm.db import Database
from crm.privacy.undoing.carrying_out import undo
from crm.rounds import each_business


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def sweep(ctx: Ctx) -> None:
    """Undo every import that waits for it; one that was cut short goes on where it was."""
    database = ctx["database"]

    async def undone(business_id: UUID) -> None:
        async with database.read(business_id) as db:
            waiting = await imports.undoing(db)
        for each in waiting:
            await undo(database, business_id, each)

    await each_business(database, "privacy.undo", undone)
