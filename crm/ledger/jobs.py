"""Entry points of the worker: seal what waits, and write heads where an operator wants them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypedDict
from uuid import UUID

from crm import above
from crm.db import Database
from crm.journal import journal_of
from crm.ledger import anchors, sealing
from crm.rounds import apart, each_business
from crm.settings import Settings

# One call seals so many, then signs: some two seconds.
_MOST = 100_000
# A job leaves well before its timeout; the sweep sends another.
_SECONDS = 30.0


class Ctx(TypedDict):
    """What the worker hands to its jobs."""

    database: Database
    settings: Settings


async def sweep(ctx: Ctx) -> None:
    """Wake a sealing for each business with something to seal or to sign."""
    database = ctx["database"]
    for business_id in await above.ledgers_due(database):
        with apart("ledger.sweep", business_id):
            async with database.write(business_id) as db:
                # A killed worker's job ids stay taken for a while, so these are new every ten
                # seconds.
                slot = f"{business_id}:{int(db.now.timestamp()) // 10}"
                db.wake("ledger.seal", str(business_id), slot=slot)


async def seal(ctx: Ctx, business: str) -> None:
    """Seal for one business until nothing waits, or for the time of one job."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _SECONDS
    journal = journal_of(ctx["settings"])
    while loop.time() < until:
        if await sealing.seal(ctx["database"], UUID(business), journal, most=_MOST) < _MOST:
            return


async def notice(ctx: Ctx) -> None:
    """Look at every ledger for a database that was put back."""
    journal = journal_of(ctx["settings"])

    async def noticed(business_id: UUID) -> None:
        await sealing.notice(ctx["database"], business_id, journal)

    await each_business(ctx["database"], "ledger.notice", noticed)


async def anchor(ctx: Ctx) -> None:
    """Write the newest head of each ledger into the operator's directory, where one is named."""
    directory = ctx["settings"].ledger.anchors
    if not directory:
        return

    async def written(business_id: UUID) -> None:
        await anchors.write(ctx["database"], business_id, Path(directory))

    await each_business(ctx["database"], "ledger.anchor", written)
