"""Nothing is served while the database is not the continuation of the journal."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from crm.journal import PutBack, Watch

_ANSWERS = "answers_while_put_back"
# For a handler that answers all the same: it shows nothing of a customer.
ANSWERS = {_ANSWERS: True}


def closed_while_put_back(app: ASGIApp) -> ASGIApp:
    """Refuse with PutBack, in the shape of the route that is asked, before any guard asks."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        asks = scope["type"] == ScopeType.HTTP and not scope["route_handler"].opt.get(_ANSWERS)
        if asks and await put_back(ASGIConnection(scope)):
            raise PutBack
        await app(scope, receive, send)

    return answer


async def put_back(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Say whether the database is behind the journal now."""
    watch: Watch | None = connection.app.state.get("watch")
    return watch is not None and await watch.stops()
