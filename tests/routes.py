"""Every route and operation of the whole application, as mounted, without opening a store."""

from __future__ import annotations

from typing import Any

from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from crm.app import application
from crm.settings import Settings
from crm.web import openapi

# No store is reached: nobody asks it anything.
APP = application(
    Settings(link_keys="1:" + "31" * 32, storage_keys="1:" + "73" * 32, pepper="70" * 32),
    State({"database": None, "redis": None}),
)
DOCUMENT = openapi.document(APP)


class Route(Struct, frozen=True):
    """One method of one path; `path` has its parameters in braces, `types` says which kind."""

    method: str
    path: str
    handler: HTTPRouteHandler
    types: dict[str, type]

    @property
    def operation(self) -> dict[str, Any]:
        """What the document says of it; nothing for what is no API."""
        found: dict[str, Any] = DOCUMENT["paths"].get(self.path, {}).get(self.method.lower(), {})
        return found

    def __str__(self) -> str:
        """Name it in a report of tests."""
        return f"{self.method} {self.path}"


def _routes() -> list[Route]:
    found = []
    for route in APP.routes:
        types = {
            part.name: part.type for part in route.path_components if not isinstance(part, str)
        }
        for handler in getattr(route, "route_handlers", ()):
            found += [
                Route(str(method), route.path_format, handler, types)
                for method in handler.http_methods
                if method != "OPTIONS"
            ]
    return sorted(found, key=str)


ROUTES = _routes()
