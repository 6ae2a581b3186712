"""What time it is: PostgreSQL's, for every process that uses it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic

import asyncpg

from crm.connections import Connections
from crm.log import logger

_log = logger(__name__)

_EVERY = 2.0
# What a reading differs by because it took a while to arrive is no difference.
_TOLERANCE = 0.25
_READING = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Clock:
    """PostgreSQL's clock, read every two seconds and carried on by the monotonic one in between.

    Leases, retries and rates of several machines are compared with one another, so all go by one
    clock; that of a machine may be wrong, or jump, and nothing follows from it.
    """

    def __init__(self, connections: Connections) -> None:
        """Know no time yet: `read` first."""
        self._connections = connections
        self._at: datetime | None = None
        self._since = 0.0

    def __call__(self) -> datetime:
        """Say what time it is."""
        if self._at is None:
            message = "the clock was not read yet"
            raise RuntimeError(message)
        return self._at + timedelta(seconds=monotonic() - self._since)

    async def read(self) -> None:
        """Ask PostgreSQL, and go by its answer."""
        conn = await self._connections.take()
        try:
            asked = monotonic()
            at: datetime = await conn.fetchval("SELECT clock_timestamp()")
        except BaseException as error:
            self._connections.bring(conn, error)
            raise
        self._connections.bring(conn)
        off = 0.0 if self._at is None else (at - self()).total_seconds()
        if self._at is None or abs(off) > _TOLERANCE + (monotonic() - asked):
            if self._at is not None:
                _log.warning("clock_moved", seconds=round(off, 1))
            self._at, self._since = at, asked

    async def follow(self) -> None:
        """Read it again and again, until cancelled; while PostgreSQL is away time goes on."""
        while True:
            await asyncio.sleep(_EVERY)
            with suppress(*_READING):
                await self.read()


def utc_now() -> datetime:
    """Read this machine's clock: for what is compared with no row."""
    return datetime.now(UTC)
