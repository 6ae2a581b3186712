"""Two transactions at once, put in an order by the locks for which one waits for the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from crm.businesses import Business
from crm.db import Database, Db, parse
from tests.conftest import Cluster

_PID, _BLOCKED, _BLOCKS = parse(
    """-- name: own_pid
-- Which server process serves this transaction.
SELECT pg_backend_pid();

-- name: blocked
-- Whether that process waits for a lock.
SELECT cardinality(pg_blocking_pids(:pid::integer)) > 0;

-- name: blocks
-- Whether anybody waits for a lock of that process. The list of processes would be as it was when
-- this transaction looked first, without who connected since; that of locks is read anew.
SELECT EXISTS (SELECT FROM pg_locks l
                WHERE NOT l.granted AND :pid::integer = ANY (pg_blocking_pids(l.pid)));
"""
)

T = TypeVar("T")
Act = Callable[[Db], Awaitable[object]]


async def second(database: Database, business: Business, first: Act, then: Act) -> None:
    """Let `then` begin while `first` is written and not committed; commit when it waits."""
    async with database.write(business.id) as watch, database.write(business.id) as late:
        late_pid = await pid(late)
        async with database.write(business.id) as early:
            await first(early)
            task = asyncio.ensure_future(then(late))
            await blocked(watch, late_pid, task)
        await task


async def held_up(
    database: Database, business: Business, first: Act, asks: Coroutine[Any, Any, T]
) -> T:
    """Let a browser ask while `first` is written and not committed; commit when that waits."""
    async with database.write(business.id) as watch:
        async with database.write(business.id) as early:
            await first(early)
            task = asyncio.ensure_future(asks)
            await waited_for(watch, await pid(early), task)
        return await task


@asynccontextmanager
async def stubborn(cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """Open a transaction that PostgreSQL never ends for the sake of another, which is ended."""
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        async with conn.transaction():
            await conn.execute("SET LOCAL deadlock_timeout = '1h'")
            yield conn
    finally:
        await conn.close()


async def pid(db: Db) -> int:
    """Which server process serves a transaction."""
    return await db.one(_PID, int)


async def blocked(watch: Db, pid: int, task: asyncio.Future[Any]) -> None:
    """Return once what that process does for a task waits for a lock."""
    while not task.done() and not await watch.one(_BLOCKED, bool, pid=pid):
        continue
    assert not task.done(), "it did not wait"


async def waited_for(watch: Db, pid: int, task: asyncio.Future[Any]) -> None:
    """Return once a task waits for a lock which that process holds."""
    while not task.done() and not await watch.one(_BLOCKS, bool, pid=pid):
        continue
    assert not task.done(), "it did not wait"
