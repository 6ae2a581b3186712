"""Reads bound to a purpose: what it allows comes back, and a bound key reads nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.types import ASGIApp
from msgspec import Struct

from crm import consent, customers, events, staff
from crm.businesses import Business
from crm.consent import Method
from crm.customers import AttributeType, LawfulBasis, NewAttribute, NewInteraction, NewKind
from crm.db import Database, Db
from crm.events import Actor
from crm.staff import NewKey, Scope
from crm.web import openapi
from crm.web.parameters import parameters
from tests import make
from tests.browser import Browser
from tests.routes import DOCUMENT, ROUTES

_DECLARED: dict[str, Any] = {
    "type": AttributeType.text,
    "purpose": "To help.",
    "basis": LawfulBasis.contract,
    "origin": "You told us.",
    "retention": "P2Y",
}


class Shop(Struct):
    """Who allows support, and who does not; each with a detail and a call for it, and others."""

    support: UUID
    other: UUID
    allows: UUID
    does_not: UUID


async def _met(db: Db, customer_id: UUID) -> None:
    for name in ("device", "shoe_size"):
        await customers.set_attributes(db, make.SYSTEM, customer_id, {name: "42"})
    for kind in ("call", "visit"):
        new = NewInteraction(kind=kind, title=kind.title())
        await customers.interact(db, make.SYSTEM, customer_id, new)


async def _declare(db: Db, purpose_id: UUID | None) -> None:
    for name, of in (("device", purpose_id), ("shoe_size", None)):
        new = NewAttribute(label=name.title(), purpose_id=of, **_DECLARED)
        await customers.declare_attribute(db, make.SYSTEM, name, new)
    for name, of in (("call", purpose_id), ("visit", None)):
        kind = NewKind(label=name.title(), purpose="To help.", retention="P2Y", purpose_id=of)
        await customers.declare_kind(db, make.SYSTEM, name, kind)


@pytest.fixture
async def shop(database: Database, business: Business) -> Shop:
    async with database.write(business.id) as db:
        support = await make.purpose(db, slug="support", name="Support", channel="none")
        notice = await make.notice(db, support.id)
        other = await make.purpose(db, slug="offers")
        allows, does_not = [(await make.customer(db)).id for _ in range(2)]
        word = await make.own_word(db, allows)
        await consent.give(db, Actor.customer(allows), allows, notice.question, word)
        await _declare(db, None)
        for each in (allows, does_not):
            await _met(db, each)
        await _declare(db, support.id)
    return Shop(support.id, other.id, allows, does_not)


async def _key(database: Database, business: Business, *purposes: UUID) -> str:
    new = NewKey(name="Desk", scopes=list(Scope), reason="to help", purposes=list(purposes))
    async with database.write(business.id) as db:
        return (await staff.add_key(db, make.SYSTEM, new))[1]


@pytest.fixture
async def desk(
    site: ASGIApp, database: Database, business: Business, shop: Shop
) -> AsyncIterator[Browser]:
    """A program with every scope, whose key is bound to support."""
    async with Browser(site, business.origin) as program:
        key = await _key(database, business, shop.support)
        program.headers["authorization"] = f"Bearer {key}"
        yield program


async def _names(program: Browser, path: str, field: str) -> list[str]:
    answer = await program.get(path)
    assert answer.status_code == 200, answer.text
    return [each[field] for each in answer.json()]


@pytest.mark.parametrize("query", ["", "?purpose=support"])
async def test_it_works(desk: Browser, shop: Shop, query: str) -> None:
    """By the key alone, or by what the request says."""
    her = f"/v1/customers/{shop.allows}"
    assert (await desk.get(her + query)).json()["id"] == str(shop.allows)
    assert await _names(desk, f"{her}/attributes{query}", "name") == ["device"]
    assert await _names(desk, f"{her}/interactions{query}", "kind") == ["call"]
    assert await _names(desk, f"/v1/customers{query}", "id") == [str(shop.allows)]


async def test_a_free_key_binds_a_request(api: Browser, shop: Shop) -> None:
    """Bound it gets what the purpose allows; else everything."""
    her = f"/v1/customers/{shop.allows}/attributes"
    assert await _names(api, f"{her}?purpose=support", "name") == ["device"]
    assert await _names(api, her, "name") == ["device", "shoe_size"]
    unknown = await api.get(f"{her}?purpose=nonsense")
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "#/purpose")


async def test_of_who_does_not_allow_it_nothing_is_shown(
    desk: Browser, shop: Shop, database: Database, business: Business
) -> None:
    """Nor is a look recorded where nothing was seen."""
    her = f"/v1/customers/{shop.does_not}"
    answers = [await desk.get(her + rest) for rest in ("", "/attributes", "/interactions")]
    async with database.read(business.id) as db:
        address = (await customers.get(db, shop.does_not)).address
        looks = await events.looks_at(db, shop.does_not)
    found = await desk.post("/v1/customers/search", json={"address": address})

    assert [each.json()["code"] for each in answers] == ["purpose_not_allowed"] * 3
    assert found.json() == []
    assert looks == []


async def test_it_ends_with_her_no(
    desk: Browser, shop: Shop, database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        by = Actor.customer(shop.allows)
        await consent.withdraw(db, by, shop.allows, shop.support, method=Method.portal)
    answer = await desk.get(f"/v1/customers/{shop.allows}")

    assert (answer.status_code, answer.json()["code"]) == (403, "purpose_not_allowed")


async def test_a_bound_key_reads_for_nothing_else(desk: Browser, shop: Shop) -> None:
    """Not by naming another purpose, nor by checking one."""
    body = {"purpose": str(shop.other), "customers": [str(shop.allows)]}
    answers = [
        await desk.get("/v1/customers?purpose=offers"),
        await desk.get(f"/v1/consents/check?customer={shop.allows}&purpose={shop.other}"),
        await desk.post("/v1/consent-checks", json=body),
    ]
    own = await desk.get(f"/v1/consents/check?customer={shop.allows}&purpose={shop.support}")

    assert [each.json()["code"] for each in answers] == ["other_purpose"] * 3
    assert own.json()["authorises"] is True


_API = [route for route in ROUTES if route.path.startswith("/v1/")]


async def test_every_other_route_is_closed_to_a_bound_key(desk: Browser) -> None:
    """Whatever its scopes: what does not ask for the purpose does not answer."""
    wrong = []
    for route in _API:
        if route.handler.opt.get("bound"):
            continue
        named = {"name": "shop", **{name: uuid4() for name in route.types if name != "name"}}
        answer = await desk.request(route.method, route.path.format(**named), json={})
        if (answer.status_code, answer.json()["code"]) != (403, "key_bound"):
            wrong.append((str(route), answer.text))

    assert not wrong


# Open to a bound key, and about no customer: itself, and what is declared.
_OF_NOBODY = {"/v1/key", "/v1/key/rotation", "/v1/tags", "/v1/attributes", "/v1/interaction-kinds"}
# What names the purpose in its body, where each has a test of its own for it.
_IN_THE_BODY = {"/v1/consent-checks", "/v1/sign-ups"}


async def test_every_open_route_asks_for_the_purpose(desk: Browser, shop: Shop) -> None:
    """That which the request names, or what the customer allows whom its path names."""
    wrong = []
    for route in _API:
        if not route.handler.opt.get("bound") or route.path in _OF_NOBODY | _IN_THE_BODY:
            continue
        _, body = openapi.body_sample(DOCUMENT, route.operation)
        codes = {}
        if "{id}" in route.path:
            path = route.path.format(id=shop.does_not, name="shop")
            codes["purpose_not_allowed"] = await desk.request(route.method, path, json=body)
        if "purpose" in parameters(route.handler):
            path = route.path.format(id=shop.allows, name="shop")
            query = {"purpose": "offers"}
            if "customer" in parameters(route.handler):
                query["customer"] = str(shop.allows)
            codes["other_purpose"] = await desk.request(route.method, path, params=query, json=body)
        said = {code: answer.json()["code"] for code, answer in codes.items()}
        if not codes or any(code != told for code, told in said.items()):
            wrong.append((str(route), said))

    assert not wrong


async def test_a_key_of_several_says_which(
    site: ASGIApp, database: Database, business: Business, shop: Shop
) -> None:
    async with Browser(site, business.origin) as program:
        key = await _key(database, business, shop.support, shop.other)
        program.headers["authorization"] = f"Bearer {key}"
        silent = await program.get("/v1/customers")
        said = await _names(program, "/v1/customers?purpose=support", "id")
        itself = await program.get("/v1/key")

    assert silent.json()["errors"][0]["pointer"] == "#/purpose"
    assert said == [str(shop.allows)]
    assert set(itself.json()["purposes"]) == {str(shop.support), str(shop.other)}


async def test_staff_bind_a_key(
    site: ASGIApp, database: Database, business: Business, shop: Shop
) -> None:
    """By ticking what it is for; a purpose of nobody's is refused."""
    said: dict[str, Any] = {"name": "Desk", "reason": "to help", "scopes": ["customers:read"]}
    async with Browser(site, business.origin) as console:
        await make.let_in_as_owner(database, business, console)
        wrong = await console.fill("/staff/keys", **said, purposes=[str(uuid4())])
        right = await console.fill("/staff/keys", **said, purposes=[str(shop.support)])
        listed = (await console.get("/staff/keys")).text

    assert (wrong.status_code, right.status_code) == (422, 200)
    assert "Only for: Support" in listed


