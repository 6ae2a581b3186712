"""Her pages say why no newsletter comes, whatever is on, and what she can do about it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from litestar.types import ASGIApp

from crm import consent, mail
from crm.businesses import Business
from crm.consent import Notice
from crm.customers import Customer, fold
from crm.db import Database
from crm.events import Actor
from crm.mail import Scope, Suppression, Why
from tests import make
from tests.browser import Browser

BOUNCED = "came back on"
SILENT = "No newsletter is sent to"


@pytest.fixture
async def portal(site: ASGIApp, business: Business) -> AsyncIterator[Browser]:
    """A browser at the whole application."""
    async with Browser(site, business.origin) as browser:
        yield browser


@pytest.fixture
async def allowed(database: Database, business: Business, customer: Customer) -> Notice:
    """A newsletter that she said yes to."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        word = await make.own_word(db, customer.id)
        await consent.give(db, Actor.customer(customer.id), customer.id, notice.question, word)
    return notice


async def _suppressed(database: Database, business: Business, her: Customer, why: Why) -> None:
    scope = Scope.all if why is Why.bounced else Scope.marketing
    async with database.write(business.id) as db:
        hashed = db.keys.address_hash(db.business_id, fold(her.address))
        await mail.suppress(db, make.SYSTEM, hashed, scope, why)


async def _silence(database: Database, business: Business, her: Customer) -> Suppression | None:
    async with database.read(business.id) as db:
        return await mail.suppressed(db, db.keys.address_hash(db.business_id, fold(her.address)))


async def test_a_mailbox_that_works_again_is_mailed_again(
    database: Database, business: Business, portal: Browser, customer: Customer, allowed: Notice
) -> None:
    """By one press, once a mail has arrived there after the one that came back."""
    await make.let_in_as_customer(database, business, customer, portal)
    before = await portal.get("/me/consent")
    await _suppressed(database, business, customer, Why.bounced)
    told = [await portal.get(path) for path in ("/me", "/me/consent")]
    early = await portal.fill("/me/consent", "/me/mailbox")
    assert await _silence(database, business, customer) is not None
    await make.let_in_as_customer(database, business, customer, portal)
    offered = [await portal.get(path) for path in ("/me", "/me/consent")]
    pressed = await portal.fill("/me/consent", "/me/mailbox")

    assert early.status_code == pressed.status_code == 303
    assert BOUNCED not in before.text
    for each in told:
        assert BOUNCED in each.text
        assert "Sign in once more" in each.text
        assert 'action="/me/mailbox"' not in each.text
    for each in offered:
        assert BOUNCED in each.text
        assert 'action="/me/mailbox"' in each.text
    assert await _silence(database, business, customer) is None
    assert BOUNCED not in (await portal.get("/me/consent")).text


@pytest.mark.parametrize("why", [why for why in Why if why is not Why.bounced])
async def test_what_somebody_asked_for_ends_with_her_yes_alone(
    *,
    database: Database,
    business: Business,
    portal: Browser,
    customer: Customer,
    allowed: Notice,
    why: Why,
) -> None:
    """The page says that what is on is not sent, and has the button that says yes once more."""
    await _suppressed(database, business, customer, why)
    await make.let_in_as_customer(database, business, customer, portal)
    told = await portal.get("/me/consent")
    await portal.fill("/me/consent", "/me/mailbox")
    assert await _silence(database, business, customer) is not None
    grant = f"/me/consent/{allowed.purpose_id}/grant"
    shown = {"notice": str(allowed.id), "sha256": allowed.sha256.hex()}
    pressed = await portal.fill("/me/consent", grant, **shown)

    assert SILENT in told.text
    assert f'action="{grant}"' in told.text
    assert pressed.status_code == 303
    assert await _silence(database, business, customer) is None
    assert SILENT not in (await portal.get("/me/consent")).text


@pytest.mark.parametrize("bounced_first", [True, False])
@pytest.mark.parametrize("why", [why for why in Why if why is not Why.bounced])
async def test_a_bounce_forgets_no_decision(
    *,
    database: Database,
    business: Business,
    portal: Browser,
    customer: Customer,
    allowed: Notice,
    why: Why,
    bounced_first: bool,
) -> None:
    """Whichever came first: the mailbox works again, and the decision stands (promise 7)."""
    for each in (Why.bounced, why) if bounced_first else (why, Why.bounced):
        await _suppressed(database, business, customer, each)
    bounced = await _silence(database, business, customer)
    await make.let_in_as_customer(database, business, customer, portal)
    for _ in range(2):
        await portal.fill("/me/consent", "/me/mailbox")
    stands = await _silence(database, business, customer)
    told = await portal.get("/me/consent")
    grant = f"/me/consent/{allowed.purpose_id}/grant"
    shown = {"notice": str(allowed.id), "sha256": allowed.sha256.hex()}
    await portal.fill("/me/consent", grant, **shown)

    assert bounced is not None
    assert (bounced.scope, bounced.reason) == (Scope.all, Why.bounced)
    assert stands is not None
    assert (stands.scope, stands.reason) == (Scope.marketing, why)
    assert SILENT in told.text
    assert await _silence(database, business, customer) is None


async def test_pressed_twice_it_works_again(
    database: Database, business: Business, portal: Browser, customer: Customer, allowed: Notice
) -> None:
    """The second press finds nothing to lift, and is told what the first did."""
    await _suppressed(database, business, customer, Why.bounced)
    await make.let_in_as_customer(database, business, customer, portal)
    seen = await portal.get("/me/consent")
    for _ in range(2):
        await portal.fill("/me/consent", "/me/mailbox")
    told = await portal.get("/me/consent")

    assert BOUNCED in seen.text
    assert "Mail goes to your address again." in told.text


async def test_nobody_lifts_by_a_bounce_what_reached_further(
    database: Database, business: Business, portal: Browser, customer: Customer
) -> None:
    """A wish for no mail at all takes the place of a bounce."""
    await _suppressed(database, business, customer, Why.bounced)
    async with database.write(business.id) as db:
        hashed = db.keys.address_hash(db.business_id, fold(customer.address))
        await mail.suppress(db, make.SYSTEM, hashed, Scope.all, Why.staff)
    await make.let_in_as_customer(database, business, customer, portal)
    await portal.fill("/me", "/me/mailbox")
    stands = await _silence(database, business, customer)

    assert stands is not None
    assert (stands.scope, stands.reason) == (Scope.all, Why.staff)
