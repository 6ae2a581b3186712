"""Two transactions at once, put in an order by the locks for which one waits for the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from crm.businesses import Business
from crm.db import Database, Db, parse

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
            early_pid = await pid(early)
            task = asyncio.ensure_future(asks)
            while not task.done() and not await watch.one(_BLOCKS, bool, pid=early_pid):
                continue
            assert not task.done(), "it did not wait"
        return await task


async def pid(db: Db) -> int:
    """Which server process serves a transaction."""
    return await db.one(_PID, int)


async def blocked(watch: Db, pid: int, task: asyncio.Future[Any]) -> None:
    """Return once what that process does for a task waits for a lock."""
    while not task.done() and not await watch.one(_BLOCKED, bool, pid=pid):
        continue
    assert not task.done(), "it did not wait"
