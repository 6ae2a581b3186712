"""Where somebody was going before she had to sign in: kept in her browser until she has.

Only a path of ours below the room that she enters is ever followed.
"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.datastructures import Cookie

from crm.web.cookies import cookie, cookie_of

_NAME = "next"
# As long as it takes to read a mail; and a path is a path.
_SECONDS = 1800
_LENGTH = 500


def remembered(request: Request[Any, Any, Any], path: str) -> Cookie | None:
    """Make the cookie that remembers a path; None for what is too long or odd to be followed."""
    fits = len(path) <= _LENGTH and path.isascii() and path.isprintable()
    # What would end a cookie, or begin another host, stands in no path of ours.
    odd = set(path) & set(' ";,\\') or path.startswith("//")
    return cookie(request, _NAME, path, _SECONDS) if fits and not odd else None


def wanted(request: Request[Any, Any, Any], under: str) -> str:
    """Return the path that this browser remembers below `under`, or `under` itself."""
    path = cookie_of(request, _NAME)
    known = path == under or path.startswith((f"{under}/", f"{under}?"))
    return path if known and remembered(request, path) else under


def forgotten(request: Request[Any, Any, Any]) -> Cookie:
    """Make the cookie that takes it away again."""
    return cookie(request, _NAME, "", 0)
