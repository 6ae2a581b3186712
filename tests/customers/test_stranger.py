"""Another business's customers: nothing of them is read, changed, counted or guessed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest

from crm import customers, events
from crm.businesses import Business
from crm.customers import Changes, Customer, Fill, NewInteraction, NewValue
from crm.customers.model import UnknownCustomer
from crm.db import Database, Db
from tests.customers import site
from tests.customers.conftest import SYSTEM

Act = Callable[[Db, UUID], Awaitable[Any]]

REFUSED: dict[str, Act] = {
    "get": customers.get,
    "export": customers.export,
    "forget": customers.forget,
    "change": lambda db, her: customers.change(db, SYSTEM, her, Changes(name="X")),
    "restrict": lambda db, her: customers.restrict(db, SYSTEM, her),
    "unrestrict": lambda db, her: customers.unrestrict(db, SYSTEM, her),
    "set_attributes": lambda db, her: customers.set_attributes(db, SYSTEM, her, {}),
    "note": lambda db, her: customers.note(db, SYSTEM, her, "X"),
    "interact": lambda db, her: customers.interact(
        db, SYSTEM, her, NewInteraction(kind="note", title="X")
    ),
}
NOTHING: dict[str, tuple[Act, Any]] = {
    "values": (customers.values, []),
    "interactions": (customers.interactions, []),
    "of_ids": (lambda db, her: customers.of_ids(db, [her]), {}),
    "page": (lambda db, _: customers.page(db), []),
    "find_address": (lambda db, _: customers.find(db, "zoe@"), []),
    "find_name": (lambda db, _: customers.find(db, "foreign"), []),
    "find_external_id": (lambda db, _: customers.find(db, "z-1"), []),
    "by_address": (lambda db, _: customers.by_address(db, "zoe@example.com"), None),
    "by_external_id": (lambda db, _: customers.by_external_id(db, "z-1"), None),
    "known": (lambda db, _: customers.known_by_folded(db, ["zoe@example.com"]), {}),
    "fill": (lambda db, her: customers.fill_many(db, [Fill(her, "X", "de")]), 0),
}


@pytest.mark.parametrize("verb", REFUSED)
async def test_no_action_reaches_her(
    database: Database, business: Business, foreign: Customer, verb: str
) -> None:
    with pytest.raises(UnknownCustomer):
        async with database.write(business.id) as db:
            await REFUSED[verb](db, foreign.id)


@pytest.mark.parametrize("verb", NOTHING)
async def test_no_question_finds_her(
    database: Database, business: Business, foreign: Customer, verb: str
) -> None:
    act, nothing = NOTHING[verb]
    async with database.write(business.id) as db:
        assert await act(db, foreign.id) == nothing


async def test_no_fingerprint_finds_her(
    database: Database, business: Business, other_business: Business, foreign: Customer
) -> None:
    async with database.read(business.id) as db:
        for whose in (business, other_business):
            address_hash = db.keys.address_hash(whose.id, "zoe@example.com")
            assert await customers.by_hash(db, address_hash) is None


async def test_an_import_sets_nothing_on_her(
    database: Database, business: Business, foreign: Customer
) -> None:
    async with database.write(business.id) as db:
        new = customers.NewAttribute(
            basis=customers.LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Shop",
            type=customers.AttributeType.text,
            purpose="Hours.",
            retention="P2Y",
        )
        await customers.declare_attribute(db, SYSTEM, "shop", new)
        assert await customers.fill_attributes(db, [NewValue(foreign.id, "shop", "X")]) == 0
        tag = customers.NewTag(label="VIP", purpose="To tell of courses.", retention="P1Y")
        await customers.declare_tag(db, SYSTEM, "vip", tag)
        assert await customers.fill_tags(db, [(foreign.id, "vip")]) == 0
        assert await customers.tagged_among(db, [foreign.id], ["vip"]) == {}
        assert await customers.external_ids_among(db, ["z-1"]) == set()


async def test_both_can_know_one_address(
    api: httpx2.AsyncClient, database: Database, other_business: Business, foreign: Customer
) -> None:
    body = {"address": foreign.address, "external_id": "z-1"}
    assert (await api.post("/v1/customers", json=body)).status_code == 201
    async with database.read(other_business.id) as db:
        assert await customers.get(db, foreign.id) == foreign


ROUTES = [
    ("GET", "/v1/customers/{id}", None),
    ("PATCH", "/v1/customers/{id}", {"name": "X"}),
    ("POST", "/v1/customers/{id}/restriction", None),
    ("GET", "/v1/customers/{id}/attributes", None),
    ("PUT", "/v1/customers/{id}/attributes", {}),
    ("GET", "/v1/customers/{id}/interactions", None),
    ("POST", "/v1/customers/{id}/interactions", {"kind": "note", "title": "X"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=lambda part: str(part)[:40])
async def test_no_route_of_the_api_reaches_her(
    api: httpx2.AsyncClient,
    database: Database,
    other_business: Business,
    foreign: Customer,
    *,
    method: str,
    path: str,
    body: dict[str, str] | None,
) -> None:
    headers = {"if-match": "*"}
    if method == "PATCH":
        headers["content-type"] = "application/merge-patch+json"
    answer = await api.request(method, path.format(id=foreign.id), json=body, headers=headers)
    assert answer.status_code == 404
    assert "zoe" not in answer.text.lower()
    async with database.read(other_business.id) as db:
        assert await customers.get(db, foreign.id) == foreign
        assert await events.looks_at(db, foreign.id) == []


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("GET", "", {}),
        ("POST", "/look", {"reason": "curiosity"}),
        ("POST", "/notes", {"title": "X"}),
        ("GET", "/change", {}),
        ("POST", "/change", {"name": "X", "version": "1"}),
        ("GET", "/attributes", {}),
        ("POST", "/attributes", {}),
        ("POST", "/restriction", {"decision": "freeze"}),
    ],
)
async def test_no_page_of_the_console_reaches_her(
    console: httpx2.AsyncClient,
    foreign: Customer,
    method: str,
    path: str,
    fields: dict[str, str],
) -> None:
    data = site.form(**fields) if method == "POST" else None
    answer = await console.request(method, f"/staff/customers/{foreign.id}{path}", data=data)
    assert answer.status_code == 404
    assert "Zoe" not in answer.text


async def test_no_list_shows_her(
    api: httpx2.AsyncClient, console: httpx2.AsyncClient, foreign: Customer
) -> None:
    assert (await api.get("/v1/customers")).json() == []
    found = await api.post("/v1/customers/search", json={"address": foreign.address})
    assert found.json() == []
    assert "zoe" not in (await console.get("/staff/customers")).text
