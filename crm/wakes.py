"""Wakes: hints through Redis that a job may run now. The rows are the truth; losing one is fine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import msgspec
from arq.connections import ArqRedis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisSlow

from crm.log import logger

_log = logger(__name__)
_PATIENCE = 2.0
# Once a wake was lost, nobody waits for Redis again for so many seconds.
_PAUSE = 5.0

Instead = Callable[[str, tuple[str, ...], str], None]


def open_pool(url: str) -> ArqRedis:
    """Open nothing yet: a connection is made when it is used, for Redis may be away.

    Both sides use this serializer: no pickle. Raises ValueError for what is no address.
    """
    return ArqRedis(
        job_serializer=msgspec.msgpack.encode,
        job_deserializer=msgspec.msgpack.decode,
        encoding="utf8",
        socket_connect_timeout=5,
        retry_on_timeout=True,
        # A restart is waited out; a connection tries anew within each try, so these are multiplied.
        retry_on_error=[RedisGone, RedisSlow, OSError],
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        **_address(url),
    )


def _address(url: str) -> dict[str, Any]:
    """Read `redis://`, `rediss://` or `unix://`."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return {"unix_socket_path": parts.path}
    return {
        "host": parts.hostname or "localhost",
        "port": parts.port or 6379,
        "username": parts.username,
        "password": parts.password,
        "ssl": parts.scheme == "rediss",
        "db": int(parts.path.strip("/") or 0),
    }


class Waker:
    """Sends wakes after a commit; one that is lost is logged and swallowed: a sweep follows.

    A worker does itself, `instead`, what it cannot tell Redis.
    """

    def __init__(self, pool: ArqRedis, instead: Instead | None = None) -> None:
        """Wake through this pool."""
        self._pool = pool
        self._instead = instead
        self._away_until = 0.0

    async def __call__(self, job: str, args: tuple[str, ...], slot: str) -> None:
        """Hint that `job` may run; a slot that is queued already is not queued twice."""
        if monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._pool.enqueue_job(
                        job, *args, _job_id=f"{job}:{slot}" if slot else None
                    )
            except (RedisError, OSError, TimeoutError) as wrong:
                self._away_until = monotonic() + _PAUSE
                _log.warning("wake_lost", job=job, error=type(wrong).__name__)
            else:
                return
        if self._instead is not None:
            self._instead(job, args, slot)
