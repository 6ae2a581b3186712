"""Wakes: hints through Redis that a job may run now. The rows are the truth; losing one is fine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import urlsplit

import msgspec
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisSlow

from crm.log import logger

_log = logger(__name__)
_PATIENCE = 2.0


def redis_settings(url: str) -> RedisSettings:
    """Read `redis://`, `rediss://` or `unix://` for arq, so that a worker outlives a restart."""
    parts = urlsplit(url)
    settings = RedisSettings(
        conn_timeout=5,
        retry_on_timeout=True,
        # Without OSError among what is retried, a worker dies when Redis restarts.
        retry_on_error=[RedisGone, RedisSlow, OSError],
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), 30),
    )
    if parts.scheme == "unix":
        return replace(settings, unix_socket_path=parts.path)
    return replace(
        settings,
        host=parts.hostname or "localhost",
        port=parts.port or 6379,
        username=parts.username,
        password=parts.password,
        ssl=parts.scheme == "rediss",
        database=int(parts.path.strip("/") or 0),
    )


async def open_pool(url: str) -> ArqRedis:
    """Connect to Redis with the serializer that both sides use: no pickle."""
    return await create_pool(
        redis_settings(url),
        job_serializer=msgspec.msgpack.encode,
        job_deserializer=msgspec.msgpack.decode,
    )


class Waker:
    """Sends wakes after a commit; a failure is logged and swallowed, because a sweep follows."""

    def __init__(self, pool: ArqRedis) -> None:
        """Wake through this pool."""
        self._pool = pool

    async def __call__(self, job: str, args: tuple[str, ...], slot: str) -> None:
        """Hint that `job` may run; a slot that is queued already is not queued twice."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._pool.enqueue_job(job, *args, _job_id=f"{job}:{slot}" if slot else None)
        except (RedisError, OSError, TimeoutError) as wrong:
            _log.warning("wake_lost", job=job, error=type(wrong).__name__)
