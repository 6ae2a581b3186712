"""A client for Python: `async with Client(origin, key) as client`. docs/client.md shows how.

It knows nothing of the service but what the OpenAPI document says: it needs httpx2 and msgspec.
"""

from __future__ import annotations

import asyncio
from typing import Self

import httpx2

from crm.client.calls import Calls
from crm.client.exchange import Exchange, Pause
from crm.client.lines import Lines, Truncated
from crm.client.refusals import (
    Changed,
    Conflict,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    Problem,
    TooMany,
    Unauthenticated,
    Unavailable,
    Wrong,
)
from crm.client.rows import Rows
from crm.client.webhook import BadSignature, Told, verify

__all__ = [
    "BadSignature",
    "Changed",
    "Client",
    "Conflict",
    "Forbidden",
    "Invalid",
    "Lines",
    "Malformed",
    "NotFound",
    "Problem",
    "Rows",
    "Told",
    "TooMany",
    "Truncated",
    "Unauthenticated",
    "Unavailable",
    "Wrong",
    "verify",
]


class Client(Calls):
    """Acts for the business whose key it carries; `origin` is as in `https://letters.example`.

    Calls that are safe to repeat are tried up to `attempts` times, through limits, restarts and
    lost connections. `timeout` is in seconds, for each attempt.
    """

    def __init__(
        self,
        origin: str,
        key: str,
        *,
        attempts: int = 5,
        timeout: float = 30.0,
        transport: httpx2.AsyncBaseTransport | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """Nothing is sent yet; `transport` and `pause` are for tests and for proxies."""
        self._http = httpx2.AsyncClient(
            base_url=origin,
            headers={"authorization": f"Bearer {key}", "user-agent": "firsthand-client/1"},
            timeout=timeout,
            transport=transport,
        )
        super().__init__(Exchange(self._http, attempts=attempts, pause=pause))

    async def __aenter__(self) -> Self:
        """Keep connections open from here on."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await self._http.aclose()
