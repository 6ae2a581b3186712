"""The pages of an import: choose, watch, read."""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from litestar import Litestar

from crm import imports
from crm.businesses import Business
from crm.db import Database
from crm.events import Actor
from crm.staff import Role
from tests import make
from tests.imports.conftest import MOST
from tests.imports.lists import HEADER, letter, many, row, rows
from tests.staff.site import Browser, member

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


async def _send(
    browser: Browser, content: bytes | None, purpose: str = "letter"
) -> httpx2.Response:
    token = _CSRF.search((await browser.get("/staff/imports")).text)
    data = {"csrf": token[1] if token else "", "purpose": purpose}
    files = {"file": ("June list.csv", content, "text/csv")} if content is not None else None
    if files is None:
        return await browser.post("/staff/imports", data=data)
    return await browser.post("/staff/imports", data=data, files=files)


@pytest.mark.parametrize("path", ["/staff/imports", "/staff/imports/mappings/columns"])
async def test_nothing_is_read_of_whom_the_role_keeps_out(
    app: Litestar, database: Database, business: Business, path: str
) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 65_536
            yield b"a" * 65_536

    await member(database, business.id, Role.viewer)
    async with Browser(app, business) as browser:
        await browser.enter("owner@bakery.example")
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await browser.post(path, content=pieces(), headers=headers)
    assert answer.status_code == 403
    assert sent <= 65_536


async def test_it_works(owner: Browser, database: Database, business: Business) -> None:
    await letter(database, business.id)
    form = (await owner.get("/staff/imports")).text
    assert "a sign-up confirmed by mail at the former tool" in form
    assert "Nothing imported yet" in form

    text = HEADER + row("ada@example.com", "Ada") + "".join(row(f"no{nr}") for nr in range(60))
    sent = await _send(owner, text.encode())

    assert sent.status_code == 303
    path = sent.headers["location"]
    waiting = await owner.get(path)
    assert "Waiting for its turn" in waiting.text
    assert "of about 62" in waiting.text
    assert 'http-equiv="refresh"' in waiting.text
    [received] = await _all(database, business)
    await imports.work_waiting(database, business.id, received.id)
    done = (await owner.get(path)).text
    assert "June list.csv" in done
    assert 'http-equiv="refresh"' not in done
    assert "it must not happen" not in done
    assert re.search(r"<tfoot.*>61</td>", done, re.DOTALL)
    assert done.count("not taken in</span>") == 50
    [more] = re.findall(r'href="([^"]+)" rel="next"', done)
    assert (await owner.get(more)).text.count("not taken in</span>") == 10
    report = await owner.get(f"{path}/report.csv")
    assert report.headers["content-type"].startswith("text/csv")
    assert "attachment" in report.headers["content-disposition"]
    lines = list(csv.DictReader(report.text.splitlines()))
    assert [line["line"] for line in lines] == [str(nr) for nr in range(3, 63)]
    assert {line["outcome"] for line in lines} == {"rejected"}
    assert "June list.csv" in (await owner.get("/staff/imports")).text


async def _all(database: Database, business: Business) -> list[imports.Import]:
    async with database.read(business.id) as db:
        return await imports.page(db)


@pytest.mark.parametrize(
    ("content", "purpose", "says"),
    [
        (None, "letter", "Please choose a file."),
        (b"", "letter", "This file is empty."),
        (b"PK\x03\x04", "letter", "Excel workbook"),
        (b"name\nAda\n", "letter", "No column is called"),
        (b"x" * (MOST + 1), "letter", "larger than 0.0 MB"),
        (many(1).encode(), "", "Please choose one of these."),
        (many(1).encode(), "other", "Please choose one of these."),
    ],
)
async def test_what_is_wrong_stands_beside_the_field(
    owner: Browser,
    database: Database,
    business: Business,
    *,
    content: bytes | None,
    purpose: str,
    says: str,
) -> None:
    await letter(database, business.id)

    answer = await _send(owner, content, purpose)

    assert answer.status_code == 422
    assert says in answer.text
    assert "still here" not in answer.text
    assert await rows(database, business.id, "import") == 0


async def test_a_list_of_unknown_columns_leads_to_the_mappings(
    owner: Browser, database: Database, business: Business
) -> None:
    await letter(database, business.id)
    folded = (await owner.get("/staff/imports")).text
    refused = (await _send(owner, b"foo;bar\nAda;ada@example.com\n")).text

    assert "<details><summary>How the file is read" in folded
    assert "say by a mapping what the columns of this list mean" in refused
    shown = refused.partition("<details open><summary>How the file is read")[2]
    assert 'href="/staff/imports/mappings"' in shown.partition("</details>")[0]


async def test_a_failed_one_says_why(
    owner: Browser, database: Database, business: Business
) -> None:
    await letter(database, business.id)
    async with database.write(business.id) as db:
        received = await make.received(db, "letter", many(1))
        await imports.fail(db, received.id, "The plug was pulled.")

    page = (await owner.get(f"/staff/imports/{received.id}")).text

    assert "Nothing of this file was kept." in page
    assert "The plug was pulled." in page
    assert await rows(database, business.id, "import_file") == 0


async def test_a_purpose_without_text_is_not_offered(
    owner: Browser, database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        await make.purpose(db, slug="letter")

    assert "First publish the text" in (await owner.get("/staff/imports")).text


async def test_a_name_is_shown_as_text(
    owner: Browser, database: Database, business: Business
) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        received = await imports.receive(
            db, Actor.system(), notice.purpose_id, "<b>\x00\u202eC:\\x\\<i>.csv", many(1).encode()
        )

    assert received.file_name == "<i>.csv"
    assert "&lt;i&gt;.csv" in (await owner.get("/staff/imports")).text


@pytest.mark.parametrize("role", [Role.care, Role.viewer])
async def test_who_may_not_import(
    app: Litestar, database: Database, business: Business, role: Role
) -> None:
    await letter(database, business.id)
    await member(database, business.id, role)
    async with Browser(app, business) as browser:
        await browser.enter("owner@bakery.example")
        assert (await browser.get("/staff/imports")).status_code == 403


async def test_a_stranger_gets_nothing(
    app: Litestar,
    database: Database,
    business: Business,
    other_business: Business,
) -> None:
    await letter(database, business.id)
    async with database.write(business.id) as db:
        received = await make.received(db, "letter", many(1))
    await member(database, other_business.id)
    async with Browser(app, other_business) as stranger:
        await stranger.enter("owner@bakery.example")
        path = f"/staff/imports/{received.id}"
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.get(f"{path}/report.csv")).status_code == 404
        assert "list.csv" not in (await stranger.get("/staff/imports")).text
