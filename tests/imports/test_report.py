"""A report leaves in pieces, and whoever reads it slowly holds nothing meanwhile."""

from __future__ import annotations

import asyncio
import csv
import json
from typing import NamedTuple
from uuid import UUID

import httpx2
import pytest
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from crm import imports, staff
from crm.businesses import Business
from crm.db import Database, Statement
from crm.imports import actions
from crm.imports.model import Reason, ReportGone, Told
from crm.staff.model import SessionEnded, UnknownKey
from tests import make
from tests.browser import Browser
from tests.imports.lists import HEADER, letter, row, take

_ROWS = 5
_READ = Statement(
    "read",
    "How many lines of reports this transaction has read.",
    "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
    " WHERE relname = 'import_row'",
    (),
)
_FORMER = Statement(
    "former",
    "As an import was that ended before reasons were kept.",
    "UPDATE import SET reasons = NULL WHERE business_id = $1",
    ("business_id",),
)
_LONG_AGO = Statement(
    "long_ago",
    "As if all imports had ended long ago.",
    "UPDATE import SET done_at = done_at - interval '181 days' WHERE business_id = $1",
    ("business_id",),
)


class Slow:
    """A way to the site on which the first piece of an answer is held back until `goes`."""

    def __init__(self, site: ASGIApp) -> None:
        self.came = asyncio.Event()
        self.goes = asyncio.Event()
        self.pieces: list[bytes] = []
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, in its time."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.body":
                self.pieces.append(message["body"])
                self.came.set()
                await self.goes.wait()
            await send(message)

        await self._site(scope, receive, sent)


class Reader(NamedTuple):
    """Who reads a report: where, by what way, and the task that does."""

    way: Slow
    answer: asyncio.Task[httpx2.Response]

    async def rest(self) -> httpx2.Response:
        """Take all that is still to come."""
        self.way.goes.set()
        return await self.answer


async def _imported(database: Database, business: Business, api: Browser) -> str:
    """A list of which every row is rejected, worked through: the path of its import."""
    await letter(database, business.id)
    text = HEADER + "".join(row(f"nobody {nr}") for nr in range(_ROWS))
    sent = await api.post(
        "/v1/imports?purpose=letter&only_try=true",
        content=text,
        headers={"content-type": "text/csv"},
    )
    async with database.read(business.id) as db:
        (waiting,) = await imports.page(db)
    await imports.work_waiting(database, business.id, waiting.id)
    path: str = sent.headers["location"]
    return path


@pytest.fixture
async def path(database: Database, business: Business, api: Browser) -> str:
    return await _imported(database, business, api)


@pytest.fixture
def in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "_PIECE", 2)


async def _begun(site: ASGIApp, business: Business, of: Browser, path: str) -> Reader:
    """Somebody who has asked, and takes nothing yet of the first piece."""
    way = Slow(site)

    async def read() -> httpx2.Response:
        async with Browser(way, business.origin) as reader:
            reader.headers.update(of.headers)
            reader.cookies.update(of.cookies)
            return await reader.get(path)

    reader = Reader(way, asyncio.create_task(read()))
    await way.came.wait()
    return reader


def _of_program(path: str) -> str:
    return f"{path}/report"


def _of_staff(path: str) -> str:
    return f"{path.replace('/v1', '/staff')}/report.csv"


async def test_a_slow_reader_holds_nothing(
    site: ASGIApp, business: Business, api: Browser, console: Browser, path: str
) -> None:
    """There is one connection for all requests, and others are answered meanwhile."""
    for of, where in ((api, _of_program(path)), (console, _of_staff(path))):
        slow = await _begun(site, business, of, where)
        async with asyncio.timeout(60):
            assert (await api.get("/v1/key")).status_code == 200
        assert (await slow.rest()).status_code == 200


@pytest.mark.usefixtures("in_small_pieces")
async def test_its_pieces_are_the_whole(api: Browser, console: Browser, path: str) -> None:
    lines = [json.loads(each) for each in (await api.get(_of_program(path))).text.splitlines()]
    rows = [*csv.DictReader((await console.get(_of_staff(path))).text.splitlines())]

    assert [each["line"] for each in lines] == [*range(2, 2 + _ROWS)]
    assert [each["line"] for each in rows] == [str(nr) for nr in range(2, 2 + _ROWS)]
    assert {each["outcome"] for each in (*lines, *rows)} == {"rejected"}


