"""Attributes: declared with type, purpose and retention before anybody sets one (promise 13)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import customers
from crm.businesses import Business
from crm.customers import (
    AttributeType,
    Customer,
    LawfulBasis,
    NewAttribute,
    NewValue,
    ends,
    retention,
    written,
)
from crm.customers.retention import NoRetention
from crm.customers.text import UnusableText
from crm.customers.value import Written, WrongType, read
from crm.db import Database, open_database
from crm.pieces import Piece
from tests.conftest import KEYS, Cluster
from tests.customers import site
from tests.customers.conftest import SYSTEM

_FIRST = UUID(int=0)
SHOP = {
    "label": "Usual shop",
    "type": "text",
    "purpose": "For opening hours.",
    "basis": "legitimate_interests",
    "origin": "You told us.",
    "retention": "P2Y",
}


async def _declare(api: httpx2.AsyncClient, **types: str) -> None:
    for name, kind in types.items():
        answer = await api.put(f"/v1/attributes/{name}", json={**SHOP, "type": kind})
        assert answer.status_code == 200, answer.text


async def test_it_works(api: httpx2.AsyncClient, nora: Customer) -> None:
    await _declare(api, shop="text", points="number", birthday="date", vip="boolean")
    path = f"/v1/customers/{nora.id}/attributes"
    body = {"shop": " Mill Lane ", "points": 9.5, "birthday": "1990-02-28", "vip": False}
    answer = await api.put(path, json=body)
    assert answer.status_code == 200
    held = {each["name"]: each for each in answer.json()["attributes"]}
    assert {name: each["value"] for name, each in held.items()} == {**body, "shop": "Mill Lane"}
    assert held["shop"]["purpose"] == SHOP["purpose"]
    set_at = datetime.fromisoformat(held["shop"]["set_at"])
    assert datetime.fromisoformat(held["shop"]["ends_at"]) == ends(set_at, "P2Y")
    left = await api.put(path, json={"vip": None, "points": 3})
    assert {each["name"]: each["value"] for each in left.json()["attributes"]} == {
        "birthday": "1990-02-28",
        "points": 3,
        "shop": "Mill Lane",
    }
    assert (await api.get(path)).json() == left.json()["attributes"]


async def test_all_problems_at_once_and_nothing_set(
    api: httpx2.AsyncClient, nora: Customer
) -> None:
    await _declare(api, shop="text", points="number")
    path = f"/v1/customers/{nora.id}/attributes"
    answer = await api.put(path, json={"shop": 7, "points": "many", "color": "red"})
    assert answer.status_code == 422
    pointers = [wrong["pointer"] for wrong in answer.json()["errors"]]
    assert pointers == ["#/attributes/shop", "#/attributes/points", "#/attributes/color"]
    partly = await api.put(path, json={"shop": "Mill Lane", "points": "many"})
    assert partly.status_code == 422
    assert (await api.get(path)).json() == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Shop", {}),
        ("1shop", {}),
        ("a" * 64, {}),
        ("sh\x00op", {}),
        ("shop", {"type": "colour"}),
        ("shop", {"purpose": ""}),
        ("shop", {"purpose": "  \n "}),
        ("shop", {"purpose": "x" * 501}),
        ("shop", {"label": "a\x07b"}),
        ("shop", {"retention": "for ever"}),
        ("shop", {"retention": "P"}),
        ("shop", {"retention": "P0D"}),
        ("shop", {"retention": "P101Y"}),
        ("shop", {"retention": "P2W"}),
        ("shop", {"retention": "P99999999D"}),
        ("shop", {"until": "tomorrow"}),
        ("shop", {"basis": "because"}),
        ("shop", {"basis": "consent"}),
        ("shop", {"origin": ""}),
        ("shop", {"not_allowed": "keep"}),
    ],
)
async def test_a_declaration_says_everything(
    api: httpx2.AsyncClient, name: str, changes: dict[str, str]
) -> None:
    answer = await api.put(f"/v1/attributes/{name.replace(chr(0), '%00')}", json=SHOP | changes)
    assert answer.status_code == 422
    assert (await api.get("/v1/attributes")).json() == []


async def test_a_type_stays(api: httpx2.AsyncClient) -> None:
    await _declare(api, shop="text")
    again = await api.put("/v1/attributes/shop", json={**SHOP, "label": "Shop"})
    assert again.json()["label"] == "Shop"
    other = await api.put("/v1/attributes/shop", json={**SHOP, "type": "date"})
    assert other.status_code == 409


@pytest.mark.parametrize(
    ("type", "given", "expected"),
    [
        ("text", "a\r\nb", Written("a\nb")),
        ("text", "e\u0301", Written("\u00e9")),
        ("number", "1e3", Written("1000", number=Decimal(1000))),
        ("number", 9.4, Written("9.4", number=Decimal("9.4"))),
        ("number", "-0", Written("0", number=Decimal(0))),
        ("number", "9.40", Written("9.4", number=Decimal("9.4"))),
        ("date", "2024-02-29", Written("2024-02-29", date=date(2024, 2, 29))),
        ("boolean", "Yes", Written("true", boolean=True)),
        ("boolean", 0, Written("false", boolean=False)),
    ],
)
def test_a_value_is_written_as_its_type(type: str, given: Any, expected: Written) -> None:
    assert written(AttributeType(type), given) == expected


@pytest.mark.parametrize(
    ("type", "given"),
    [
        ("text", 7),
        ("text", "  "),
        ("text", "x" * 2001),
        ("number", True),
        ("number", "1,000"),
        ("number", "NaN"),
        ("number", float("inf")),
        ("number", "1e15"),
        ("number", "9" * 5000),
        ("number", "0.0000001"),
        ("number", "1e-99"),
        ("number", "١٢"),
        ("date", "2026-02-30"),
        ("date", "0000-01-01"),
        ("date", "20260101"),
        ("date", 20260102),
        ("boolean", "perhaps"),
        ("boolean", 2),
    ],
)
def test_what_is_not_of_the_type_is_refused(type: str, given: Any) -> None:
    with pytest.raises(WrongType):
        written(AttributeType(type), given)


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\ud800b", "a\x7f", "a" + "\u0301" * 31])
def test_a_text_has_no_control_characters(text: str) -> None:
    with pytest.raises(UnusableText):
        written(AttributeType.text, text)


@given(st.decimals(min_value=-(10**15) + 1, max_value=10**15 - 1, places=6))
def test_a_number_is_read_as_it_was_written(number: Decimal) -> None:
    again = written(AttributeType.number, written(AttributeType.number, str(number)).text)
    assert again.number == number
    assert read(AttributeType.number, again.text) == pytest.approx(float(number))


@pytest.mark.parametrize(
    ("set_at", "text", "expected"),
    [
        ("2024-01-31", "P1M", "2024-02-29"),
        ("2024-02-29", "P1Y", "2025-02-28"),
        ("2024-12-31", "P1Y1M1D", "2026-02-01"),
        ("2026-06-09", "P30D", "2026-07-09"),
    ],
)
def test_a_retention_ends_by_the_calendar(set_at: str, text: str, expected: str) -> None:
    end = ends(datetime.fromisoformat(set_at).replace(tzinfo=UTC), text)
    assert end.date().isoformat() == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("P2Y", "2 years"),
        ("P24M", "2 years"),
        ("P18M", "18 months"),
        ("P1M1D", "1 month and 1 day"),
    ],
)
def test_a_retention_is_said_in_words(text: str, words: str) -> None:
    assert retention(text).words() == words


@pytest.mark.parametrize("text", ["", "P", "PT1H", "P1.5Y", "P-1D", "p1y", "P1Y\n", "P١Y"])
def test_a_retention_is_a_duration(text: str) -> None:
    with pytest.raises(NoRetention):
        retention(text)


async def test_what_is_past_its_retention_goes(shared_cluster: Cluster, business: Business) -> None:
    now = datetime(2024, 1, 31, 12, tzinfo=UTC)
    async with open_database(shared_cluster.app_url, KEYS, clock=lambda: now) as database:
        async with database.write(business.id) as db:
            arrival = customers.Arrival(address=customers.parse("nora@example.com"))
            (nora,) = await customers.add_many(db, [arrival], source=customers.Source.imported)
            new = NewAttribute(
                basis=LawfulBasis.legitimate_interests,
                origin="From you.",
                label="Shop",
                type=AttributeType.text,
                purpose="Hours",
                retention="P1M",
            )
            await customers.declare_attribute(db, SYSTEM, "shop", new)
            await customers.set_attributes(db, SYSTEM, nora, {"shop": "Mill Lane"})
            await customers.note(db, SYSTEM, nora, "Wants rye")
        end = ends(now, "P1M")
        now = end - timedelta(seconds=1)
        async with database.write(business.id) as db:
            assert await customers.lapse_values(db, _FIRST, 10) == Piece(0, None)
        now = end
        async with database.write(business.id) as db:
            assert await customers.lapse_values(db, _FIRST, 10) == Piece(1, None)
            assert await customers.lapse_interactions(db, _FIRST, 10) == Piece(0, None)
            assert await customers.values(db, nora) == []


async def test_an_import_fills_and_never_overwrites(
    api: httpx2.AsyncClient, database: Database, business: Business, nora: Customer
) -> None:
    await _declare(api, shop="text", points="number")
    await api.put(f"/v1/customers/{nora.id}/attributes", json={"shop": "Mill Lane"})
    new = [NewValue(nora.id, "shop", "Harbour"), NewValue(nora.id, "points", "12")]
    async with database.write(business.id) as db:
        assert await customers.fill_attributes(db, new) == 1
        assert await customers.fill_attributes(db, new) == 0
        held = {each.name: each.value for each in await customers.values(db, nora.id)}
    assert held == {"shop": "Mill Lane", "points": 12}


async def test_staff_declare_and_set(console: httpx2.AsyncClient, nora: Customer) -> None:
    fields = {**SHOP, "name": "shop"}
    assert (await console.post("/staff/attributes", data=site.form(**fields))).status_code == 303
    wrong = await console.post("/staff/attributes", data=site.form(**fields | {"retention": "x"}))
    assert wrong.status_code == 422
    assert "A retention is years, months and days" in wrong.text
    assert "Usual shop" in (await console.get("/staff/attributes")).text
    base = f"/staff/customers/{nora.id}"
    await console.post(f"{base}/look", data=site.form(reason="setting her shop"))
    data = site.form(**{"attributes/shop": "Mill Lane"})
    assert (await console.post(f"{base}/attributes", data=data)).status_code == 303
    assert "Mill Lane" in (await console.get(base)).text
    assert "Mill Lane" in (await console.get(f"{base}/attributes")).text
    empty = site.form(**{"attributes/shop": ""})
    assert (await console.post(f"{base}/attributes", data=empty)).status_code == 303
    assert "Mill Lane" not in (await console.get(base)).text
