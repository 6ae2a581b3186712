"""Entry point of the worker for rows of imports whose quarantine is over."""

from __future__ import annotations

from functools import partial
from typing import TypedDict
from uuid import UUID

from crm.db import Database
from crm.imports import quarantine
from crm.imports.quarantine import Over
from crm.privacy.quarantine import actions
from crm.rounds import apart, each_business

_JOB = "privacy.let_go"
# How many are looked up at once; each is let go in a transaction of its own.
_AT_ONCE = 200


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def sweep(ctx: Ctx) -> None:
    """Delete what has waited for evidence until its end, or was let go, one by one."""
    database = ctx["database"]

    async def swept(business_id: UUID) -> None:
        after: Over | None = None
        while True:
            async with database.read(business_id) as db:
                due = await quarantine.over(db, _AT_ONCE, after=after)
            for each in due:
                # Nobody waits behind one for whom it fails.
                with apart(_JOB, business_id):
                    await database.attempt(business_id, partial(actions.end, over=each))
            if len(due) < _AT_ONCE:
                return
            after = due[-1]

    await each_business(database, _JOB, swept)
