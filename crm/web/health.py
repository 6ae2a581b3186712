"""/health: what this process needs, each told apart, and nothing that a stranger can use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

# A load balancer gives up at about five seconds; so does a person.
_PATIENCE = 2.0

Check = Callable[[], Awaitable[str]]


class Need(Struct, frozen=True):
    """One thing to look at: `check` returns "" when all is well, or what is wrong in a few words.

    Without what is `vital` nothing can be served; without the rest, work waits (Redis).
    """

    check: Check
    vital: bool = True


def health(needs: Mapping[str, Need]) -> HTTPRouteHandler:
    """Make the handler: 503 when something vital is missing, 200 otherwise."""

    @get("/health", include_in_schema=False)
    async def get_health() -> Response[bytes]:
        """Look at everything at once."""
        found = await asyncio.gather(*(_looked(need) for need in needs.values()))
        wrong = dict(zip(needs, found, strict=True))
        failing = any(wrong[name] and need.vital for name, need in needs.items())
        state = "failing" if failing else "degraded" if any(wrong.values()) else "ok"
        body: dict[str, Any] = {
            "status": state,
            "checks": {name: words or "ok" for name, words in wrong.items()},
        }
        return Response(
            msgspec.json.encode(body),
            status_code=503 if failing else 200,
            media_type="application/json",
        )

    return get_health


async def _looked(need: Need) -> str:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await need.check()
    except TimeoutError:
        return "does not answer"
    except Exception:  # noqa: BLE001  (whatever it is, it is not reached, and its words stay here)
        return "not reached"
