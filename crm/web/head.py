"""HEAD answers as GET does, without the body (RFC 9110 §9.3.2), for every route at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

# In the state of a request of which nobody will read the body: who makes a long one makes none.
BODILESS = "bodiless"


def allowed(methods: Iterable[str]) -> str:
    """Write the methods of a path for the `Allow` header."""
    named = set(methods)
    return ", ".join(sorted(named | ({"HEAD"} if "GET" in named else set())))


def answers_head(app: ASGIApp) -> ASGIApp:
    """Wrap the whole application: routing comes before any middleware, so this is outside."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "HEAD":
            await app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        state = {**scope.get("state", {}), BODILESS: True}
        as_get = {**scope, "method": "GET", "state": state}
        await app(cast("Scope", as_get), receive, without_body)

    return answer
