"""What service messages are for is never what needs a consent, whichever was named first."""

from __future__ import annotations

import pytest

from crm import consent, mail
from crm.businesses import Business
from crm.customers import Customer
from crm.customers.basis import LawfulBasis
from crm.db import Database, Db
from crm.events import Actor
from crm.mail.service_purpose import PurposeNeedsConsent, ServicePurpose, sql
from tests import make
from tests.browser import Browser
from tests.races import Act, second
from tests.service.site import DECLARED, PURPOSE, asked, declare, post


async def test_no_purpose_that_needs_consent(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """Neither declared on such a ground, nor named after a newsletter, nor sent for one."""
    async with database.write(business.id) as db:
        await make.purpose(db, slug="letter")
    await declare(api)
    grounds = {
        basis: (await api.put(PURPOSE, json=DECLARED | {"basis": basis})).json()["code"]
        for basis in ("consent", "legitimate_interests", "public_task", "vital_interests")
    }
    named = await api.put("/v1/service-purposes/letter", json=DECLARED)
    moved = await api.put(PURPOSE, json=DECLARED | {"basis": "legal_obligation"})
    worded = await api.put(PURPOSE, json=DECLARED | {"label": "Your order"})
    answer = await post(api, asked(customer, purpose="letter"))
    listed = (await api.get("/v1/service-purposes")).json()

    assert set(grounds.values()) == {"no_ground"}
    assert named.json()["code"] == "purpose_needs_consent"
    assert moved.json()["code"] == "ground_stays"
    assert worded.json()["label"] == "Your order"
    assert (answer.status_code, answer.json()["code"]) == (409, "purpose_needs_consent")
    assert [(each["name"], each["basis"]) for each in listed] == [
        ("order_confirmation", "contract")
    ]


@pytest.mark.parametrize(("field", "room"), [("label", 200), ("purpose", 500)])
async def test_a_letter_that_is_two_once_composed_counts_as_two(
    api: Browser, field: str, room: int
) -> None:
    half = room // 2
    refused = await api.put(PURPOSE, json=DECLARED | {field: "\u0958" * (half + 1)})
    taken = await api.put(PURPOSE, json=DECLARED | {field: "\u0958" * half})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == f"#/{field}"
    assert (taken.status_code, len(taken.json()[field])) == (200, room)


async def test_no_purpose_that_needs_consent_takes_its_name(
    database: Database, business: Business, api: Browser, console: Browser, customer: Customer
) -> None:
    """Neither by a program nor by staff; the messages go on."""
    declared = await api.put("/v1/service-purposes/news", json=DECLARED)
    added = await api.post("/v1/purposes", json={"slug": "news", "name": "News"})
    form = {"slug": "news", "name": "News", "channel": "email"}
    page = await console.fill("/staff/purposes/new", "/staff/purposes", **form)
    answer = await post(api, asked(customer, purpose="news"))

    assert declared.status_code == 200
    assert (added.status_code, added.json()["code"]) == (409, "slug_needs_no_consent")
    assert page.status_code == 422
    assert "Service messages go out under this short name" in page.text
    assert answer.status_code == 202
    async with database.read(business.id) as db:
        assert await consent.purposes(db) == []


async def _declares(db: Db) -> None:
    new = mail.NewServicePurpose(
        label="News", purpose="So you hear our news.", basis=LawfulBasis.contract
    )
    await mail.declare_service_purpose(db, Actor.system(), "news", new)


async def _adds(db: Db) -> None:
    await make.purpose(db, slug="news")


@pytest.mark.parametrize(
    ("first", "then", "refused"),
    [
        (_declares, _adds, consent.SlugNeedsNoConsent),
        (_adds, _declares, PurposeNeedsConsent),
    ],
)
async def test_of_two_who_take_a_name_at_once_one_has_it(
    database: Database, business: Business, first: Act, then: Act, refused: type[Exception]
) -> None:
    """The second waits for the first, and is refused."""
    with pytest.raises(refused):
        await second(database, business, first, then)


async def test_a_name_of_both_from_before_sends_nothing(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """What was declared when nobody looked at names is refused when it is used."""
    async with database.write(business.id) as db:
        await make.purpose(db, slug="news")
        await db.one(sql.declare_service_purpose, ServicePurpose, name="news", **DECLARED)
    answer = await post(api, asked(customer, purpose="news"))

    assert (answer.status_code, answer.json()["code"]) == (409, "purpose_needs_consent")
