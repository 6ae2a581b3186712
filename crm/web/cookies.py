"""The cookies that pages set for themselves: of this very host, by TLS where the business has it.

RFC 6265bis §4.1.3.2: a name that begins with `__Host-` is set by this host, by TLS, for all paths.
"""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

_PREFIX = "__Host-"

Connection = ASGIConnection[Any, Any, Any, Any]


def cookie(connection: Connection, name: str, value: str, seconds: int | None) -> Cookie:
    """Make one that no script reads and no other site's form brings along.

    0 seconds take it away; None lasts until the browser is closed.
    """
    return Cookie(
        key=name_of(connection, name),
        value=value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=_by_tls(connection),
    )


def cookie_of(connection: Connection, name: str) -> str:
    """Read one; empty if the browser has none."""
    return connection.cookies.get(name_of(connection, name), "")


def early_cookie_of(connection: Connection, name: str) -> str:
    """Read one before it is known whose page is asked for; one of this very host comes first."""
    found = connection.cookies.get(f"{_PREFIX}{name}", "")
    if found or connection.scope["scheme"] == "https":
        return found
    return connection.cookies.get(name, "")


def name_of(connection: Connection, name: str) -> str:
    """Name it: only by TLS can it insist on its host (ASVS 3.3.3)."""
    return f"{_PREFIX}{name}" if _by_tls(connection) else name


def _by_tls(connection: Connection) -> bool:
    business = connection.scope["state"].get("business")
    return bool(getattr(business, "secure", connection.scope["scheme"] == "https"))
