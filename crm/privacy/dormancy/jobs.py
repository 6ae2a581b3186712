"""Entry point of the worker for quiet records: who is told, who answered, whose time is over."""

from __future__ import annotations

from functools import partial
from typing import TypedDict
from uuid import UUID

from crm.db import Database
from crm.privacy import dormancy
from crm.privacy.dormancy import ending
from crm.privacy.retention import sweeping
from crm.rounds import apart, each_business

_JOB = "privacy.retire"
# In the reports of rounds.
_TOLD = "dormant"


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def retire(ctx: Ctx) -> None:
    """Keep who gave a sign, end whose notice is over, and once a day tell who has become quiet."""
    database = ctx["database"]

    async def retired(business_id: UUID) -> None:
        async with database.write(business_id) as db:
            await dormancy.wake(db)
        async with database.read(business_id) as read:
            due = await dormancy.due(read)
        for customer_id in due:
            # Nobody waits behind one for whom it fails.
            with apart(_JOB, business_id, "ended"):
                await database.attempt(business_id, partial(ending.end, customer_id=customer_id))
        await sweeping.sweep(database, business_id, _TOLD, dormancy.tell)

    await each_business(database, _JOB, retired)
