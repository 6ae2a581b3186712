"""A client on the whole application, over a transport that can be made to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from litestar.types import ASGIApp

from crm.businesses import Business
from crm.client import Client
from crm.db import Database
from tests import make
from tests.browser import Browser

# Given to a way, it does as told before, or after, the service has done what was asked.
LOST = "lost"
AWAY = "away"


class Way(httpx2.ASGITransport):
    """A way to the service: takes from `faults` what becomes of the next requests."""

    def __init__(self, site: ASGIApp) -> None:
        super().__init__(app=site, client=("198.18.255.1", 50_000))  # type: ignore[arg-type]
        self.faults: list[str | httpx2.Response] = []
        self.sent: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Fail as told, else pass it on."""
        self.sent.append(request)
        fault = self.faults.pop(0) if self.faults else None
        if fault == AWAY:
            raise httpx2.ConnectError("Nobody listens there.")
        if isinstance(fault, httpx2.Response):
            return fault
        answer = await super().handle_async_request(request)
        if fault == LOST:
            await answer.aclose()
            raise httpx2.ReadError("The connection was cut before the answer came.")
        return answer


class Pauses:
    """Waits for nothing and remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def way(site: ASGIApp) -> Way:
    """The way of this test's client."""
    return Way(site)


@pytest.fixture
def pauses() -> Pauses:
    """How long this test's client waited."""
    return Pauses()


@pytest.fixture
async def client(
    site: ASGIApp, database: Database, business: Business, way: Way, pauses: Pauses
) -> AsyncIterator[Client]:
    """A client with a key that may do everything."""
    async with Browser(site, business.origin) as program:
        await make.let_in_by_key(database, business, program)
        key = program.headers["authorization"].removeprefix("Bearer ")
    settings: dict[str, Any] = {"transport": way, "pause": pauses}
    async with Client(business.origin, key, **settings) as opened:
        yield opened
