"""A customer's mails for staff: what became of each, after saying why one looks."""

from __future__ import annotations

from crm import campaigns, events, staff
from crm.businesses import Business
from crm.db import Database
from crm.events import Actor
from tests import make
from tests.browser import Browser
from tests.campaigns.test_send import sent_through
from tests.smtpd import smtpd


async def test_it_works(database: Database, business: Business, console: Browser) -> None:
    """The newsletter stands there with what allowed it, and the customer sees the look."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        (customer_id,) = await make.audience(db, await make.notice(db, purpose.id), 1)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, Actor.system(), campaign.id)
        (who,) = await staff.members(db)
        await staff.give_reason(db, who, customer_id, "answering her question")
    async with smtpd() as relay:
        await sent_through(database, business, campaign.id, relay)
    answer = await console.get(f"/staff/customers/{customer_id}/mails")
    async with database.read(business.id) as read:
        looks = await events.looks_at(read, customer_id)

    assert answer.status_code == 200
    assert "Rye on Saturdays" in answer.text
    assert f"/staff/customers/{customer_id}/consent" in answer.text
    assert [look.reason for look in looks] == ["answering her question"]


async def test_without_a_reason_nothing_is_shown(
    database: Database, business: Business, console: Browser
) -> None:
    """It leads to the record, which asks for one."""
    async with database.write(business.id) as db:
        customer = await make.customer(db)
    answer = await console.get(f"/staff/customers/{customer.id}/mails")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/staff/customers/{customer.id}"
