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
