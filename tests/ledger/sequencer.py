"""A sequencer in a process of its own, for tests that kill it: python -m, and two arguments.

Says a word after each round, and goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from crm import ledger
from crm.db import open_database
from crm.journal import Journal
from tests.conftest import KEYS


async def main(url: str, business_id: UUID, journal: Journal) -> None:
    """Seal for ever."""
    async with open_database(url, KEYS, size=2) as database:
        while True:
            await ledger.seal(database, business_id, journal, most=100)
            sys.stdout.write("round\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), Journal(Path(sys.argv[3]))))
