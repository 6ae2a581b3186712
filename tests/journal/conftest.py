"""A database that writes to a journal of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from crm.consent import Notice
from crm.db import Database, Db, open_database
from crm.journal import Journal, Keeper
from tests import make
from tests.conftest import KEYS, Cluster
from tests.consent.conftest import say_yes


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal of the test's own."""
    return Journal(tmp_path / "journal")


@pytest.fixture
async def kept(shared_cluster: Cluster, journal: Journal) -> AsyncIterator[Database]:
    """The shared database, as a process of the service opens it."""
    async with opened(shared_cluster, journal) as database:
        yield database


@asynccontextmanager
async def opened(cluster: Cluster, journal: Journal) -> AsyncIterator[Database]:
    """Open a database as a process of the service does."""
    async with open_database(cluster.app_url, KEYS, size=4, keep=Keeper(journal)) as database:
        yield database


async def consented(db: Db, customer_id: UUID) -> Notice:
    """Let a customer say yes to a purpose of her own."""
    text = await make.notice(db, (await make.purpose(db)).id)
    await say_yes(db, customer_id, text)
    return text
