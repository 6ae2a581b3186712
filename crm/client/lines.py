"""Everything in one answer, line by line: read as it comes, and known as whole by its last line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from hashlib import sha256
from typing import Generic, TypeVar

import httpx2
import msgspec
from msgspec import Struct

from crm.client.exchange import Asked, Exchange

R = TypeVar("R")

_LAST = (b'{"closing":', b'{"stopped":')


class Truncated(Exception):
    """The answer is not whole: what came is right, and something is missing. Ask again.

    `code` says why the service stopped, as in `unknown_key`; it is empty where nobody said so.
    """

    def __init__(self, message: str = "", code: str = "") -> None:
        """Say what is known of it."""
        super().__init__(message or "The answer ended before its closing record.")
        self.code = code


class _Closing(Struct):
    count: int
    sha256: str


class _Stopped(Struct):
    code: str
    detail: str


class _Last(Struct):
    closing: _Closing | None = None
    stopped: _Stopped | None = None


class Lines(Generic[R]):
    """`async for row in lines`: one request, in memory for one piece of it.

    At the end it compares the closing record with what came, and raises Truncated unless all of it
    did; until then nobody can know. Each walk through it asks anew.
    """

    def __init__(self, exchange: Exchange, asked: Asked, row: type[R]) -> None:
        """Ask when the first row is wanted."""
        self._exchange = exchange
        self._asked = asked
        self._row = row

    async def __aiter__(self) -> AsyncIterator[R]:
        """Give row after row."""
        decoder = msgspec.json.Decoder(self._row)
        summed, count, last = sha256(), 0, None
        async with aclosing(self._split()) as lines:
            async for line in lines:
                if last is not None:
                    raise Truncated("Something follows the closing record.")
                if line.startswith(_LAST):
                    last = msgspec.json.decode(line, type=_Last)
                    continue
                yield decoder.decode(line)
                summed.update(line)
                count += 1
        _compare(last, _Closing(count, summed.hexdigest()))

    async def _split(self) -> AsyncGenerator[bytes, None]:
        held: list[bytes] = []
        try:
            async with self._exchange.opened(self._asked) as answer:
                async for piece in answer.aiter_bytes():
                    first, *lines = piece.split(b"\n")
                    held.append(first)
                    for line in lines:
                        yield b"".join(held) + b"\n"
                        held = [line]
        except httpx2.TransportError as lost:
            raise Truncated from lost
        if any(held):
            raise Truncated


def _compare(last: _Last | None, came: _Closing) -> None:
    if last is not None and last.stopped is not None:
        raise Truncated(last.stopped.detail, last.stopped.code)
    if last is None or last.closing is None:
        raise Truncated
    if last.closing != came:
        message = f"{came.count} lines came of {last.closing.count}, or others than were sent."
        raise Truncated(message)
