"""Whose language a page is in: the customer's own, that of her browser, or that of the business.

A reader without a session chooses at the foot of the page, by a POST that sets a cookie; a
customer in her details. Programs and staff are answered in English.
"""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from crm import languages
from crm.languages import ENGLISH, LANGUAGES
from crm.web.cookies import cookie, early_cookie_of
from crm.web.csrf import same_site
from crm.web.forms import read_form
from crm.web.pages import in_english, redirect

_COOKIE = "language"
_YEAR = 365 * 24 * 3600
_BODY = 4 * 1024


def speaks(app: ASGIApp) -> ASGIApp:
    """Wrap the application: begin in the language that the browser asks for, if we speak it.

    Outside of Litestar, so that what no route matches is answered in it too.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        wanted = ""
        if scope["type"] == ScopeType.HTTP and not in_english(scope["path"]):
            wanted = _of_browser(ASGIConnection(scope))
        with languages.speaking(wanted or ENGLISH):
            await app(scope, receive, send)

    return answer


def prefer_own(connection: ASGIConnection[Any, Any, Any, Any], locale: str) -> None:
    """Go on in the language that this reader chose for herself, if we speak it."""
    _go_on(connection, languages.chosen(locale))


def prefer_ours(connection: ASGIConnection[Any, Any, Any, Any], locale: str) -> None:
    """Go on in the language of the business, where the browser asks for none that we speak."""
    if not _of_browser(connection):
        _go_on(connection, languages.chosen(locale))


def prefer_hers(connection: ASGIConnection[Any, Any, Any, Any], locale: str) -> None:
    """Go on in the language of her whom a link is about, unless its browser was told another."""
    if connection.cookies.get(_COOKIE, "") not in languages.LANGUAGES:
        _go_on(connection, languages.chosen(locale))


@post("/language", guards=[same_site], request_max_body_size=_BODY)
async def post_language(request: Request[Any, Any, Any]) -> Response[Any]:
    """Keep the language that a reader chose, in a cookie of her browser, and lead her back."""
    form = await read_form(request)
    wanted = form.choice("language", LANGUAGES)
    form.refuse()
    back = form.typed("back")
    stays = back.startswith("/") and not back.startswith(("//", "/\\"))
    answer = redirect(back if stays and back.isprintable() else "/")
    answer.cookies.append(cookie(request, _COOKIE, wanted or ENGLISH, _YEAR))
    return answer


def language_cookie(request: Request[Any, Any, Any]) -> Cookie:
    """Have this browser go on in the language of this page, until it is closed.

    For whoever is a reader without a record from now on.
    """
    return cookie(request, _COOKIE, languages.language(), None)


def _go_on(connection: ASGIConnection[Any, Any, Any, Any], wanted: str) -> None:
    if wanted and not in_english(connection.scope["path"]):
        languages.speak(wanted)


def _of_browser(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    chosen = languages.chosen(early_cookie_of(connection, _COOKIE))
    return chosen or languages.accepted(connection.headers.get("accept-language", ""))


handlers = [post_language]
