"""A client that asks as fast as it is answered: HTTP/1.1, connections kept open, no library."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import cast

from msgspec import Struct

from crm.bench.relay import Failed

CONNECTIONS = 16
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Traffic(Struct, frozen=True):
    """What a run came to."""

    per_second: float
    median_ms: float
    p99_ms: float


class _Lane(asyncio.Protocol):
    """One connection; the next request leaves when the last answer is complete."""

    def __init__(self, requests: Iterator[bytes], expected: int, took: list[float]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._expected = b"HTTP/1.1 %d " % expected
        self._took = took
        self._buffer = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Wait for the whole answer, then ask again."""
        self._buffer += data
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end)
        if len(self._buffer) < end + len(_HEAD_END) + (int(length[1]) if length else 0):
            return
        answer, self._buffer = self._buffer, b""
        self._took.append(time.perf_counter() - self._asked_at)
        if answer.startswith(self._expected):
            self._ask()
        else:
            self._fail(answer[:1000].decode(errors="replace"))

    def connection_lost(self, _exc: Exception | None) -> None:
        """Say so, unless all was done."""
        self._fail("the connection was closed")

    def _ask(self) -> None:
        request = next(self._requests, None)
        if request is not None and self._transport is not None:
            self._asked_at = time.perf_counter()
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(Failed(f"unexpected answer: {why}"))


async def drive(
    port: int, requests: Sequence[bytes], expected: int, *, connections: int = CONNECTIONS
) -> Traffic:
    """Send all requests over some connections; every answer must have the expected status."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    shared = iter(requests)
    began = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: _Lane(shared, expected, took), "127.0.0.1", port)
        for _ in range(connections)
    ]
    try:
        await asyncio.gather(*(lane.done for _, lane in opened))
    finally:
        for transport, _ in opened:
            transport.abort()
    seconds = time.perf_counter() - began
    late = sorted(took)[int(len(took) * 0.99)]
    return Traffic(len(requests) / seconds, median(took) * 1000, late * 1000)


def request(method: str, path: str, key: str, body: bytes = b"", extra: str = "") -> bytes:
    """Write a request of the API with its key."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n{extra}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
