"""Changing a customer: of the version one has read, and never the address."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import msgspec
import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import Changes, Customer, NewCustomer, Source, Stale
from crm.db import Database
from crm.staff import Scope
from tests.customers import site
from tests.customers.conftest import SYSTEM

PATCH = "application/merge-patch+json"


async def _patch(
    api: httpx2.AsyncClient, customer: Customer, content: bytes, **headers: str
) -> httpx2.Response:
    given = {"content-type": PATCH, "if-match": '"v1"'} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return await api.patch(
        f"/v1/customers/{customer.id}",
        content=content,
        headers={name: value for name, value in given.items() if value},
    )


async def test_it_works(api: httpx2.AsyncClient, nora: Customer) -> None:
    answer = await _patch(api, nora, b'{"name": "Nora L.", "locale": null}')
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"v2"'
    read = await api.get(f"/v1/customers/{nora.id}")
    assert read.headers["etag"] == '"v2"'
    assert (read.json()["name"], read.json()["locale"]) == ("Nora L.", "")
    assert read.json()["address"] == nora.address


async def test_what_changes_nothing_makes_no_version(
    api: httpx2.AsyncClient, nora: Customer
) -> None:
    answer = await _patch(api, nora, b'{"name": "Nora Lindqvist"}')
    assert answer.headers["etag"] == '"v1"'


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_match": ""}, 428),
        ({"if_match": '"v9"'}, 412),
        ({"if_match": 'W/"v1"'}, 412),
        ({"if_match": "v1"}, 412),
        ({"if_match": "*"}, 200),
        ({"content_type": "application/json"}, 415),
    ],
)
async def test_a_change_is_of_the_version_read(
    api: httpx2.AsyncClient, nora: Customer, headers: dict[str, str], status: int
) -> None:
    answer = await _patch(api, nora, b'{"name": "New"}', **headers)
    assert answer.status_code == status
    assert answer.headers.get("accept-patch") == (PATCH if status == 415 else None)
    now = (await api.get(f"/v1/customers/{nora.id}")).json()["name"]
    assert now == ("New" if status == 200 else nora.name)


async def test_of_two_changes_at_once_one_is_stale(
    database: Database, business: Business, nora: Customer
) -> None:
    async def change(name: str) -> Customer:
        async with database.write(business.id) as db:
            return await customers.change(db, SYSTEM, nora.id, Changes(name=name), expected=1)

    got = await asyncio.gather(change("A"), change("B"), return_exceptions=True)
    assert [type(each) for each in got if not isinstance(each, Customer)] == [Stale]


@pytest.mark.parametrize("address", ['"new@example.com"', "null", '"nora@example.com"'])
async def test_an_address_is_never_changed(
    api: httpx2.AsyncClient, nora: Customer, address: str
) -> None:
    answer = await _patch(api, nora, b'{"address": %s, "name": "X"}' % address.encode())
    assert answer.status_code == 409
    assert answer.json()["code"] == "not_changeable"
    assert "/me/address" in answer.json()["detail"]
    assert (await api.get(f"/v1/customers/{nora.id}")).json()["name"] == nora.name


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"consent": "given"}', 422),
        (b'{"version": 7}', 422),
        (b'{"name": "No\\u0000ra"}', 422),
        (b'{"name": "No\\nra"}', 422),
        (b'{"name": 7}', 422),
        (b'{"name": "' + b"x" * 201 + b'"}', 422),
        (b'{"locale": "!"}', 422),
        (b'{"name":', 400),
    ],
)
async def test_what_makes_no_sense_is_refused(
    api: httpx2.AsyncClient, nora: Customer, content: bytes, status: int
) -> None:
    assert (await _patch(api, nora, content)).status_code == status


async def test_an_external_id_stays_with_one_customer(
    api: httpx2.AsyncClient, nora: Customer
) -> None:
    await api.post("/v1/customers", json={"address": "b@example.com", "external_id": "7"})
    answer = await _patch(api, nora, b'{"external_id": "7"}')
    assert answer.status_code == 409


async def test_two_who_take_one_external_id_at_once(
    database: Database, business: Business, nora: Customer
) -> None:
    async with database.write(business.id) as db:
        new = NewCustomer(address="b@example.com")
        other = await customers.add(db, SYSTEM, new, source=Source.api)

    async def take(customer: Customer) -> Any:
        async with database.write(business.id) as db:
            return await customers.change(db, SYSTEM, customer.id, Changes(external_id="7"))

    got = await asyncio.gather(take(nora), take(other), return_exceptions=True)
    assert sum(isinstance(each, Customer) for each in got) == 1
    refused = next(each for each in got if not isinstance(each, Customer))
    assert getattr(refused, "code", refused) == "external_id_taken"


async def test_staff_change_the_version_they_saw(
    console: httpx2.AsyncClient, api: httpx2.AsyncClient, nora: Customer
) -> None:
    base = f"/staff/customers/{nora.id}"
    await console.post(f"{base}/look", data=site.form(reason="correcting her name"))
    shown = await console.get(f"{base}/change")
    assert 'name="version" value="1"' in shown.text
    await _patch(api, nora, b'{"name": "Somebody else wrote"}')
    data = site.form(name="Nora", locale="en", external_id="", version="1")
    stale = await console.post(f"{base}/change", data=data)
    assert stale.status_code == 422
    assert "Somebody has changed this" in stale.text
    assert 'name="version" value="2"' in stale.text
    answer = await console.post(f"{base}/change", data=data | {"version": "2"})
    assert answer.status_code == 303
    assert (await api.get(f"/v1/customers/{nora.id}")).json()["name"] == "Nora"


async def test_a_customer_changes_her_own_details(
    portal: httpx2.AsyncClient, api: httpx2.AsyncClient, nora: Customer
) -> None:
    shown = await portal.get("/me/details")
    assert 'value="Nora Lindqvist"' in shown.text
    answer = await portal.post("/me/details", data=site.form(name="", locale="ar"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/me")
    body = (await api.get(f"/v1/customers/{nora.id}")).json()
    assert (body["name"], body["locale"]) == ("", "ar")
    wrong = await portal.post("/me/details", data=site.form(name="a\x00b", locale="tlh"))
    assert wrong.status_code == 422
    assert "2 things to put right" in wrong.text


async def test_a_form_from_elsewhere_changes_nothing(
    portal: httpx2.AsyncClient, api: httpx2.AsyncClient, nora: Customer
) -> None:
    answer = await portal.post("/me/details", data={"name": "Evil", "locale": "en"})
    assert answer.status_code == 403
    assert (await api.get(f"/v1/customers/{nora.id}")).json()["name"] == nora.name


async def test_a_key_that_may_only_write_reads_nothing(
    database: Database, business: Business, nora: Customer
) -> None:
    till = msgspec.structs.replace(site.caller(), scopes=frozenset({Scope.customers_write}))
    async with site.client(database, business, key=till) as api:
        patched = await _patch(api, nora, b"{}")
        put = await api.put(f"/v1/customers/{nora.id}/attributes", json={})

    assert (patched.status_code, patched.content) == (204, b"")
    assert patched.headers["etag"]
    assert (put.status_code, put.json()) == (200, {"dropped": [], "attributes": None})
