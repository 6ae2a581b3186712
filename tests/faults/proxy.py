"""A proxy that is the network on a bad day: slow, cut, or silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Opens = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Proxy:
    """Passes bytes on both ways, as the weather allows."""

    def __init__(self, opens: Opens) -> None:
        self.port = 0
        self.latency = 0.0
        self._opens = opens
        self._clear = asyncio.Event()
        self._clear.set()
        self._open: set[asyncio.StreamWriter] = set()

    def reset(self) -> None:
        """Cut every connection, without a goodbye."""
        for writer in tuple(self._open):
            writer.transport.abort()

    async def black_hole(self, seconds: float) -> None:
        """Let nothing through for a while, and say nothing either."""
        self._clear.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._clear.set()

    async def slow(self, seconds: float, latency: float) -> None:
        """Delay every piece for a while."""
        self.latency = latency
        try:
            await asyncio.sleep(seconds)
        finally:
            self.latency = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        try:
            far_reader, far_writer = await self._opens()
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self._open.update(pair)
        ways = [
            asyncio.create_task(self._pass(reader, far_writer)),
            asyncio.create_task(self._pass(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open.difference_update(pair)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in pair:
                each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.latency)
                await self._clear.wait()
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxied(opens: Opens) -> AsyncIterator[Proxy]:
    """A proxy on this machine for the time of the block."""
    proxy = Proxy(opens)
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(begin, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()
