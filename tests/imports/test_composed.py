"""A letter that is two once it is composed stops no list: what has no room is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crm import customers, imports
from crm.businesses import Business
from crm.customers import NewTag
from crm.db import Database
from crm.imports.working import work_waiting
from tests import make
from tests.imports.lists import (
    HEADER,
    SLUG,
    declared,
    held,
    letter,
    report,
    row,
    take,
    tally,
)

# DEVANAGARI LETTER QA: it is excluded from composition, so NFC makes a letter and a mark of it.
GROWS = "\u0958"
_TOO_LONG = "The name was left out: it is longer than 200 characters."


@pytest.mark.parametrize(("letters", "kept"), [(100, 200), (101, 0), (200, 0)])
async def test_of_a_name(database: Database, business: Business, letters: int, kept: int) -> None:
    """Of somebody new and of who is known without a name."""
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        await make.customer(db, address="cy@example.com", name="")
        text = "".join(row(f"{who}@example.com", GROWS * letters) for who in ("asha", "cy"))
        waiting = await make.received(db, SLUG, HEADER + text + row("ben@example.com", "Ben"))

    await work_waiting(database, business.id, waiting.id)

    async with database.read(business.id) as db:
        done = await imports.get(db, waiting.id)
    assert (done.state, tally(done)) == ("done", (2, 1, 0, 0))
    for who, length in (("asha", kept), ("cy", kept), ("ben", 3)):
        found = await held(database, notice, business.id, f"{who}@example.com")
        assert (found.mailable, len(found.name)) == (True, length)
    said = [(each.line, each.reason) for each in await report(database, business.id, done.id)]
    assert said == ([] if kept else [(2, _TOO_LONG), (3, _TOO_LONG)])


async def test_of_whatever_else_a_line_has(database: Database, business: Business) -> None:
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await declared(db, "city")
        new = NewTag(label="Regular", purpose="To greet you.", retention="P2Y")
        await customers.declare_tag(db, make.SYSTEM, "regular", new)
    her: dict[str, Any] = {
        "address": "asha@example.com",
        "name": GROWS * 101,
        "external_id": GROWS * 101,
    }
    her |= {"attributes": {"city": GROWS * 1001}, "tags": [GROWS * 150, "regular"]}
    her |= {GROWS * 150: "x", "locale": GROWS * 20}

    done = await take(database, business.id, json.dumps(her) + "\n")

    assert tally(done) == (1, 0, 0, 0)
    async with database.read(business.id) as db:
        found = await customers.by_address(db, "asha@example.com")
        assert found is not None
        assert (found.name, found.external_id) == ("", None)
        assert await customers.values(db, found.id) == []
        assert [each.name for each in await customers.tags_of(db, found.id)] == ["regular"]
    said = [each.reason for each in await report(database, business.id, done.id)]
    for words in (
        _TOO_LONG,
        "The field “external_id” was left out: it is longer than 200 characters.",
        "The value of city was left out: it is no text.",
    ):
        assert words in said
