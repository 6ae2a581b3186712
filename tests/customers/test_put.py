"""A shop hands in whom it knows, again and again: added once, brought up to date, never moved."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httpx2
import pytest

from crm import customers, events
from crm.businesses import Business
from crm.customers import Customer
from crm.customers.putting import Put, put
from crm.db import Database
from crm.events import Kind
from crm.staff import Scope
from tests.customers import site
from tests.customers.conftest import SYSTEM

NORA: dict[str, Any] = {"external_id": "4711", "address": "Nora@example.com", "name": "Nora"}


async def _put(api: httpx2.AsyncClient, **changes: Any) -> httpx2.Response:
    return await api.put("/v1/customers", json=NORA | changes)


async def test_she_is_added_once_and_then_brought_up_to_date(api: httpx2.AsyncClient) -> None:
    """What is not named stays; what changes nothing makes no new version."""
    added = await _put(api)
    again = await _put(api)
    changed = await api.put(
        "/v1/customers", json={"external_id": "4711", "address": NORA["address"], "locale": "sv"}
    )

    assert added.status_code == HTTPStatus.CREATED
    assert added.headers["location"] == f"/v1/customers/{added.json()['id']}"
    assert (again.status_code, again.headers["etag"]) == (HTTPStatus.OK, '"v1"')
    assert again.json() == added.json()
    assert changed.headers["etag"] == '"v2"'
    assert (changed.json()["name"], changed.json()["locale"]) == ("Nora", "sv")


async def test_whom_the_address_finds_gets_the_external_id(
    api: httpx2.AsyncClient, nora: Customer
) -> None:
    """She signed up before she bought anything; capitals make nobody else of her."""
    found = await api.put(
        "/v1/customers", json={"external_id": "9", "address": nora.address.upper()}
    )

    assert found.status_code == HTTPStatus.OK
    assert (found.json()["id"], found.json()["external_id"]) == (str(nora.id), "9")
    assert found.json()["address"] == nora.address


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"address": "other@example.com"}, "address_differs", "#/address"),
        ({"external_id": "4712"}, "external_id_differs", "#/external_id"),
    ],
)
async def test_what_does_not_belong_together_is_for_a_person_to_say(
    api: httpx2.AsyncClient, changes: dict[str, str], code: str, pointer: str
) -> None:
    """Nobody's address is changed by a program, and no record goes to another person."""
    await _put(api)
    refused = await _put(api, **changes)

    assert refused.status_code == HTTPStatus.CONFLICT
    assert refused.json()["code"] == code
    assert refused.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("changes", [{"address": "no-at"}, {"external_id": "7\x00"}, {"a": 1}])
async def test_what_makes_no_sense_is_refused(
    api: httpx2.AsyncClient, changes: dict[str, Any]
) -> None:
    assert (await _put(api, **changes)).status_code == HTTPStatus.UNPROCESSABLE_ENTITY


async def test_of_two_at_once_one_adds_her(database: Database, business: Business) -> None:
    """The other finds her, and changes nothing."""

    async def one() -> tuple[Customer, bool]:
        async with database.write(business.id) as db:
            return await put(db, SYSTEM, Put(address="nora@example.com", external_id="4711"))

    got = await asyncio.gather(*(one() for _ in range(4)))

    assert len({customer.id for customer, _ in got}) == 1
    assert sum(added for _, added in got) == 1


async def test_who_is_found_sees_that_a_program_looked(
    api: httpx2.AsyncClient, database: Database, business: Business, nora: Customer
) -> None:
    await api.put("/v1/customers", json={"address": nora.address})

    async with database.read(business.id) as db:
        kinds = [each.kind for each in await events.page(db) if each.customer_id == nora.id]
    assert Kind.customer_looked in kinds


async def test_a_key_that_only_writes_reads_nobody(
    database: Database, business: Business, nora: Customer
) -> None:
    key = site.caller([Scope.customers_write])
    async with site.client(database, business, key=key) as writer:
        answer = await writer.put("/v1/customers", json={"address": nora.address, "name": "N."})

    assert (answer.status_code, answer.content) == (HTTPStatus.NO_CONTENT, b"")
    async with database.read(business.id) as db:
        assert (await customers.get(db, nora.id)).name == "N."
