"""Somebody at the pages of a business, or a program at its API, through the whole application."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from ipaddress import IPv4Address

import httpx2
from litestar.types import ASGIApp

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
# Limits count per network: each browser has an address of its own, of RFC 2544's test networks.
_ADDRESSES = itertools.cycle(range(int(IPv4Address("198.18.0.1")), int(IPv4Address("198.20.0.0"))))


class Browser(httpx2.AsyncClient):
    """Follows no redirect and keeps cookies; `headers` may hold a key."""

    def __init__(self, site: ASGIApp, origin: str) -> None:
        """Come from a network of its own to the host of a business."""
        client = (str(IPv4Address(next(_ADDRESSES))), 50_000)
        transport = httpx2.ASGITransport(app=site, client=client)  # type: ignore[arg-type]
        super().__init__(transport=transport, base_url=origin)

    async def token(self, path: str) -> str:
        """Read the token that the forms of a page carry; empty where it has none."""
        found = _CSRF.search((await self.get(path)).text)
        return found[1] if found else ""

    async def fill(
        self, path: str, action: str = "", **fields: str | Sequence[str]
    ) -> httpx2.Response:
        """Open a page and send its form, with the token that stands in it."""
        return await self.post(action or path, data={**fields, "csrf": await self.token(path)})
