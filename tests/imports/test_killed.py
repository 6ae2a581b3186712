"""An import killed half-way has not been, and the next one goes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from crm import imports
from crm.businesses import Business
from crm.db import Database, open_database
from crm.events import Actor
from crm.imports import AnotherRuns, Import, State, jobs
from crm.settings import Settings
from tests import make
from tests.commands import ended, forked
from tests.conftest import KEYS, Cluster
from tests.imports.lists import SLUG, letter, many, rows, tally
from tests.imports.stopped import bring

_ROWS = 5_000
_WRITTEN = ("customer", "consent", "consent_event", "consent_record", "import_row")


@pytest.fixture
async def bakery(own_database: Database) -> Business:
    """A business in a database of its own: processes come and go in it."""
    business = await make.business(own_database)
    await letter(own_database, business.id)
    return business


async def _killed_half_way(cluster: Cluster, business_id: UUID, what: str) -> None:
    """Start an import in a process of its own and kill it while it has read some rows."""
    running = forked(bring, cluster.app_url, str(business_id), what)
    watch = await asyncpg.connect(cluster.superuser_url)
    try:
        async with asyncio.timeout(60):
            while not await watch.fetchval(
                "SELECT max(rows_read) FROM crm.import WHERE state = 'running'"
            ):
                assert running.exitcode is None, "it was done before it could be killed"
                await asyncio.sleep(0.01)
            running.kill()
            await ended(running)
            # The server notices by itself that nobody is there any more.
            while await watch.fetchval(  # noqa: ASYNC110  (PostgreSQL tells nobody)
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'crm_app'"
                " AND application_name = 'firsthand' AND datname = current_database()"
                " AND state <> 'idle'"
            ):
                await asyncio.sleep(0.01)
    finally:
        await watch.close()


async def test_at_the_terminal(
    own_cluster: Cluster, own_database: Database, bakery: Business, tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    path.write_text(many(_ROWS))

    await _killed_half_way(own_cluster, bakery.id, str(path))

    for table in _WRITTEN:
        assert await rows(own_database, bakery.id, table) == 0, table
    done = await imports.work_file(own_database, bakery.id, Actor.system(), SLUG, path)
    assert tally(done) == (_ROWS, 0, 0, 0)
    async with own_database.read(bakery.id) as db:
        [last, first] = await imports.page(db)
    assert last == done
    assert first.state is State.failed
    assert "Nothing of it was kept" in first.problem


async def test_in_a_worker(own_cluster: Cluster, own_database: Database, bakery: Business) -> None:
    async with own_database.write(bakery.id) as db:
        received = await make.received(db, SLUG, many(_ROWS))

    await _killed_half_way(own_cluster, bakery.id, str(received.id))

    for table in _WRITTEN:
        assert await rows(own_database, bakery.id, table) == 0, table
    await _swept(own_cluster, later=timedelta(seconds=30))
    assert (await _now(own_database, bakery, received)).state is State.running
    await _swept(own_cluster, later=timedelta(minutes=3))
    done = await _now(own_database, bakery, received)
    assert (done.state, tally(done)) == (State.done, (_ROWS, 0, 0, 0))
    assert await rows(own_database, bakery.id, "import_file") == 0


async def _now(database: Database, business: Business, received: Import) -> Import:
    async with database.read(business.id) as db:
        return await imports.get(db, received.id)


async def _swept(cluster: Cluster, *, later: timedelta) -> None:
    """Let a worker sweep at a later time, and do what the sweep wakes."""
    woken: list[tuple[str, ...]] = []

    async def wake(job: str, args: tuple[str, ...], _slot: str) -> None:
        assert job == "imports.work"
        woken.append(args)

    async with _at(cluster, later, wake) as database:
        settings = Settings(link_keys="", storage_keys="", pepper="")
        ctx: jobs.Ctx = {"database": database, "settings": settings}
        await jobs.sweep(ctx)
        for business, import_id in woken:
            await jobs.work(ctx, business, import_id)


@asynccontextmanager
async def _at(cluster: Cluster, later: timedelta, wake: object) -> AsyncIterator[Database]:
    def clock() -> datetime:
        return datetime.now(UTC) + later

    async with open_database(cluster.app_url, KEYS, wake=wake, clock=clock) as opened:  # type: ignore[arg-type]  # the test's own function
        yield opened


async def test_a_worker_that_is_stopped_leaves_it_for_the_next(
    database: Database, business: Business
) -> None:
    await letter(database, business.id)
    async with database.write(business.id) as db:
        received = await make.received(db, SLUG, many(_ROWS))
    working = asyncio.create_task(imports.work_waiting(database, business.id, received.id))
    async with asyncio.timeout(60):
        while not (await _now(database, business, received)).rows_read:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working

    assert await rows(database, business.id, "customer") == 0
    assert (await _now(database, business, received)).state is State.running
    assert await rows(database, business.id, "import_file") == 1
    assert AnotherRuns().code == "another_runs"
