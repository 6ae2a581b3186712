"""Adding a customer: one per address, exactly as typed, and nothing half-way."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from crm import customers, events
from crm.businesses import Business
from crm.customers import Customer, NewCustomer, Source
from crm.customers.model import AddressTaken
from crm.db import Database
from crm.events import Kind
from crm.staff import Scope
from tests.customers import site
from tests.customers.conftest import SYSTEM


async def test_it_works(api: httpx2.AsyncClient, database: Database, business: Business) -> None:
    answer = await api.post(
        "/v1/customers", json={"address": "Nora@Example.com", "name": "Nora", "external_id": "7"}
    )
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["etag"] == '"v1"'
    assert answer.headers["location"] == f"/v1/customers/{body['id']}"
    assert (body["address"], body["name"], body["source"]) == ("Nora@Example.com", "Nora", "api")
    assert "folded" not in body
    assert "address_hash" not in body
    async with database.read(business.id) as db:
        recorded = await events.page(db)
    theirs = [event.kind for event in recorded if event.customer_id is not None]
    assert theirs == [Kind.customer_added]


async def test_an_address_has_one_customer_whatever_its_capitals(
    api: httpx2.AsyncClient, nora: Customer
) -> None:
    answer = await api.post("/v1/customers", json={"address": nora.address.upper()})
    assert answer.status_code == 409
    assert answer.json()["code"] == "address_taken"
    assert answer.json()["errors"][0]["pointer"] == "#/address"
    assert nora.address not in answer.text


async def test_an_external_id_has_one_customer(api: httpx2.AsyncClient) -> None:
    await api.post("/v1/customers", json={"address": "a@example.com", "external_id": "7"})
    answer = await api.post("/v1/customers", json={"address": "b@example.com", "external_id": "7"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "external_id_taken"


async def test_of_two_at_once_one_wins(database: Database, business: Business) -> None:
    async def add() -> Customer:
        async with database.write(business.id) as db:
            new = NewCustomer(address="nora@example.com")
            return await customers.add(db, SYSTEM, new, source=Source.api)

    got = await asyncio.gather(add(), add(), add(), return_exceptions=True)
    assert sum(isinstance(each, Customer) for each in got) == 1
    assert sum(isinstance(each, AddressTaken) for each in got) == 2


async def test_an_idempotency_key_replays_the_answer(api: httpx2.AsyncClient) -> None:
    headers = {"idempotency-key": '"0f3e"'}
    body = {"address": "nora@example.com"}
    first = await api.post("/v1/customers", json=body, headers=headers)
    again = await api.post("/v1/customers", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = await api.post("/v1/customers", json={"address": "b@example.com"}, headers=headers)
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"address": "no-at"}, 422),
        ({"address": "a\x00@example.com"}, 422),
        ({"address": "a" * 5000 + "@example.com"}, 422),
        ({"address": "a@example.com", "name": "No\x00ra"}, 422),
        ({"address": "a@example.com", "name": "Nora\r\nBcc: all"}, 422),
        ({"address": "a@example.com", "name": "x" * 201}, 422),
        ({"address": "a@example.com", "locale": "english!"}, 422),
        ({"address": "a@example.com", "external_id": ""}, 422),
        ({"address": "a@example.com", "external_id": "7\x00"}, 422),
        ({"address": "a@example.com", "consent": "given"}, 422),
        ({"address": "a@example.com", "id": "7"}, 422),
        ({"address": 7}, 422),
        ({}, 422),
        ([], 422),
    ],
)
async def test_what_makes_no_sense_is_refused(
    api: httpx2.AsyncClient, body: Any, status: int
) -> None:
    answer = await api.post("/v1/customers", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await api.get("/v1/customers")).json() == []


async def test_broken_json_is_refused(api: httpx2.AsyncClient) -> None:
    for content in (b"{", b"\xff\xfe", b'{"address": "a@example.com"'):
        answer = await api.post(
            "/v1/customers", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400


async def test_a_key_without_the_scope_adds_nobody(database: Database, business: Business) -> None:
    key = site.caller([scope for scope in Scope if "read" in scope])
    async with site.client(database, business, key=key) as client:
        answer = await client.post("/v1/customers", json={"address": "nora@example.com"})
    assert answer.status_code == 403


async def test_staff_add_by_form(console: httpx2.AsyncClient) -> None:
    assert (await console.get("/staff/customers/new")).status_code == 200
    data = site.form(address="nora@example.com", name="Nora", locale="sv", external_id="")
    answer = await console.post("/staff/customers", data=data)
    assert answer.status_code == 303
    record = await console.get(answer.headers["location"])
    assert "nora@example.com" in record.text
    assert "added this record" in record.text
    again = await console.post("/staff/customers", data=data)
    assert again.status_code == 422
    assert "There is a customer with this address already." in again.text
    assert 'value="nora@example.com"' in again.text


async def test_a_form_says_everything_that_is_wrong(console: httpx2.AsyncClient) -> None:
    data = site.form(address="nora", name="x" * 300, locale="klingon")
    answer = await console.post("/staff/customers", data=data)
    assert answer.status_code == 422
    assert "3 things to put right" in answer.text
