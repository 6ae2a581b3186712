"""An answer leaves in one piece: uvicorn writes its head and its body one after the other.

Each write wakes the client, and costs both sides as much as a small statement.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1.1 "


class OnePiece(HttpToolsProtocol):
    """uvicorn's protocol on a transport that holds a head until the body comes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, on such a transport."""
        super().connection_made(cast("asyncio.Transport", Holding(transport, self.loop)))


class Holding:
    """A transport that writes the head of an answer with what follows, or in the next turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Hold nothing yet."""
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write, unless it is a head: no more than that is ever held, so nothing piles up here."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(_HEAD):
            self._held = data
            self._loop.call_soon(self._write_held)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close when all is written."""
        self._write_held()
        self._transport.close()

    def _write_held(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        """Be the transport in everything else."""
        return getattr(self._transport, name)
