"""Entry points of the worker for imports: the row is the queue, a wake only a hint."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from crm import above
from crm.above import DueImport
from crm.db import Database
from crm.errors import Refused
from crm.imports import actions, working
from crm.imports.model import QUIET
from crm.log import logger
from crm.rounds import apart
from crm.settings import Settings

_log = logger(__name__)


class Ctx(TypedDict):
    """What the worker puts into every job."""

    database: Database
    settings: Settings


async def work(ctx: Ctx, business: str, import_id: str) -> None:
    """Work through one import; another's turn, or one that is done, is no work."""
    try:
        await working.work_waiting(ctx["database"], UUID(business), UUID(import_id))
    except Refused as no:
        # The row says why; trying again would not help.
        _log.warning("import_failed", import_id=import_id, code=no.code)


async def sweep(ctx: Ctx) -> None:
    """Wake for every import that waits, or whose worker has gone quiet; end what waits too long."""
    database = ctx["database"]
    for due in await above.imports_waiting(database, database.clock() - QUIET):
        with apart("imports.sweep", due.business_id):
            await _wake(database, due)


async def _wake(database: Database, due: DueImport) -> None:
    async with database.write(due.business_id) as db:
        if await actions.give_up(db, due.import_id):
            return
        # A killed worker's job id stays taken for a while, so the sweep's are new each minute.
        slot = f"{due.import_id}:{int(db.now.timestamp()) // 60}"
        db.wake("imports.work", str(due.business_id), str(due.import_id), slot=slot)