async def _why(reader: Reader) -> BaseException | None:
    """What cuts the answer, if anything does."""
    reader.way.goes.set()
    await asyncio.wait([reader.answer])
    why = reader.answer.exception()
    while why is not None and why.__cause__ is not None:
        why = why.__cause__
    return why.exceptions[0] if isinstance(why, ExceptionGroup) else why


@pytest.mark.usefixtures("in_small_pieces")
async def test_of_a_key_that_is_revoked_meanwhile_the_answer_is_cut(
    site: ASGIApp, database: Database, business: Business, api: Browser, path: str
) -> None:
    slow = await _begun(site, business, api, _of_program(path))
    async with database.write(business.id) as db:
        for each in await staff.api_keys(db):
            await staff.revoke_key(db, make.SYSTEM, each.id)

    assert isinstance(await _why(slow), UnknownKey)
    assert b"".join(slow.way.pieces).count(b"\n") == 2


@pytest.mark.usefixtures("in_small_pieces")
async def test_of_a_session_that_is_ended_meanwhile_the_answer_is_cut(
    site: ASGIApp, business: Business, console: Browser, path: str
) -> None:
    slow = await _begun(site, business, console, _of_staff(path))
    left = await console.fill("/staff/imports", "/staff/sign-out")
    assert left.status_code == 303, left.text

    assert isinstance(await _why(slow), SessionEnded)


@pytest.mark.usefixtures("in_small_pieces")
async def test_of_a_list_that_is_imported_meanwhile_no_two_reports_are_mixed(
    site: ASGIApp, business: Business, api: Browser, path: str
) -> None:
    """What was said when it was only tried is not there any more."""
    slow = await _begun(site, business, api, _of_program(path))
    assert (await api.post(f"{path}/start")).status_code == 202

    assert isinstance(await _why(slow), ReportGone)


async def test_its_reasons_are_summed_up_once(database: Database, business: Business) -> None:
    """However often somebody looks; of one that ended before they were kept, each time."""
    await letter(database, business.id)
    text = HEADER + row("ada@example.com") * 3 + "".join(row(f"nobody {nr}") for nr in range(_ROWS))
    done = await take(database, business.id, text)

    async with database.write(business.id) as db:
        before = await db.one(_READ, int)
        kept = await imports.reasons(db, done.id)
        assert await db.one(_READ, int) == before
        await db.run(_FORMER)
        assert await imports.reasons(db, done.id) == kept
        assert await db.one(_READ, int) > before

    assert [each.count for each in kept] == [_ROWS, 2]
    assert kept[1] == Reason(
        Told.noted,
        "The same address as in an earlier line; taken together, and an opt-out wins.",
        2,
    )


async def test_its_reasons_lapse_with_it(database: Database, business: Business) -> None:
    await letter(database, business.id)
    done = await take(database, business.id, HEADER + row("nobody"))
    async with database.write(business.id) as db:
        assert len(await imports.reasons(db, done.id)) == 1
        await db.run(_LONG_AGO)
        await imports.lapse_rows(db, UUID(int=0), 10)
        assert await imports.reasons(db, done.id) == []
        assert (await imports.lapse_rows(db, UUID(int=0), 10)).deleted == 0


async def test_the_reasons_of_a_try_go_as_it_is_done(
    database: Database, business: Business, program: Browser
) -> None:
    """What is said when it is done for good is summed up anew."""
    path = await _imported(database, business, program)
    import_id = UUID(path.rpartition("/")[2])
    async with database.write(business.id) as db:
        (tried,) = await imports.reasons(db, import_id)
        await imports.start(db, make.SYSTEM, import_id)
        assert await imports.reasons(db, import_id) == []
    await imports.work_waiting(database, business.id, import_id)
    async with database.read(business.id) as db:
        assert await imports.reasons(db, import_id) == [tried]
