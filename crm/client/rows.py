"""Long lists, row by row: each page is asked for when its first row is wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec
from msgspec import Struct

from crm.client.exchange import Asked, Exchange

R = TypeVar("R")


class _Slice(Struct, Generic[R], frozen=True):
    rows: list[R]


class Rows(Generic[R]):
    """`async for row in rows`, over all pages; `pages()` gives them whole.

    `after` is the cursor behind the last page that was read. Keep it to go on there another time;
    it is None at the end of a list that ends. The feed of events always has one.
    """

    def __init__(self, exchange: Exchange, asked: Asked, row: type[R], *, sliced: bool) -> None:
        """Begin with this request; with `sliced` the rows stand in a field of the answer."""
        self.after: str | None = None
        self._exchange = exchange
        self._asked = asked
        self._row = row
        self._sliced = sliced

    async def __aiter__(self) -> AsyncIterator[R]:
        """Give row after row."""
        async for page in self.pages():
            for row in page:
                yield row

    async def pages(self) -> AsyncIterator[list[R]]:
        """Give page after page, until the Link header ends or, in the feed, nothing is new."""
        asked: Asked | None = self._asked
        while asked is not None:
            answer = await self._exchange.send(asked)
            rows = self._read(answer)
            further = _next(answer, asked)
            self.after = further.query["after"][0] if further else None
            if rows:
                yield rows
            # A page of a list may be empty where nothing of it may be shown; the feed waits there.
            asked = further if rows or not self._sliced else None

    def _read(self, answer: httpx2.Response) -> list[R]:
        if self._sliced:
            return msgspec.json.decode(answer.content, type=_Slice[self._row]).rows  # type: ignore[name-defined]
        return msgspec.json.decode(answer.content, type=list[self._row])  # type: ignore[name-defined]


def _next(answer: httpx2.Response, asked: Asked) -> Asked | None:
    """Follow the Link header (RFC 8288), always at the same host: the key goes nowhere else."""
    link = answer.links.get("next", {}).get("url")
    if link is None:
        return None
    parts = urlsplit(link)
    query = parse_qs(parts.query, keep_blank_values=True)
    return msgspec.structs.replace(asked, path=parts.path, query=query)
