"""All customers as a stream: given one by one, and known at the end to be all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from crm import staff
from crm.businesses import Business
from crm.client import Client, Truncated, Unauthenticated
from crm.client.answers.customers import CustomerLine
from crm.db import Database
from crm.staff import credentials
from tests import make
from tests.client.conftest import AWAY, Way


class _Pieces(httpx2.AsyncByteStream):
    """An answer in pieces, after which the connection may be lost."""

    def __init__(self, content: bytes, size: int, *, lost: bool = False) -> None:
        self._content, self._size, self._lost = content, size, lost

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for begin in range(0, len(self._content), self._size):
            yield self._content[begin : begin + self._size]
        if self._lost:
            raise httpx2.ReadError("The connection was cut.")


async def _content(client: Client, way: Way) -> bytes:
    answer = await client._http.get("/v1/customers.ndjson")  # noqa: SLF001  (the bytes themselves)
    way.sent.clear()
    return answer.content


async def _walk(client: Client, came: list[CustomerLine]) -> list[CustomerLine]:
    async for each in client.customers.get_every_customer():
        came.append(each)  # noqa: PERF401  (what came is kept also where it breaks off)
    return came


async def _came(client: Client) -> list[CustomerLine]:
    return await _walk(client, [])


async def test_it_works(client: Client, way: Way, database: Database, business: Business) -> None:
    """Also where pieces end in the middle of a line, and after a first try that got lost."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db, slug="letter")).id)
        ids = await make.audience(db, notice, 3)
    content = await _content(client, way)
    way.faults = [
        AWAY,
        httpx2.Response(503),
        httpx2.Response(200, stream=_Pieces(content, 7)),
    ]

    came = await _came(client)

    assert len(way.sent) == 3
    assert {each.id for each in came} == set(ids)
    assert came[0].consents is not None
    assert came[0].consents["letter"].authorises
    assert came == await _came(client)


@pytest.mark.parametrize("what", ["cut", "lost", "half a line", "another", "more"])
async def test_what_is_not_whole_is_said(
    client: Client, way: Way, database: Database, business: Business, what: str
) -> None:
    """After the lines that came: wherever it breaks off, or if it is not what was sent."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        await make.audience(db, notice, 2)
    content = await _content(client, way)
    lines = content.splitlines(keepends=True)
    broken = {
        "cut": b"".join(lines[:-1]),
        "lost": b"".join(lines[:-1]),
        "half a line": content[:-20],
        "another": content.replace(b"Reader 0", b"Reader 9"),
        "more": content + lines[0],
    }[what]
    assert broken != content
    way.faults = [httpx2.Response(200, stream=_Pieces(broken, 999, lost=what == "lost"))]
    came: list[CustomerLine] = []

    with pytest.raises(Truncated):
        await _walk(client, came)

    assert len(came) == 2


async def test_why_it_stopped_is_said(client: Client, way: Way) -> None:
    """By the service itself, in its last line."""
    content = b'{"stopped":{"code":"unknown_key","detail":"Send a key that exists."}}\n'
    way.faults = [httpx2.Response(200, content=content)]

    with pytest.raises(Truncated, match="Send a key") as stopped:
        await _came(client)

    assert stopped.value.code == "unknown_key"


async def test_a_no_is_the_same_as_ever(
    client: Client, database: Database, business: Business
) -> None:
    """Where nothing came yet, it is a Problem."""
    text = client._http.headers["authorization"].partition(" ")[2]  # noqa: SLF001  (its own key)
    key = credentials.read_key(text)
    assert key is not None
    async with database.write(business.id) as db:
        await staff.revoke_key(db, make.SYSTEM, key.key_id)

    with pytest.raises(Unauthenticated):
        await _came(client)
