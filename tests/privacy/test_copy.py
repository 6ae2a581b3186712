"""Taking everything: a file with all of it, at once, and that it was taken is on record."""

from __future__ import annotations

import json

from crm import events, privacy
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database
from crm.events import Kind
from tests.privacy import site
from tests.privacy.life import Life


async def test_every_decision_stands_beside_its_words(database: Database, nora: Life) -> None:
    """The double opt-in has both instants, and the exact text with its digest (promise 5)."""
    async with database.write(nora.business.id) as db:
        copy = await privacy.copy(db, nora.actor, nora.customer.id)
    given = next(
        each for each in copy.consent.decisions if each.event.method.value == "double_opt_in"
    )

    assert given.purpose == "The Corner Letter"
    assert given.notice is not None
    assert given.notice.text == nora.notice.text
    assert given.notice.control_label == nora.notice.control_label
    assert given.notice.sha256 == nora.notice.sha256.hex()
    assert given.event.opt_in is not None
    assert given.event.opt_in.mailed_at <= given.event.opt_in.confirmed_at == given.event.at
    assert [each.network.address for each in copy.consent.networks] == ["192.0.2.44", "192.0.2.45"]


async def test_every_mail_names_its_warrant(database: Database, nora: Life) -> None:
    """A campaign that went out points to a decision that is in the same file (promise 1)."""
    async with database.write(nora.business.id) as db:
        copy = await privacy.copy(db, nora.actor, nora.customer.id)
    decided = {each.event.id for each in copy.consent.decisions}

    assert {each.campaign_id for each in copy.campaigns} == {nora.got.id, nora.waits.id}
    assert {each.event_id for each in copy.campaigns} <= decided


async def test_who_looked_is_in_it(database: Database, nora: Life) -> None:
    """Who, when and why, of people and programs (promise 11)."""
    async with database.write(nora.business.id) as db:
        copy = await privacy.copy(db, nora.actor, nora.customer.id)

    assert [(each.name, each.reason) for each in copy.looks] == [
        ("Bob Okafor", "answering your question"),
        ("Shop till", "list"),
    ]


async def test_she_downloads_it(database: Database, business: Business, nora: Life) -> None:
    """A file that no cache keeps; she herself stands in the feed, and in no list of looks."""
    async with await site.her_browser(database, business, nora.customer) as browser:
        refused = await browser.get("/me/export")
        answer = await browser.fill("/me", "/me/export")

    assert refused.status_code == 405
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith('attachment; filename="your-data-')
    assert answer.headers["cache-control"] == "no-store"
    taken = json.loads(site.inside(answer.content)["copy.json"])
    assert (taken["format"], taken["version"]) == ("firsthand/copy", 1)
    assert taken["customer"]["customer"]["address"] == nora.customer.address
    assert taken["events"][-1]["kind"] == "customer.exported"
    async with database.read(business.id) as db:
        assert len(await events.looks_at(db, nora.customer.id)) == 2


async def test_it_is_hers_alone(
    database: Database, business: Business, nora: Life, ada: Customer
) -> None:
    """Nothing of anybody else of the same business is in it."""
    async with await site.her_browser(database, business, ada) as browser:
        answer = await browser.fill("/me", "/me/export")

    text = b"".join(site.inside(answer.content).values()).decode()
    assert ada.address in text
    assert "nora" not in text.lower()
    assert nora.customer.id.hex not in text.replace("-", "")


async def test_a_copy_by_somebody_else_says_who_and_why(database: Database, nora: Life) -> None:
    """The reason is in the customer's list of looks."""
    async with database.write(nora.business.id) as db:
        await privacy.copy(db, nora.member.actor, nora.customer.id, reason="her letter of today")

    async with database.read(nora.business.id) as read:
        newest = (await events.looks_at(read, nora.customer.id))[0]
    assert (newest.kind, newest.actor_name, newest.reason) == (
        Kind.customer_exported,
        "Bob Okafor",
        "her letter of today",
    )
