"""The client says what the document says, and runs from a purpose to a withdrawal."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from litestar.types import ASGIApp

from crm import customers, events
from crm.businesses import Business
from crm.client import Client, Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from crm.db import Database
from crm.staff import Scope
from crm.web.openapi import operations, resource
from tests import make
from tests.browser import Browser
from tests.calls import CLIENT, written
from tests.client.conftest import Way
from tests.client.scenario import twenty_calls
from tests.routes import DOCUMENT


def test_the_calls_are_those_of_the_document() -> None:
    """After a change of a route, `make calls` writes them anew."""
    kept = {
        str(path.relative_to(CLIENT)): path.read_text()
        for folder in ("answers", "bodies", "calls")
        for path in (CLIENT / folder).glob("*.py")
    }

    assert kept == written()


async def test_twenty_calls(
    client: Client, way: Way, database: Database, business: Business
) -> None:
    """Typed all the way; the last event is the withdrawal, and a generated client does the same."""

    async def told() -> None:
        async with database.write(business.id) as db:
            while await events.number(db):
                continue

    happened = await twenty_calls(client, told)

    assert happened[-1].kind == "consent.withdrawn"
    typescript = (Path(__file__).parent / "scenario.ts").read_text()
    there = re.findall(r'client\.([A-Z]+)\("([^"]+)"', typescript)
    here = [(request.method, request.url.path) for request in way.sent[:20]]
    assert len(there) == 20
    for (method, path), call in zip(there, here, strict=True):
        assert method == call[0]
        assert re.fullmatch(re.sub(r"{\w+}", r"[\\w-]+", path), call[1])


async def test_what_a_key_may_only_write_is_answered_with_nothing(
    database: Database, site: ASGIApp, business: Business, way: Way
) -> None:
    async with database.write(business.id) as db:
        nora = await make.customer(db)
    async with Browser(site, business.origin) as program:
        await make.let_in_by_key(database, business, program, [Scope.customers_write])
        key = program.headers["authorization"].removeprefix("Bearer ")
    async with Client(business.origin, key, transport=way) as writing:
        answer = await writing.customers.patch_customer(
            nora.id, if_match=nora.version, name="Nora Lind"
        )

    assert answer is None
    async with database.read(business.id) as db:
        assert (await customers.get(db, nora.id)).name == "Nora Lind"


def _lists() -> list[tuple[str, str, str]]:
    """Each parameter of the document that takes several values: subject, call and name."""
    return [
        (resource(operation), operation["operationId"], each["name"])
        for _, _, operation in operations(DOCUMENT)
        for each in operation.get("parameters", [])
        if each["in"] == "query"
        and any(
            one.get("type") == "array" for one in [each["schema"], *each["schema"].get("oneOf", [])]
        )
    ]


async def test_each_of_several_values_goes_as_it_is(client: Client, way: Way) -> None:
    lists = _lists()
    assert ("imports", "post_copy_from_elsewhere", "purpose") in lists
    for subject, call, name in lists:
        way.faults = [httpx2.Response(204)]
        with suppress(msgspec.DecodeError):
            await getattr(getattr(client, subject), call)(b"", **{name: ["theirs=ours", "a=b"]})
        assert way.sent[-1].url.params.get_list(name) == ["theirs=ours", "a=b"]
    way.faults = []
    with pytest.raises(Invalid):
        await client.imports.post_copy_from_elsewhere(b"no archive", purpose=["theirs=ours"])


@pytest.mark.parametrize("several", [set, frozenset, tuple, iter, dict.fromkeys])
async def test_several_values_may_come_in_anything(
    client: Client, way: Way, several: Callable[[list[str]], Any]
) -> None:
    way.faults = [httpx2.Response(204)]
    with suppress(msgspec.DecodeError):
        await client.imports.post_copy_from_elsewhere(b"", purpose=several(["theirs=ours", "a=b"]))
    assert sorted(way.sent[-1].url.params.get_list("purpose")) == ["a=b", "theirs=ours"]


@pytest.mark.parametrize("none", [[], (), set()])
async def test_a_list_without_values_is_refused(client: Client, way: Way, none: Any) -> None:
    """It would go out as if it were not asked for, and a filter that became empty ask for all."""
    with pytest.raises(ValueError, match="“purpose” has no value"):
        await client.imports.post_copy_from_elsewhere(b"", purpose=none)
    assert way.sent == []


async def test_a_page_further_on_keeps_all_values_of_a_name(client: Client, way: Way) -> None:
    link = "</v1/customers?purpose=a&purpose=b&name=&after=there>; rel=next"
    way.faults = [
        httpx2.Response(200, headers={"link": link}, json=[]),
        httpx2.Response(200, json=[]),
    ]
    rows = client.customers.get_customers()
    assert [page async for page in rows.pages()] == []

    assert way.sent[-1].url.params.multi_items() == [
        ("purpose", "a"),
        ("purpose", "b"),
        ("name", ""),
        ("after", "there"),
    ]


async def test_a_refusal_is_an_exception_with_its_code(client: Client, business: Business) -> None:
    """With every wrong value named, and of the class of its status."""
    nora = await client.customers.post_customer(address="nora@example.com")
    with pytest.raises(Conflict) as taken:
        await client.customers.post_customer(address="nora@example.com")
    with pytest.raises(Invalid) as wrong:
        await client.customers.post_customer(address="nora", time_zone="Nowhere/Land")
    with pytest.raises(NotFound):
        await client.customers.get_customer("00000000-0000-0000-0000-000000000000")
    with pytest.raises(NotFound):
        await client.campaigns.get_image(nora.id, "../../customers")
    with pytest.raises(ValueError, match="another call"):
        await client.customers.get_customer("")

    assert taken.value.code == "address_taken"
    assert wrong.value.errors
    assert wrong.value.errors[0].pointer
    async with Client(business.origin, "nobody", transport=client._http._transport) as stranger:  # noqa: SLF001
        with pytest.raises((Unauthenticated, Forbidden)):
            await stranger.keys.get_key()
