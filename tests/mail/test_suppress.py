"""Suppressing an address: at once, also where nobody of that address is known."""

from __future__ import annotations

import asyncio

import pytest

from crm import campaigns, customers, events, mail
from crm.businesses import Business
from crm.campaigns import jobs
from crm.db import Database
from crm.events import Actor
from crm.mail import Scope
from crm.staff import Scope as StaffScope
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


async def held(database: Database, business: Business, **why: mail.Why) -> dict[str, str]:
    """Suppress addresses by name, each for its reason; returns their fingerprints."""
    fingerprints = {}
    async with database.write(business.id) as db:
        for name, reason in why.items():
            hashed = db.keys.address_hash(business.id, f"{name}@example.com")
            scope = Scope.all if reason is mail.Why.bounced else Scope.marketing
            await mail.suppress(db, Actor.system(), hashed, scope, reason)
            fingerprints[name] = hashed.hex()
    return fingerprints


async def test_the_list_holds_fingerprints_only(
    database: Database, business: Business, other_business: Business, api: Browser
) -> None:
    """All of them by pages, none twice, and none of anybody else's."""
    names = {f"reader{number}": mail.Why.complained for number in range(5)}
    kept = await held(database, business, **names)
    await held(database, other_business, reader9=mail.Why.left)
    path: str | None = "/v1/suppressions?limit=2"
    rows = []
    while path:
        answer = await api.get(path)
        assert "example.com" not in answer.text
        rows += answer.json()["rows"]
        path = answer.links.get("next", {}).get("url")

    assert [each["fingerprint"] for each in rows] == sorted(kept.values())
    assert {(each["scope"], each["reason"]) for each in rows} == {("marketing", "complained")}


async def test_addresses_are_checked(database: Database, business: Business, api: Browser) -> None:
    """Each in its place, however it is written; and what is no address is pointed to."""
    kept = await held(database, business, left=mail.Why.left, gone=mail.Why.bounced)
    asked = ["Gone@Example.com", "nobody@example.com", "left@example.com"]
    told = (await api.post("/v1/suppressions/check", json={"addresses": asked})).json()
    wrong = ["left@example.com", "no address", "a@b@c.org"]
    refused = await api.post("/v1/suppressions/check", json={"addresses": wrong})

    reasons = [each["suppression"] and each["suppression"]["reason"] for each in told]
    assert reasons == ["bounced", None, "left"]
    assert told[0]["fingerprint"] == kept["gone"]
    assert refused.status_code == 422
    pointers = [each["pointer"] for each in refused.json()["errors"]]
    assert pointers == ["#/addresses/1", "#/addresses/2"]


@pytest.mark.parametrize("why", [why for why in mail.Why if why is not mail.Why.bounced])
async def test_nobody_lifts_what_somebody_decided(
    database: Database, business: Business, api: Browser, why: mail.Why
) -> None:
    """Neither by itself nor beneath a bounce, which alone is lifted (promise 7)."""
    await held(database, business, nora=why)
    refused = await api.post("/v1/suppressions/lift", json={"address": "nora@example.com"})
    await held(database, business, nora=mail.Why.bounced)
    lifted = await api.post("/v1/suppressions/lift", json={"address": "nora@example.com"})

    assert (refused.status_code, refused.json()["code"]) == (409, "hers_to_lift")
    assert lifted.json()["suppression"]["reason"] == why.value


async def test_a_mailbox_that_works_again_is_mailed(
    database: Database, business: Business, api: Browser
) -> None:
    """Its customer sees who said so; again changes nothing."""
    async with database.write(business.id) as db:
        nora = await make.customer(db, address="nora@example.com")
    await held(database, business, nora=mail.Why.bounced)
    address = {"address": "Nora@example.com"}
    told = [(await api.post("/v1/suppressions/lift", json=address)).json() for _ in range(2)]
    async with database.read(business.id) as db:
        said = [each async for each in events.export(db, nora.id)]

    assert [each["suppression"] for each in told] == [None, None]
    lifted = [each for each in said if each.kind is events.Kind.address_works_again]
    assert [each.actor_kind for each in lifted] == [events.ActorKind.key]


async def test_reading_lifts_nothing(web: Browser, database: Database, business: Business) -> None:
    await make.let_in_by_key(database, business, web, [StaffScope.suppressions_read])
    address = {"address": "nora@example.com"}
    assert (await web.get("/v1/suppressions")).json() == {"rows": [], "after": None}
    assert (await web.post("/v1/suppressions/lift", json=address)).status_code == 403


@pytest.mark.parametrize("bounces", [False, True])
@pytest.mark.parametrize(
    "why", [why for why in mail.Why if why not in {mail.Why.bounced, mail.Why.moved}]
)
async def test_what_is_decided_takes_the_place_of_a_move(
    database: Database, business: Business, why: mail.Why, *, bounces: bool
) -> None:
    """Nobody decided that; what somebody did goes neither with the move nor with who had it."""
    await held(database, business, nora=mail.Why.moved)
    fingerprint = database.keys.address_hash(business.id, "nora@example.com")
    async with database.read(business.id) as read:
        move = await mail.suppressed(read, fingerprint)
    assert move is not None
    if bounces:
        await held(database, business, nora=mail.Why.bounced)
    await held(database, business, nora=why)
    await held(database, business, nora=mail.Why.moved)
    async with database.write(business.id) as db:
        await mail.lift_move(db, fingerprint)
        await mail.lift_former(db, fingerprint, move.at)
        stands = await mail.decided_against(db, fingerprint)
        above = await mail.suppressed(db, fingerprint)

    assert stands is not None
    assert above is not None
    assert (stands.scope, stands.reason) == (Scope.marketing, why)
    assert stands.at > move.at
    assert above.reason is (mail.Why.bounced if bounces else why)
