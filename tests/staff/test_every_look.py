"""Each path on which staff or a program sees a customer is a look at her (promise 11)."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints
from uuid import UUID

import httpx2
import pytest
from msgspec import Struct

from crm import businesses, campaigns, events, staff
from crm.businesses import Business, NewBusiness
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor, Kind, Look
from tests import make
from tests.browser import Browser
from tests.campaigns.test_send import sent_through
from tests.privacy.taken import inside, lines, taken
from tests.routes import ROUTES
from tests.smtpd import smtpd

SYSTEM = Actor.system()
# What names a customer in its path and shows her to nobody.
NO_LOOK = {
    "/staff/customers/new": "an empty form",
    "/v1/customers/{id}/consents": "a bare check of consent",
    "/staff/customers/{id}/erasure": "the certificate of an erasure, which names nobody",
    "/v1/customers/{id}/erasure": "the same for programs",
    "/v1/customers/{id}/copies": "how far copies are that the key asked for",
}
# What answers a program with whose it is, and shows nothing of her.
NAMES_HER_ONLY = {
    "DELETE /v1/customers/{id}/restriction": "whose freeze ends, which the key named itself",
    "GET /v1/consents/check": "a bare check of consent",
    "POST /v1/consent-checks": "the same of many",
    "GET /v1/customers/{id}/consents": "the same of one",
    "GET /v1/events": "what happened, without anybody's data",
    "GET /v1/copies/{copy_id}": "how far a copy is that the key asked for",
    "GET /v1/customers/{id}/copies": "the same of each",
    "POST /v1/customers/{id}/copies": "the same, when it is asked for",
    "POST /v1/copies": "what the key itself sent, counted",
    "POST /v1/customers/{id}/consent-events": "the decision that the key itself sent",
    "POST /v1/imports/{import_id}/quarantine/{customer_id}/release": "the same",
    "POST /v1/customers/{id}/interactions": "what the key itself sent",
    "POST /v1/customers/{id}/erasure": "whom nobody knows any more",
    "POST /v1/service-messages": "what the key itself sent, and to whom",
    "GET /v1/service-messages/{id}": "where that stands, and none of its words",
}
PROGRAM = (
    "GET /v1/customers",
    "GET /v1/customers.ndjson",
    "POST /v1/customers/search",
    "GET /v1/customers/{id}",
    "GET /v1/customers/{id}/attributes",
    "GET /v1/customers/{id}/interactions",
    "GET /v1/customers/{id}/consent-events",
    "GET /v1/customers/{id}/rhythm",
    "GET /v1/campaigns/{campaign}/deliveries?state=sent",
    "GET /v1/campaigns/{campaign}/preview?customer_id={id}",
)
MEMBER = (
    "GET /staff/customers",
    "POST /staff/customers/search",
    "GET /staff/customers/{id}",
    "GET /staff/customers/{id}/change",
    "GET /staff/customers/{id}/attributes",
    "GET /staff/customers/{id}/consent",
    "GET /staff/customers/{id}/consent/record",
    "GET /staff/customers/{id}/mails",
    "GET /staff/customers/{id}/privacy",
    "GET /staff/campaigns/{campaign}/deliveries/sent",
)


async def _looks(database: Database, business: Business, customer_id: UUID) -> list[Look]:
    async with database.read(business.id) as db:
        return await events.looks_at(db, customer_id)


async def _mailed(database: Database, business: Business) -> tuple[UUID, UUID]:
    """A campaign, and the one customer it went to."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        (customer_id,) = await make.audience(db, await make.notice(db, purpose.id), 1)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, SYSTEM, campaign.id)
        for who in await staff.members(db):
            await staff.give_reason(db, who, customer_id, "to answer a question of yours")
    async with smtpd() as relay:
        await sent_through(database, business, campaign.id, relay)
    return customer_id, campaign.id


async def _opened(browser: Browser, route: str, customer_id: UUID, campaign: UUID) -> int:
    method, _, path = route.partition(" ")
    path = path.format(id=customer_id, campaign=campaign)
    if method == "GET":
        return (await browser.get(path)).status_code
    if path.startswith("/v1"):
        return (await browser.post(path, json={"address": "reader0@example.com"})).status_code
    answer: httpx2.Response = await browser.fill("/staff/customers", path, words="reader0")
    return answer.status_code


@pytest.mark.parametrize("kind", ["program", "member"])
async def test_each_path_is_a_look(
    database: Database, business: Business, api: Browser, console: Browser, kind: str
) -> None:
    """One look more each time, and no path without; the search form opens the list before."""
    customer_id, campaign = await _mailed(database, business)
    browser, routes = (api, PROGRAM) if kind == "program" else (console, MEMBER)
    for route in routes:
        before = len(await _looks(database, business, customer_id))
        status = await _opened(browser, route, customer_id, campaign)
        after = await _looks(database, business, customer_id)
        assert status == 200, route
        more = 2 if route.startswith("POST /staff") else 1
        assert len(after) - before == more, route


