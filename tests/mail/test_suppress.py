"""Suppressing an address: at once, also where nobody of that address is known."""

from __future__ import annotations

import asyncio

import pytest

from crm import campaigns, customers, mail
from crm.businesses import Business
from crm.campaigns import jobs
from crm.db import Database
from crm.events import Actor
from crm.mail import Scope
from tests import make
from tests.browser import Browser
from tests.campaigns.test_send import settings

_SCOPES = [scope.value for scope in Scope]


@pytest.mark.parametrize("scope", _SCOPES)
async def test_it_works(database: Database, business: Business, api: Browser, scope: str) -> None:
    """An address nobody has given us is suppressed all the same."""
    answer = await api.post(
        "/v1/suppressions", json={"address": " Nobody@Example.com", "scope": scope}
    )
    async with database.read(business.id) as db:
        folded = customers.fold("nobody@example.com")
        kept = await mail.suppressed(db, db.keys.address_hash(business.id, folded))

    assert answer.status_code == 201
    assert answer.json()["scope"] == scope
    assert kept is not None
    assert kept.scope == scope


async def test_waiting_deliveries_are_taken_out(
    database: Database, business: Business, api: Browser
) -> None:
    """Promise 2: before the answer."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        await make.audience(db, await make.notice(db, purpose.id), 2)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, Actor.system(), campaign.id)
    ctx: jobs.Ctx = {"database": database, "settings": settings(1), "sending": asyncio.Lock()}
    await jobs.fill(ctx, str(business.id), str(campaign.id))
    await api.post("/v1/suppressions", json={"address": "reader1@example.com"})
    async with database.read(business.id) as read:
        counts = await campaigns.recount(read, campaign.id)

    assert counts.reasons == {"suppressed": 1}
    assert counts.waiting == 1


async def test_a_narrower_scope_replaces_no_wider_one(api: Browser) -> None:
    """Who asked for silence is not mailed a little again."""
    address = {"address": "quiet@example.com"}
    await api.post("/v1/suppressions", json=address | {"scope": "all"})
    answer = await api.post("/v1/suppressions", json=address | {"scope": "marketing"})

    assert answer.json()["scope"] == "all"


@pytest.mark.parametrize("body", [{}, {"address": "no address"}, {"address": "a@b.c", "x": 1}])
async def test_what_makes_no_sense_is_refused(api: Browser, body: dict[str, object]) -> None:
    """With what is wrong, and nothing written."""
    answer = await api.post("/v1/suppressions", json=body)

    assert answer.status_code in {400, 422}
    assert answer.json()["code"]


async def test_another_business_is_not_concerned(
    database: Database, other_business: Business, api: Browser
) -> None:
    """The same address at another business may still be mailed."""
    await api.post("/v1/suppressions", json={"address": "shared@example.com"})
    async with database.read(other_business.id) as db:
        folded = customers.fold("shared@example.com")
        kept = await mail.suppressed(db, db.keys.address_hash(other_business.id, folded))

    assert kept is None
