"""A test mail: to staff only, marked, and with links that harm nobody."""

from __future__ import annotations

import re

import pytest
from msgspec import Struct

from crm import campaigns, customers, staff
from crm.businesses import Business
from crm.campaigns import NotOurs
from crm.campaigns.invented import nobody
from crm.customers import NotAnAddress
from crm.db import Database, parse
from crm.events import Actor
from crm.tokens import open_stop, open_why
from tests.campaigns.site import drafted, member

SYSTEM = Actor.system()
LETTERS = parse(
    """-- name: letters
-- What is to be sent now.
SELECT kind, address, content FROM crm.service_message WHERE business_id = :business_id
"""
)[0]


class Posted(Struct):
    """A service message that waits."""

    kind: str
    address: str
    content: bytes


async def posted(database: Database, business: Business) -> list[Posted]:
    """The service messages that wait."""
    async with database.read(business.id) as db:
        return await db.many(LETTERS, Posted)


async def test_it_goes_to_staff_marked_as_a_test(database: Database, business: Business) -> None:
    """Compared by rule: a capital letter makes no stranger. The domain is as on the wire."""
    await member(database, business)
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        await campaigns.try_out(db, SYSTEM, campaign.id, "Bob@Bakery.example")
    (letter,) = await posted(database, business)

    assert (letter.kind, letter.address) == ("test", "Bob@bakery.example")
    assert b"Subject: [Test] Rye on Saturdays" in letter.content
    assert b"Dear Bob," in letter.content


async def test_its_links_name_nobody(database: Database, business: Business) -> None:
    """Pressing stop in a test stops no customer, also not one with the tester's address."""
    await member(database, business)
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        new = customers.NewCustomer(address="bob@bakery.example")
        await customers.add(db, SYSTEM, new, source=customers.Source.staff)
        await campaigns.try_out(db, SYSTEM, campaign.id, "bob@bakery.example")
    (letter,) = await posted(database, business)
    text = re.sub(rb"=\r\n", b"", letter.content).decode()
    stops = {open_stop(database.keys, found) for found in re.findall(r"/[up]/([\w-]{40,})", text)}
    whys = {open_why(database.keys, found) for found in re.findall(r"/why/([\w-]{40,})", text)}

    assert {stop.address_hash for stop in stops} == {nobody(database.keys, business.id)}
    assert {why.address_hash for why in whys} == {nobody(database.keys, business.id)}
    async with database.read(business.id) as db:
        assert await customers.by_hash(db, nobody(database.keys, business.id)) is None


async def test_anybody_else_is_refused(database: Database, business: Business) -> None:
    """A test is no way around consent: not to a customer, not to who has left the staff."""
    await member(database, business)
    gone = await member(database, business, address="gone@bakery.example", role=staff.Role.viewer)
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        await staff.disable(db, SYSTEM, gone.id)
        for address in ("reader0@example.com", "gone@bakery.example"):
            with pytest.raises(NotOurs):
                await campaigns.try_out(db, SYSTEM, campaign.id, address)
        with pytest.raises(NotAnAddress):
            await campaigns.try_out(db, SYSTEM, campaign.id, "bob")

    assert await posted(database, business) == []
