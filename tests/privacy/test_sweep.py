"""What waits for an erasure writes nothing after it, and a sweep touches nobody else."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from crm import consent, privacy
from crm.consent import ConsentEvent, Method
from crm.customers import UnknownCustomer
from crm.db import Database
from tests.conftest import Cluster
from tests.privacy.life import Life, erase_traces


async def _leave(database: Database, life: Life) -> ConsentEvent:
    async with database.write(life.business.id) as db:
        return await consent.withdraw(
            db, life.actor, life.customer.id, life.notice.purpose_id, method=Method.one_click
        )


async def _until_somebody_waits(cluster: Cluster) -> None:
    """Ask the server until a transaction waits for another one."""
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        waiting = 0
        while not waiting:
            waiting = await conn.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
    finally:
        await conn.close()


async def _history(database: Database, life: Life) -> list[ConsentEvent]:
    async with database.read(life.business.id) as db:
        return await consent.history(db, life.customer.id)


async def test_leaving_during_an_erasure_leaves_nothing(
    database: Database, shared_cluster: Cluster, nora: Life
) -> None:
    """Nothing is left to withdraw from, and nobody to write down that she did."""
    async with database.write(nora.business.id) as db:
        await privacy.erase(db, nora.actor, nora.customer.id)
        leaving = asyncio.create_task(_leave(database, nora))
        await _until_somebody_waits(shared_cluster)
    with pytest.raises(UnknownCustomer):
        await leaving

    assert await _history(database, nora) == []


async def test_the_living_are_spared(database: Database, nora: Life) -> None:
    """A sweep touches nobody who was not erased."""
    before = await _history(database, nora)
    async with database.write(nora.business.id) as db:
        assert await erase_traces(db) == 0

    assert await _history(database, nora) == before
