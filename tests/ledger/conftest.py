"""Entries for the tests of the ledger, entered as a domain above enters them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID

import pytest

from crm.db import Database, Db, parse
from crm.ids import time_ordered
from crm.journal import Journal

_ENTER = parse(
    """-- name: enter
-- As the statement of a domain above does.
SELECT crm.enter_ledger(:business_id, :entries, :commitments, :now)
"""
)[0]


def commitment(entry_id: UUID) -> bytes:
    """What an entry of the tests commits to."""
    return hashlib.sha256(entry_id.bytes).digest()


async def enter(db: Db, *entries: UUID) -> None:
    """Enter some entries in this transaction."""
    commitments = [commitment(each) for each in entries]
    await db.run(_ENTER, entries=list(entries), commitments=commitments)


async def entered(database: Database, business_id: UUID, count: int) -> list[UUID]:
    """Enter and commit so many entries."""
    entries = [time_ordered() for _ in range(count)]
    async with database.write(business_id) as db:
        await enter(db, *entries)
    return entries


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal of the test's own."""
    return Journal(tmp_path / "journal")
