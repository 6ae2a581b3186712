"""Entry points of the worker for what comes back: mailboxes in rounds, and what is forgotten."""

from __future__ import annotations

import asyncio
from typing import TypedDict
from uuid import UUID

from crm import above, campaigns, inbound
from crm.db import Database
from crm.inbound.mailboxes import read_mailbox
from crm.rounds import apart, each_business
from crm.settings import Settings

_AT_ONCE = 4


class Ctx(TypedDict):
    """What the worker puts into every job."""

    database: Database
    settings: Settings


async def sweep(ctx: Ctx) -> None:
    """Look into every mailbox that is due, a few at once: one that hangs holds up nobody else."""
    database, local = ctx["database"], ctx["settings"].inbound.local_mailboxes
    turns = asyncio.Semaphore(_AT_ONCE)

    async def look(business_id: UUID) -> None:
        async with turns:
            with apart("inbound.sweep", business_id):
                await read_mailbox(database, business_id, local=local)

    await asyncio.gather(*(look(each) for each in await above.mailboxes_due(database)))


async def tidy(ctx: Ctx) -> None:
    """Forget what was heard long ago, business by business."""

    async def tidied(business_id: UUID) -> None:
        async with ctx["database"].write(business_id) as db:
            await inbound.tidy(db)
            await campaigns.forget_few(db)

    await each_business(ctx["database"], "inbound.tidy", tidied)
