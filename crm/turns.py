"""What a worker does by itself: it keeps the schedule, and works without Redis while that is away.

Turns are waited for on the monotonic clock and numbered by the clock of the database, so that a
machine whose time is wrong, or jumps, neither leaves out a turn nor takes one twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from crm.db import Wake
from crm.log import logger

_log = logger(__name__)

_MINUTE = 60
_AT_ONCE = 16

Job = Callable[..., Awaitable[None]]
Jobs = Mapping[str, tuple[Job, int]]


async def keep(schedule: Jobs, wake: Wake, clock: Callable[[], datetime]) -> None:
    """Wake every job of the schedule at its turns, until cancelled; workers share each turn."""
    async with asyncio.TaskGroup() as group:
        for name, (_, every) in schedule.items():
            group.create_task(_repeat(name, every, wake, clock))


async def _repeat(name: str, every: int, wake: Wake, clock: Callable[[], datetime]) -> None:
    if every < _MINUTE:
        # What a killed worker left is looked for at once.
        await wake(name, (), "")
    while True:
        now = clock().timestamp()
        turn = int(now // every) + 1
        await asyncio.sleep(turn * every - now)
        await wake(name, (), str(turn))


class Here:
    """Jobs done in this process, as many at once as a worker does; each at most once at a time."""

    def __init__(self, jobs: Jobs, ctx: dict[str, Any]) -> None:
        """Do nothing yet; a job's number is how many seconds it may take."""
        self._jobs = jobs
        self._ctx = ctx
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._doing: dict[tuple[str, tuple[str, ...], str], asyncio.Task[None]] = {}
        self._again: set[tuple[str, tuple[str, ...], str]] = set()

    def __call__(self, job: str, args: tuple[str, ...], slot: str) -> None:
        """Do it soon; once more where it is being done already."""
        key = (job, args, slot)
        if key in self._doing:
            self._again.add(key)
            return
        self._doing[key] = asyncio.create_task(self._do(key))

    async def close(self) -> None:
        """Let what is being done settle, and end."""
        tasks = list(self._doing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _do(self, key: tuple[str, tuple[str, ...], str]) -> None:
        name, args, _ = key
        job, seconds = self._jobs[name]
        more = True
        try:
            while more:
                self._again.discard(key)
                async with self._room:
                    try:
                        async with asyncio.timeout(seconds):
                            await job(self._ctx, *args)
                    except TimeoutError:
                        _log.warning("job_took_too_long", job=name)
                more = key in self._again
        finally:
            del self._doing[key]
            self._again.discard(key)
