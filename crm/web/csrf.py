"""Writes come from our own pages: where the browser says so, and with the session's token.

Two guards, both read the form here, so that no transaction is open while a slow client sends.
By-link and API routes take neither: their right is in the link or the key, not in a cookie.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from crm.errors import Forbidden
from crm.web.forms import read_form
from crm.web.transaction import SAFE

FIELD = "csrf"
HEADER = "x-csrf-token"
_SIZE = 32
_LABEL = b"firsthand/csrf/v1"


class ForeignForm(Forbidden):
    """This form did not come from our own page. Open the page again and send it from there."""


def csrf_token(secret: bytes) -> str:
    """Make a token of the session; masked anew each time, so that compression tells nothing."""
    pad = secrets.token_bytes(_SIZE)
    return base64.urlsafe_b64encode(pad + _xor(pad, _token(secret))).decode()


def verify(secret: bytes, token: str) -> bool:
    """Say whether `token` was made by `csrf_token` for the same session."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    if len(raw) != 2 * _SIZE:
        return False
    return hmac.compare_digest(_xor(raw[:_SIZE], raw[_SIZE:]), _token(secret))


async def same_site(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard forms of people without a session: refuse a write that another site started."""
    request = _request(connection)
    if request.method in SAFE:
        return
    _check_origin(request)
    await read_form(request)


async def same_session(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard forms of signed-in people: the same site, and the token of this very session.

    A guard before this one has put the session's secret into `request.state.session_secret`.
    """
    request = _request(connection)
    if request.method in SAFE:
        return
    _check_origin(request)
    secret: bytes = request.scope["state"]["session_secret"]
    form = await read_form(request)
    token = request.headers.get(HEADER) or form.typed(FIELD)
    if not verify(secret, token):
        raise ForeignForm


def _check_origin(request: Request[Any, Any, Any]) -> None:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        # "none": the person did it, not a page.
        if site not in ("same-origin", "none"):
            raise ForeignForm
        return
    origin = request.headers.get("origin")
    # Under `Referrer-Policy: no-referrer` our own forms are sent with `Origin: null`
    # (Fetch §3.2.6), so in a browser without Sec-Fetch-Site null proves nothing either way.
    if origin in (None, "null"):
        return
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        raise ForeignForm from None
    if host != request.headers.get("host"):
        raise ForeignForm


def _request(connection: ASGIConnection[Any, Any, Any, Any]) -> Request[Any, Any, Any]:
    if not isinstance(connection, Request):
        raise TypeError(type(connection).__name__)
    return connection


def _token(secret: bytes) -> bytes:
    return hmac.digest(secret, _LABEL, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
