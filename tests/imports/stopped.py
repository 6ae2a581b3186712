"""An import of a file, or of what waits, for a process of its own, which a test kills."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

from crm import imports
from crm.db import open_database
from crm.events import Actor
from tests.conftest import KEYS
from tests.imports.lists import SLUG


def bring(url: str, business: str, what: str) -> None:
    """Import a file, or the import of this id."""
    asyncio.run(_run(url, business, what))


async def _run(url: str, business: str, what: str) -> None:
    async with open_database(url, KEYS) as database:
        if Path(what).is_file():  # noqa: ASYNC240  (nothing else happens in this process)
            await imports.work_file(database, UUID(business), Actor.system(), SLUG, Path(what))
        else:
            await imports.work_waiting(database, UUID(business), UUID(what))
