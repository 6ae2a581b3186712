"""Takes from Litestar what it does anew for each request and nobody here has a use for.

Each costs as much as one or two small statements. `tests/test_rules.py` notices when a later
Litestar is built otherwise.

And has OPTIONS name all methods of a path: Litestar answers with those that were there when the
path was first registered.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from litestar import Litestar, Response
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from crm.web.head import allowed

Authorize = Callable[[ASGIConnection[Any, Any, Any, Any]], Coroutine[Any, Any, None]]


def lean(app: Litestar) -> Litestar:
    """Change every route of an application that is put together."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        options, asked = route.route_handler_map["OPTIONS"]
        route.route_handler_map["OPTIONS"] = (_naming(route, options, app), asked)
        for handler, model in route.route_handler_map.values():
            # A task is started for each of several dependencies; only that of `db`, the last now,
            # waits for anything.
            model.dependency_batches = [
                {each}
                for batch in model.dependency_batches
                for each in sorted(batch, key=lambda one: (one.key == "db", one.key))
            ]
            # Not that of OPTIONS, which Litestar adds, and whose attributes are fixed.
            if hasattr(handler, "__dict__"):
                handler.authorize_connection = _authorizing(handler)  # type: ignore[assignment,method-assign]
    return app


def _naming(route: HTTPRoute, before: HTTPRouteHandler, app: Litestar) -> HTTPRouteHandler:
    """Answer OPTIONS with the methods that a path has now (RFC 9110 §9.3.7)."""
    methods = {"allow": allowed(route.methods)}

    def answer() -> Response[None]:
        return Response(None, status_code=HTTPStatus.NO_CONTENT, headers=methods)

    handler = HTTPRouteHandler(
        route.path, http_method=["OPTIONS"], include_in_schema=False, sync_to_thread=False
    )(answer)
    handler.owner = before.owner
    handler.on_registration(app)
    return handler


def _authorizing(handler: HTTPRouteHandler) -> Authorize:
    """Ask the guards of a handler; Litestar copies it for each of them, lest one changes it."""
    guards = handler.resolve_guards()

    async def authorize(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        for guard in guards:
            await guard(connection, handler)  # type: ignore[misc]

    return authorize
