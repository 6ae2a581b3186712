"""A withdrawal told to the business elsewhere: always taken, known or not, and told alike."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from litestar.types import ASGIApp

from crm import consent, customers, mail
from crm.businesses import Business
from crm.consent import Method, Status
from crm.customers import Customer
from crm.db import Database
from tests import make
from tests.access.conftest import Asking
from tests.browser import Browser

WITHDRAWALS = "/v1/withdrawals"


@pytest.fixture
async def program(site: ASGIApp, database: Database, business: Business) -> AsyncIterator[Browser]:
    async with Browser(site, business.origin) as let_in:
        await make.let_in_by_key(database, business, let_in)
        yield let_in


async def statuses(
    database: Database, business: Business, customer: Customer
) -> dict[str, tuple[Status, Method]]:
    async with database.read(business.id) as db:
        names = {each.id: each.slug for each in await consent.purposes(db)}
        states = await consent.states(db, customer.id)
    return {names[each.purpose_id]: (each.status, each.method) for each in states}


async def test_one_purpose(
    *, program: Browser, database: Database, business: Business, nora: Customer, asking: Asking
) -> None:
    for named in (str(asking.letter.id), asking.letter.slug):
        sent = {"address": "NORA@example.com", "purpose": named}
        answer = await program.post(WITHDRAWALS, json=sent)
        assert answer.status_code == 201, answer.text
        assert answer.json().keys() == {"withdrawn_at"}
    found = await statuses(database, business, nora)
    assert found == {"letter": (Status.withdrawn, Method.api)}


async def test_all_of_it_and_what_was_never_asked(
    *, program: Browser, database: Database, business: Business, nora: Customer, asking: Asking
) -> None:
    """A complaint ends what mails, and no use of data; leaving without a purpose ends that too."""
    async with database.write(business.id) as db:
        await make.purpose(db, slug="history", channel="none", double_opt_in=False)
    sent = {"address": "nora@example.com", "complaint": True}
    assert (await program.post(WITHDRAWALS, json=sent)).status_code == 201
    found = await statuses(database, business, nora)
    assert found == dict.fromkeys(("letter", "offers"), (Status.withdrawn, Method.complaint))

    assert (await program.post(WITHDRAWALS, json=sent | {"complaint": False})).status_code == 201
    found = await statuses(database, business, nora)
    assert found["history"] == (Status.withdrawn, Method.api)


async def test_an_address_that_nobody_has_gets_the_same_answer_and_is_suppressed(
    *, program: Browser, database: Database, business: Business, nora: Customer, asking: Asking
) -> None:
    known = await program.post(WITHDRAWALS, json={"address": "nora@example.com"})
    unknown = await program.post(
        WITHDRAWALS, json={"address": "Nobody@Example.com", "purpose": str(asking.letter.id)}
    )
    assert unknown.status_code == known.status_code == 201
    assert unknown.json().keys() == known.json().keys()
    async with database.read(business.id) as db:
        fingerprint = db.keys.address_hash(business.id, customers.fold("nobody@example.com"))
        kept = await mail.suppressed(db, fingerprint)
        assert await customers.by_address(db, "nobody@example.com") is None
    assert kept is not None
    assert kept.scope is mail.Scope.marketing


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"address": "no address"}, 422, "not_an_address"),
        ({}, 422, "invalid"),
        ({"address": "a@example.com", "purpose": "no-such-letter"}, 404, "unknown_purpose"),
        ({"address": "a@example.com", "purpose": "The letter"}, 422, "invalid"),
        (
            {"address": "a@example.com", "purpose": "00000000-0000-0000-0000-000000000001"},
            404,
            "unknown_purpose",
        ),
        ({"address": "a@example.com", "status": "given"}, 422, "invalid"),
    ],
)
async def test_bad_input(program: Browser, sent: dict[str, str], status: int, code: str) -> None:
    answer = await program.post(WITHDRAWALS, json=sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_state_is_never_put_or_patched(program: Browser) -> None:
    """Whatever the path: no route of the API takes either, and none deletes a decision."""
    paths = (await program.get("/docs/openapi.json")).json()["paths"]
    writes = {
        (method, path)
        for path, operations in paths.items()
        for method in operations
        if "consent" in path or "withdrawal" in path
    }
    assert writes
    assert {method for method, _ in writes} <= {"get", "post"}
