"""A sequencer for a process of its own, which a test kills.

Says after each round that it is done, and goes on until it is killed.
"""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import UUID

from crm import ledger
from crm.db import open_database
from crm.journal import Journal
from tests.conftest import KEYS


def sequence(url: str, business_id: UUID, place: Path, rounds: Connection) -> None:
    """Seal for ever."""
    asyncio.run(_sequence(url, business_id, Journal(place), rounds))


async def _sequence(url: str, business_id: UUID, journal: Journal, rounds: Connection) -> None:
    async with open_database(url, KEYS, size=2) as database:
        while True:
            await ledger.seal(database, business_id, journal, most=100)
            rounds.send("done")
