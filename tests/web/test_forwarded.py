"""Whose address a request has behind a proxy: the visitor's, if the proxy is trusted."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
from litestar.types import Receive, Scope, Send
from structlog.testing import capture_logs
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from crm.web.forwarded import believed, tells_untrusted

COMPOSE = Path(__file__).resolve().parents[2] / "deploy" / "compose.yaml"
VISITOR = "203.0.113.9"


async def seen(peer: str, trusted: str, *forwarded: str) -> tuple[str, list[str]]:
    """The address that the application sees, and which proxies the log names, of two requests."""
    found: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        found.append(scope["client"][0])  # type: ignore[index]

    around: Any = ProxyHeadersMiddleware(tells_untrusted(app), believed(trusted))  # type: ignore[arg-type]
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    with capture_logs() as logs:
        for _ in range(2):
            scope = {"type": "http", "client": (peer, 5), "headers": headers, "scheme": "http"}
            await around(scope, None, None)
    assert found[0] == found[1]
    assert {each["event"] for each in logs} <= {"proxy_not_trusted"}
    return found[0], [each["peer"] for each in logs]


async def test_behind_compose_each_visitor_has_her_own_address() -> None:
    """Its port is for the host alone: its proxy is the gateway, and no container is trusted."""
    file = COMPOSE.read_text()
    (gateway,) = re.findall(r"gateway: ([0-9.]+)", file)
    (subnet,) = re.findall(r"subnet: ([0-9./]+)", file)
    (trusted,) = re.findall(r"CRM_WEB__TRUSTED_PROXIES: (\S+)", file)
    first, second = list(ipaddress.ip_network(subnet).hosts())[:2]

    assert gateway == str(first)
    assert 'ports: ["127.0.0.1:8000:8000"]' in file
    assert await seen(gateway, trusted, VISITOR) == (VISITOR, [])
    assert await seen(str(second), trusted, VISITOR) == (str(second), [str(second)])


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "192.0.2.1, 127.0.0.1,"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fd00::1", "127.0.0.1,fd00::/8"),
        ("8.8.8.8", "*"),
        ("::ffff:8.8.8.8", "*"),
    ],
)
async def test_a_trusted_proxy_is_believed_however_its_address_arrives(
    peer: str, trusted: str
) -> None:
    """A socket that listens for both kinds of addresses says those of the older one mapped."""
    assert await seen(peer, trusted, VISITOR) == (VISITOR, [])


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("::ffff:127.0.0.2", "127.0.0.1"),
        ("::ffff:11.1.2.3", "10.0.0.0/8"),
        ("::1", "127.0.0.1"),
        ("::127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", ""),
    ],
)
async def test_nobody_else_is_believed(peer: str, trusted: str) -> None:
    assert (await seen(peer, trusted, VISITOR))[0] == peer


@pytest.mark.parametrize("proxy", ["127.0.0.1", "172.17.0.1", "fd00::1", "::ffff:172.17.0.1"])
async def test_a_proxy_that_is_not_trusted_is_told_once(proxy: str) -> None:
    assert await seen(proxy, "192.0.2.1", VISITOR) == (proxy, [proxy])


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        ("127.0.0.1", ["10.1.2.3"]),
        ("127.0.0.1", [VISITOR, "10.1.2.3:4711"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("127.0.0.1", [""]),
        ("127.0.0.1", []),
        ("172.17.0.9", []),
        # A stranger says what she likes, and is not believed.
        ("8.8.8.8", [VISITOR]),
        ("::ffff:8.8.8.8", [VISITOR]),
        ("a socket", [VISITOR]),
    ],
)
async def test_nothing_is_told_of_others(peer: str, forwarded: list[str]) -> None:
    """Of a trusted proxy, of a visitor of a private network behind it, of the world."""
    assert (await seen(peer, "127.0.0.1", *forwarded))[1] == []
