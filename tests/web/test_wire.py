"""An answer leaves in one piece, and nothing of it is kept back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import uvicorn
from litestar import Litestar, Request, get, post
from litestar.response import Stream

from crm.bench.stage import free_port
from crm.web.wire import Holding, OnePiece

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Heard:
    """The other side of a transport."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def holding(heard: Heard) -> Holding:
    return Holding(cast("asyncio.Transport", heard), asyncio.get_running_loop())


async def test_head_and_body_are_one_piece() -> None:
    heard = Heard()
    transport = holding(heard)
    for _ in range(2):
        transport.write(HEAD)
        transport.write(b"{}")
    await asyncio.sleep(0)
    assert heard.pieces == [HEAD + b"{}"] * 2


async def test_a_head_without_a_body_leaves_in_the_next_turn() -> None:
    heard = Heard()
    transport = holding(heard)
    transport.write(HEAD)
    assert heard.pieces == []
    await asyncio.sleep(0)
    assert heard.pieces == [HEAD]
    transport.write(b"piece")
    transport.write(b"piece")
    assert heard.pieces == [HEAD, b"piece", b"piece"]


async def test_what_is_held_leaves_before_the_end() -> None:
    heard = Heard()
    transport = holding(heard)
    transport.write(HEAD)
    transport.close()
    assert (heard.pieces, transport.is_closing()) == ([HEAD], True)


@get("/empty", status_code=204)
async def get_empty() -> None:
    """Answer with a head alone."""


@post("/echo")
async def post_echo(request: Request[Any, Any, Any]) -> bytes:
    """Answer with what was sent."""
    return await request.body()


@get("/stream")
async def get_stream() -> Stream:
    """Answer bit by bit: what comes later waits until the client has what came before."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await READ.wait()
        yield b"HTTP/1.1 is the last"

    return Stream(pieces())


READ = asyncio.Event()


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    app = Litestar([get_empty, post_echo, get_stream], openapi_config=None, logging_config=None)
    port = free_port()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, http=OnePiece, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())  # noqa: SLF001  (`serve` takes the signals)
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110  (uvicorn tells nobody)
                await asyncio.sleep(0)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


async def test_a_server_answers_so() -> None:
    async with served() as url, httpx2.AsyncClient(base_url=url) as client, asyncio.timeout(20):
        for size in (0, 2, 1_000_000):
            echo = await client.post("/echo", content=b"x" * size)
            assert (echo.status_code, len(echo.content)) == (201, size)
        assert (await client.get("/empty")).status_code == 204
        async with client.stream("GET", "/stream") as stream:
            pieces = stream.aiter_bytes()
            assert await anext(pieces) == b"first"
            READ.set()
            assert b"".join([piece async for piece in pieces]) == b"HTTP/1.1 is the last"
        headers = {"connection": "close", "expect": "100-continue"}
        last = await client.post("/echo", content=b"ab", headers=headers)
        assert last.content == b"ab"