def test_no_path_is_forgotten() -> None:
    """Whatever has customers in its path asks for what records looks, or says why not."""
    found = {
        route.path: "looks" in route.handler.parsed_fn_signature.parameters
        for route in ROUTES
        if route.method == "GET" and route.path.startswith(("/v1/customers", "/staff/customers"))
    }
    assert len(found) > 15
    assert {path for path, looks in found.items() if not looks} == set(NO_LOOK)


def _structs(kind: Any, found: set[type[Struct]]) -> set[type[Struct]]:
    """Collect what an answer is made of."""
    for inner in get_args(kind):
        _structs(inner, found)
    if isinstance(kind, type) and issubclass(kind, Struct) and kind not in found:
        found.add(kind)
        for inner in get_type_hints(kind, include_extras=True).values():
            _structs(inner, found)
    return found


def test_no_answer_names_her_without_a_look() -> None:
    """Whatever tells a program whose something is records looks, or shows nothing of her."""
    named = set()
    for route in ROUTES:
        if not route.path.startswith("/v1/"):
            continue
        handler = route.handler
        specified = (handler.responses or {}).values()
        kinds = [handler.parsed_fn_signature.return_type.raw]
        kinds += [each.data_container for each in specified]
        found: set[type[Struct]] = set()
        for kind in kinds:
            _structs(kind, found)
        tells = any("customer_id" in each.__struct_fields__ for each in found)
        if tells and "looks" not in handler.parsed_fn_signature.parameters:
            named.add(str(route))
    assert len(named) > 5
    assert named <= set(NAMES_HER_ONLY)


async def test_she_reads_roles_and_names_where_that_is_allowed(
    database: Database, business: Business, console: Browser, portal: Browser, customer: Customer
) -> None:
    """By role; by name only once the business says that its people know of it (C-579/21)."""
    her = customer.id
    async with database.write(business.id) as db:
        (who,) = await staff.members(db)
        await staff.give_reason(db, who, her, "to put right a mistake in your record")
    await console.get(f"/staff/customers/{her}")
    quiet = (await portal.get("/me/looks")).text
    async with database.write(business.id) as db:
        known = {name: getattr(business, name) for name in NewBusiness.__struct_fields__}
        await businesses.change(db, SYSTEM, NewBusiness(**known | {"names_staff": True}))
    named = (await portal.get("/me/looks")).text

    assert "Somebody who runs this business" in quiet
    assert "Reason: <bdi>to put right a mistake in your record</bdi>." in quiet
    assert who.name not in quiet
    assert f"<b>Somebody who runs this business</b> (<bdi>{who.name}</bdi>)" in named
    assert quiet.count("One look") == 1


async def test_a_copy_by_a_job_is_seen(
    database: Database, business: Business, portal: Browser, customer: Customer
) -> None:
    """Nobody in person took it, so it says that a job did."""
    her = customer.id
    async with database.write(business.id) as db:
        reason = "a move to another installation"
        await events.record(db, SYSTEM, Kind.customer_exported, customer_id=her, reason=reason)
    page = (await portal.get("/me/looks")).text
    assert "A job that runs by itself" in page
    assert "a move to another installation" in page


async def test_her_copy_names_staff_no_more_than_her_page(
    database: Database, business: Business, console: Browser, customer: Customer
) -> None:
    """Neither the looks nor what happened say who it was in person."""
    her = customer.id
    async with database.write(business.id) as db:
        (who,) = await staff.members(db)
        await events.record(db, who.actor, Kind.customer_changed, customer_id=her)
        await events.look(db, who.actor, [her], "to answer a question of yours")
    files = inside(await taken(database, business.id, her))
    assert console is not None
    for name in ("looks", "events", "interactions"):
        assert who.name not in repr(lines(files, name))
    assert "owner" in [each["role"] for each in lines(files, "looks")]


async def test_a_usual_reason_is_one_press(
    database: Database, business: Business, console: Browser, customer: Customer
) -> None:
    """What is chosen is what she reads; something else is asked for in words."""
    her = customer.id
    asked = await console.get(f"/staff/customers/{her}")
    record = f"/staff/customers/{her}"
    chosen = await console.fill(record, f"{record}/look", usual="mail")
    opened = await console.get(f"/staff/customers/{her}")
    (look,) = await _looks(database, business, her)
    assert "Why do you open this record?" in asked.text
    assert chosen.status_code == 303
    assert opened.status_code == 200
    assert look.reason == "to find out what became of a mail to you"
