"""A process that imports until it is killed: `stopped.py URL BUSINESS FILE`, or an import's id."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from crm import imports
from crm.db import open_database
from crm.events import Actor
from tests.conftest import KEYS
from tests.imports.lists import SLUG


async def _run(url: str, business: str, what: str) -> None:
    async with open_database(url, KEYS) as database:
        if Path(what).is_file():  # noqa: ASYNC240  (nothing else happens in this process)
            await imports.work_file(database, UUID(business), Actor.system(), SLUG, Path(what))
        else:
            await imports.work_waiting(database, UUID(business), UUID(what))


if __name__ == "__main__":
    asyncio.run(_run(*sys.argv[1:]))
