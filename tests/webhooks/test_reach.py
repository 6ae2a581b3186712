"""Posts go where a name leads at that moment if it may lead there, and nowhere else (SSRF)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from crm.webhooks.transport import way
from tests.webhooks.receiver import Receiver, Reply, receiver

PUBLIC = "93.184.215.14"
HEADERS = {"webhook-id": "an-id"}


class Resolver:
    """A name server that leads elsewhere each time that it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.left = list(answers)

    def __call__(self, _host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        """Answer like `socket.getaddrinfo`; asked too often it fails."""
        found = self.left.pop(0)
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", at)
            for each in found
            for at in [(each, port)]
        ]


async def _posted(url: str, *, local: bool, tls: ssl.SSLContext | None = None) -> tuple[Any, str]:
    context = tls or ssl.create_default_context()
    async with way(local=local, connections=2, tls=context) as out:
        answer = await out.post(url, HEADERS, b"{}")
    return answer.status, answer.trouble


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["fe80::1%1"],
        ["::ffff:192.168.0.1"],
        ["100.64.0.1"],
        # Those that a gateway, a tunnel or an old kernel takes for the address inside.
        ["64:ff9b::a9fe:a9fe"],
        ["64:ff9b:1::a00:1"],
        ["2002:7f00:1::"],
        ["2001:0:5db8:d70e::"],
        ["::7f00:1"],
        ["fec0::1"],
        ["224.0.0.1"],
        ["ff0e::1"],
        [PUBLIC, "192.168.0.1"],
    ],
)
async def test_a_name_with_any_private_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, found: list[str], there: Receiver
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver(found))
    url = f"http://rebind.example:{there.port}/"
    assert await _posted(url, local=False) == (None, "name_private")
    assert there.heard == []


async def test_what_was_looked_at_is_what_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, there: Receiver
) -> None:
    """A name server that would answer otherwise the second time is not asked a second time."""
    resolver = Resolver(["127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    url = f"http://rebind.example:{there.port}/events"
    assert await _posted(url, local=True) == (200, "")
    assert resolver.left == []
    # By its name, which is what a certificate and a virtual host go by.
    assert there.heard[0].headers["host"] == f"rebind.example:{there.port}"


@asynccontextmanager
async def _by_tls(authority: trustme.CA, name: str) -> AsyncIterator[int]:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(served)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 So\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=served)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("name", "came"), [("shop.example", (204, "")), ("other.example", (None, "no_tls"))]
)
async def test_the_certificate_is_for_the_name_and_not_for_the_address(
    monkeypatch: pytest.MonkeyPatch, name: str, came: tuple[int | None, str]
) -> None:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with _by_tls(authority, name) as port:
        monkeypatch.setattr(socket, "getaddrinfo", Resolver(["127.0.0.1"]))
        url = f"https://shop.example:{port}/"
        assert await _posted(url, local=True, tls=trusting) == came


async def test_what_answers_no_http_or_nothing_is_said_in_a_word() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"SSH-2.0-nonsense\r\n\r\n")
        writer.close()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    port = 0
    for serve, trouble in ((nonsense, "no_http"), (silence, "no_http")):
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert await _posted(f"http://127.0.0.1:{port}/", local=True) == (None, trouble)
        server.close()
    assert await _posted(f"http://127.0.0.1:{port}/", local=True) == (None, "no_connection")


async def test_of_a_long_answer_the_beginning_is_heard_and_proxies_are_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9/")
    async with receiver() as there:
        there.answer = lambda _: Reply(200, body=b"x" * 20_000_000)
        async with way(local=True, connections=1, tls=ssl.create_default_context()) as out:
            answer = await out.post(there.url, HEADERS, b"{}")
    assert answer.arrived
    assert len(answer.body) == 4096
    assert "accept-encoding" in there.heard[0].headers
