"""A system that events are told to: it answers as a test wants, and remembers what came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec import Struct


class Heard(Struct, frozen=True):
    """One post as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its webhook-id."""
        return self.headers["webhook-id"]

    @property
    def told(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found

    @property
    def kind(self) -> str:
        """Of which kind the event is."""
        kind: str = self.told["type"]
        return kind


class Reply(Struct, frozen=True):
    """What is answered; `holds` keeps the answer back until it is set."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    holds: asyncio.Event | None = None


class Receiver(Struct):
    """Where to post to, what came, and how it is answered."""

    heard: list[Heard] = []
    answer: Callable[[Heard], Reply] = lambda _: Reply()
    port: int = 0
    came: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/events"

    @property
    def kinds(self) -> list[str]:
        """What came, in its order."""
        return [each.kind for each in self.heard]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
                headers = {name.lower(): value for name, _, value in lines}
                body = await reader.readexactly(int(headers["content-length"]))
                heard = Heard(headers, body)
                self.heard.append(heard)
                self.came.set()
                reply = self.answer(heard)
                if reply.holds is not None:
                    await reply.holds.wait()
                more = {"content-length": str(len(reply.body)), **reply.headers}
                rows = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(f"HTTP/1.1 {reply.status} So\r\n{rows}\r\n".encode() + reply.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Listen until the block ends."""
    found = Receiver(heard=[])
    server = await asyncio.start_server(found._serve, "127.0.0.1", 0)  # noqa: SLF001  (its own)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
