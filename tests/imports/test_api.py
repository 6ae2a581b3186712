"""Imports for programs: received, watched, reported."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from litestar import Litestar

from crm import imports
from crm.businesses import Business
from crm.db import Database
from crm.staff import Scope
from tests.imports.conftest import MOST, key
from tests.imports.lists import HEADER, letter, many, row, rows
from tests.staff.site import Browser

_CSV = {"content-type": "text/csv"}


async def test_it_works(program: Browser, database: Database, business: Business) -> None:
    await letter(database, business.id)
    text = HEADER + row("ada@example.com") + row("nobody") + row("bo@example.com", confirmed="")

    answer = await program.post(
        "/v1/imports?purpose=letter&file_name=../../June.csv", content=text, headers=_CSV
    )

    assert answer.status_code == 202
    received = answer.json()
    assert (received["state"], received["file_name"]) == ("waiting", "June.csv")
    assert answer.headers["location"] == f"/v1/imports/{received['id']}"
    [waiting] = await _all(database, business)
    await imports.work_waiting(database, business.id, waiting.id)
    done = (await program.get(answer.headers["location"])).json()
    assert done["state"] == "done"
    assert done["rows"] == done["rows_read"] == 3
    assert [done[name] for name in ("added", "changed", "unchanged", "rejected")] == [2, 0, 0, 1]
    assert [done[name] for name in ("given", "unproven")] == [1, 1]
    report = await program.get(answer.headers["location"] + "/report")
    assert report.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in report.text.splitlines()]
    assert [(line["line"], line["outcome"]) for line in lines] == [(3, "rejected"), (4, "noted")]
    assert "@" in lines[0]["reason"]
    assert "example.com" not in lines[1]["reason"]


async def test_they_are_listed_by_pages(
    program: Browser, database: Database, business: Business
) -> None:
    """The newest first, also what was only tried."""
    await letter(database, business.id)
    made = []
    for number, only_try in ((1, "true"), (2, "false"), (3, "false")):
        path = f"/v1/imports?purpose=letter&only_try={only_try}"
        answer = await program.post(path, content=many(number), headers=_CSV)
        made.append(answer.json())
    first = await program.get("/v1/imports?limit=2")
    second = await program.get(first.links["next"]["url"])
    rows = [each["id"] for answer in (first, second) for each in answer.json()["rows"]]
    assert rows == [each["id"] for each in reversed(made)]
    assert second.json()["after"] is None


async def _all(database: Database, business: Business) -> list[imports.Import]:
    async with database.read(business.id) as db:
        return await imports.page(db)


@pytest.mark.parametrize(
    ("query", "content", "answered"),
    [
        ("purpose=nothing", many(1).encode(), (404, "unknown_purpose")),
        ("", many(1).encode(), (422, "invalid")),
        ("purpose=letter", b"", (422, "unreadable")),
        ("purpose=letter", b"PK\x03\x04 a workbook", (422, "unreadable")),
        ("purpose=letter", b"name\nAda\n", (422, "unreadable")),
        ("purpose=letter", b"x" * (MOST + 1), (413, "too_large")),
    ],
)
async def test_what_cannot_be_taken_is_refused(
    program: Browser,
    database: Database,
    business: Business,
    *,
    query: str,
    content: bytes,
    answered: tuple[int, str],
) -> None:
    await letter(database, business.id)

    answer = await program.post(f"/v1/imports?{query}", content=content, headers=_CSV)

    assert (answer.status_code, answer.json()["code"]) == answered
    assert answer.headers["content-type"] == "application/problem+json"
    assert await rows(database, business.id, "import") == 0


async def test_a_body_that_does_not_say_its_length_is_bounded_too(
    program: Browser, database: Database, business: Business
) -> None:
    await letter(database, business.id)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MOST):
            yield b"xx"

    answer = await program.post("/v1/imports?purpose=letter", content=pieces(), headers=_CSV)

    assert answer.status_code == 413


async def test_the_same_file_while_it_waits(
    program: Browser, database: Database, business: Business
) -> None:
    await letter(database, business.id)
    path = "/v1/imports?purpose=letter"
    await program.post(path, content=many(2), headers=_CSV)

    again = await program.post(path, content=many(2), headers=_CSV)

    assert (again.status_code, again.json()["code"]) == (409, "same_file")


async def test_a_key_without_the_scope(
    app: Litestar, database: Database, business: Business
) -> None:
    await letter(database, business.id)
    async with Browser(app, business) as client:
        client.headers["authorization"] = await key(database, business, Scope.customers_read)
        for answer in (
            await client.post("/v1/imports?purpose=letter", content=many(1), headers=_CSV),
            await client.get(f"/v1/imports/{uuid4()}"),
            await client.get(f"/v1/imports/{uuid4()}/report"),
        ):
            assert answer.status_code == 403


async def test_a_stranger_gets_nothing(
    app: Litestar,
    program: Browser,
    database: Database,
    business: Business,
    other_business: Business,
) -> None:
    await letter(database, business.id)
    answer = await program.post("/v1/imports?purpose=letter", content=many(2), headers=_CSV)
    path = answer.headers["location"]
    async with Browser(app, other_business) as stranger:
        stranger.headers["authorization"] = await key(database, other_business, Scope.imports_write)

        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.get(f"{path}/report")).status_code == 404
        foreign = await stranger.post("/v1/imports?purpose=letter", content=many(2), headers=_CSV)
        assert foreign.status_code == 404
