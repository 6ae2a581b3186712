"""A message that the relay took and a mailbox did not: it says so, as do events and her pages."""

from __future__ import annotations

import pytest

from crm import businesses
from crm.businesses import Business, NewBusiness
from crm.customers import Customer
from crm.db import Database
from crm.inbound.hearing import hear_arrival
from crm.inbound.model import Via, arrived
from tests import make
from tests.browser import Browser
from tests.inbound.letters import dsn
from tests.service.site import asked, carried, declare, post, sent, stands
from tests.smtpd import smtpd


@pytest.fixture
async def hearing(database: Database, business: Business) -> Business:
    """The business, with a domain to which its mail comes back."""
    kept = {field: getattr(business, field) for field in NewBusiness.__struct_fields__}
    domain = {"return_domain": "back.corner-bakery.example"}
    async with database.write(business.id) as db:
        return await businesses.change(db, make.SYSTEM, NewBusiness(**kept | domain))


async def test_it_works(
    database: Database, hearing: Business, api: Browser, portal: Browser, customer: Customer
) -> None:
    """Told once, whatever comes after it; and the next one is refused, for the mailbox is gone."""
    await declare(api)
    first, second = await sent(api, customer), await sent(api, customer, subject="Another")
    async with smtpd() as relay:
        await carried(database, hearing, relay)
        (sender,) = [
            each.sender for each in relay.messages if b"Subject: Another" not in each.content
        ]
    for serial in range(2):
        report = arrived(sender, dsn("5.1.1", serial=serial))
        await hear_arrival(database, hearing.id, report, Via.listener)
    told, other = await stands(api, first), await stands(api, second)
    events = (await api.get("/v1/events?limit=100")).json()["rows"]
    page = (await portal.get(f"/me/mails/{first}")).text
    listed = (await portal.get("/me/mails")).text
    refused = await post(api, asked(customer))

    assert (told["state"], told["bounce_code"]) == ("sent", "5.1.1")
    assert told["bounced_at"]
    assert other["bounced_at"] is None
    bounced = [each for each in events if each["kind"] == "service_message.bounced"]
    assert [(each["ref"], each["reason"]) for each in bounced] == [(first, "5.1.1")]
    assert "It came back: your mailbox did not take it" in page
    assert listed.count("It came back: your mailbox did not take it") == 1
    assert refused.json()["code"] == "address_suppressed"
