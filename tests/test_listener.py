"""A worker looks into the queue often, and asks little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import uuid4

import msgspec
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from arq.typing import WorkerCoroutine
from arq.worker import func

from crm.wakes import open_pool
from crm.worker import Listener

# Four questions were asked about each of them.
MANY = 20


class Bench:
    """A queue of its own, a listener, and which jobs it has begun."""

    def __init__(self, pool: ArqRedis) -> None:
        """Hold nothing yet."""
        self.pool = pool
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.go_on = asyncio.Event()
        self._queue = f"queue:{uuid4().hex}"
        self.listener = Listener(
            functions=[func(cast("WorkerCoroutine", self._work), name="work")],
            queue_name=self._queue,
            redis_pool=pool,
            job_serializer=msgspec.msgpack.encode,
            job_deserializer=msgspec.msgpack.decode,
            handle_signals=False,
            keep_result=0,
        )

    async def _work(self, _ctx: dict[str, Any], which: str) -> None:
        self.begun.put_nowait(which)
        await self.go_on.wait()

    async def queued(self, which: str, *, at_work: bool = False) -> bytes:
        """Queue a job, which another worker may be at."""
        job_id = f"work:{which}:{uuid4().hex}"
        await self.pool.enqueue_job("work", which, _job_id=job_id, _queue_name=self._queue)
        if at_work:
            await self.pool.psetex(in_progress_key_prefix + job_id, 60_000, b"1")
        return job_id.encode()

    async def asked(self) -> int:
        """Count what this connection has asked."""
        return int((await self.pool.client_info())["tot-cmds"])


@asynccontextmanager
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    """Let what was begun end."""
    pool = open_pool(redis_url)
    made = Bench(pool)
    try:
        yield made
    finally:
        made.go_on.set()
        await asyncio.gather(*made.listener.tasks.values())
        await pool.aclose()


async def test_what_is_at_work_elsewhere_is_one_question(redis_url: str) -> None:
    """However much it is; what nobody is at is begun."""
    async with bench(redis_url) as here:
        elsewhere = [await here.queued("theirs", at_work=True) for _ in range(MANY)]
        before = await here.asked()
        await here.listener.start_jobs(elsewhere)
        assert await here.asked() - before <= 1 + 1  # and the one that counts
        assert not here.listener.tasks

        await here.listener.start_jobs([*elsewhere, await here.queued("ours")])
        assert await here.begun.get() == "ours"
        assert len(here.listener.tasks) == 1


async def test_what_is_at_work_here_is_no_question(redis_url: str) -> None:
    """It stays in the queue until it is done, and is begun once."""
    async with bench(redis_url) as here:
        ours = await here.queued("ours")
        await here.listener.start_jobs([ours])
        assert await here.begun.get() == "ours"
        before = await here.asked()
        await here.listener.start_jobs([ours])
        assert await here.asked() - before == 1
        assert here.begun.empty()
