"""Entry point of the worker for rows of imports whose quarantine is over."""

from __future__ import annotations

from functools import partial
from typing import TypedDict
from uuid import UUID

from crm.db import Database
from crm.privacy.quarantine import actions
from crm.rounds import apart, each_business

_JOB = "privacy.let_go"


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def sweep(ctx: Ctx) -> None:
    """Delete what has waited for evidence until its end, or was let go, one by one."""
    database = ctx["database"]

    async def swept(business_id: UUID) -> None:
        async with database.read(business_id) as db:
            due = await actions.due(db)
        for each in due:
            # Nobody waits behind one for whom it fails.
            with apart(_JOB, business_id):
                await database.attempt(business_id, partial(actions.end, over=each))

    await each_business(database, _JOB, swept)
