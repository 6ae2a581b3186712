"""Staff set what they changed in the form of attributes, and nothing that was saved meanwhile."""

from __future__ import annotations

import httpx2
import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import AttributeType, Customer, LawfulBasis, NewAttribute
from crm.db import Database
from crm.events import Actor
from tests.customers import site
from tests.customers.conftest import SYSTEM


async def _declare(database: Database, business: Business, *names: str) -> None:
    async with database.write(business.id) as db:
        for name in names:
            new = NewAttribute(
                basis=LawfulBasis.legitimate_interests,
                origin="From you.",
                label=name.title(),
                type=AttributeType.text,
                purpose="So that it fits.",
                retention="P1Y",
            )
            await customers.declare_attribute(db, SYSTEM, name, new)


@pytest.fixture(autouse=True)
async def declared(
    database: Database, business: Business, nora: Customer, console: httpx2.AsyncClient
) -> None:
    """Three attributes, of which two have a value, and a reason to look at her."""
    await _declare(database, business, "shop", "bread", "note")
    await _told(database, business, nora, shop="Mill Lane", bread="Rye")
    await console.post(f"/staff/customers/{nora.id}/look", data=site.form(reason="her order"))


async def _told(
    database: Database, business: Business, nora: Customer, **given: str | None
) -> None:
    async with database.write(business.id) as db:
        await customers.set_attributes(db, Actor.key(nora.id, "Till"), nora.id, given)


async def _values(database: Database, business: Business, nora: Customer) -> dict[str, object]:
    async with database.read(business.id) as db:
        held = await customers.values(db, nora.id)
    return {each.name: (each.value, each.source) for each in held}


async def test_what_was_saved_meanwhile_stays(
    database: Database, business: Business, nora: Customer, console: httpx2.AsyncClient
) -> None:
    path = f"/staff/customers/{nora.id}/attributes"
    older = site.as_shown((await console.get(path)).text)
    await _told(database, business, nora, shop="Harbour", bread=None, note="No nuts")

    answer = await console.post(path, data=site.form(**older))

    assert answer.status_code == 303
    assert await _values(database, business, nora) == {
        "shop": ("Harbour", "key"),
        "note": ("No nuts", "key"),
    }


async def test_what_they_changed_counts_though_another_did_too(
    database: Database, business: Business, nora: Customer, console: httpx2.AsyncClient
) -> None:
    path = f"/staff/customers/{nora.id}/attributes"
    older = site.as_shown((await console.get(path)).text)
    await _told(database, business, nora, shop="Harbour", note="No nuts")
    sent = older | {"attributes/shop": "Station", "attributes/bread": ""}

    await console.post(path, data=site.form(**sent))

    assert await _values(database, business, nora) == {
        "shop": ("Station", "member"),
        "note": ("No nuts", "key"),
    }


async def test_what_was_declared_meanwhile_was_not_on_the_page(
    database: Database, business: Business, nora: Customer, console: httpx2.AsyncClient
) -> None:
    path = f"/staff/customers/{nora.id}/attributes"
    older = site.as_shown((await console.get(path)).text)
    await _declare(database, business, "table")
    await _told(database, business, nora, table="By the window")

    await console.post(path, data=site.form(**older))

    assert (await _values(database, business, nora))["table"] == ("By the window", "key")


async def test_a_form_that_is_shown_again_still_knows_what_it_showed(
    database: Database, business: Business, nora: Customer, console: httpx2.AsyncClient
) -> None:
    path = f"/staff/customers/{nora.id}/attributes"
    older = site.as_shown((await console.get(path)).text)
    await _told(database, business, nora, shop="Harbour")
    refused = await console.post(path, data=site.form(**older | {"attributes/note": "x" * 2001}))
    assert refused.status_code == 422

    again = site.as_shown(refused.text) | {"attributes/note": "No nuts"}
    await console.post(path, data=site.form(**again))

    assert await _values(database, business, nora) == {
        "shop": ("Harbour", "key"),
        "bread": ("Rye", "key"),
        "note": ("No nuts", "member"),
    }


async def test_lines_stay_lines(
    database: Database, business: Business, nora: Customer, console: httpx2.AsyncClient
) -> None:
    """A browser would glue them in a field of one line, and the value would be set anew."""
    path = f"/staff/customers/{nora.id}/attributes"
    await _told(database, business, nora, note="Two rolls\nOne rye")
    sent = site.as_shown((await console.get(path)).text) | {"attributes/shop": "Station"}

    await console.post(path, data=site.form(**sent))

    assert (await _values(database, business, nora))["note"] == ("Two rolls\nOne rye", "key")
