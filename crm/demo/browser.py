"""What a customer does with a browser and a mailbox, over HTTP, with nothing but the stdlib."""

from __future__ import annotations

import asyncio
import http.client
import json
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

_TIMEOUT = 30
_FORM = "application/x-www-form-urlencoded"


class Unexpected(Exception):
    """A page answered otherwise than the demo needs."""


class Page(Struct, frozen=True):
    """An answer."""

    status: int
    body: str
    cookies: tuple[str, ...]
    location: str


class Form(HTMLParser):
    """The first form of a page that posts: where to, and its hidden fields."""

    def __init__(self, page: str) -> None:
        """Read the page at once."""
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}
        self._inside = False
        self._done = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the form and its hidden fields."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and not self._done and given.get("method", "").lower() == "post":
            self._inside = True
            self.action = given.get("action", "")
        if tag == "input" and self._inside and given.get("type") == "hidden":
            self.hidden[given.get("name", "")] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """Leave the form."""
        if tag == "form" and self._inside:
            self._inside, self._done = False, True


async def get(url: str, cookies: tuple[str, ...] = ()) -> Page:
    """Open a page."""
    return await asyncio.to_thread(_request, "GET", url, None, cookies, _FORM)


async def post(url: str, fields: dict[str, Any], cookies: tuple[str, ...] = ()) -> Page:
    """Send a form."""
    body = urlencode(fields, doseq=True).encode()
    return await asyncio.to_thread(_request, "POST", url, body, cookies, _FORM)


async def put_json(url: str, value: Any) -> Page:
    """Set something by JSON."""
    body = json.dumps(value).encode()
    return await asyncio.to_thread(_request, "PUT", url, body, (), "application/json")


async def one_click(url: str) -> Page:
    """Leave as a mail program does (RFC 8058): no cookie, no page, one POST."""
    return await post(url, {"List-Unsubscribe": "One-Click"})


def expect(page: Page, *statuses: int) -> Page:
    """Return the page if its status is one of these."""
    if page.status not in statuses:
        message = f"a page answered {page.status}: {_words(page.body)}"
        raise Unexpected(message)
    return page


def _request(
    method: str, url: str, body: bytes | None, cookies: tuple[str, ...], kind: str
) -> Page:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    headers = {"Content-Type": kind} if body is not None else {}
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        kept = tuple(
            value.split(";", 1)[0]
            for name, value in answer.getheaders()
            if name.lower() == "set-cookie"
        )
        return Page(answer.status, text, kept, answer.getheader("location", ""))
    finally:
        connection.close()


def _words(body: str) -> str:
    class Words(HTMLParser):
        said: list[str]

        def handle_data(self, data: str) -> None:
            self.said.append(data)

    words = Words()
    words.said = []
    words.feed(body)
    return " ".join(" ".join(words.said).split())[:300]