async def test_what_she_does_not_allow_is_not_written(
    api: Browser, shop: Shop, database: Database, business: Business
) -> None:
    """Refused with the field named and nothing set; or left out and named, as declared."""
    hers = f"/v1/customers/{shop.does_not}/attributes"
    body = {"device": "Radio", "shoe_size": "43"}
    refused = await api.put(hers, json=body)
    held = {each["name"]: each["value"] for each in (await api.get(hers)).json()}
    call = {"kind": "call", "title": "About the radio"}
    called = await api.post(f"/v1/customers/{shop.does_not}/interactions", json=call)
    declared = {"label": "Device", "purpose_id": str(shop.support), "not_allowed": "drop"}
    await api.put("/v1/attributes/device", json=_DECLARED | declared)
    dropped = await api.put(hers, json=body)
    allowed = await api.put(f"/v1/customers/{shop.allows}/attributes", json=body)

    assert (refused.status_code, refused.json()["code"]) == (409, "value_not_allowed")
    assert [each["pointer"] for each in refused.json()["errors"]] == ["#/attributes/device"]
    assert held == {"device": "42", "shoe_size": "42"}
    assert called.json()["code"] == "value_not_allowed"
    assert dropped.json()["dropped"] == ["device"]
    assert {each["value"] for each in dropped.json()["attributes"]} == {"42", "43"}
    assert allowed.json()["dropped"] == []
