"""The record of processing: what is declared stands in it, and nothing else has to be written."""

from __future__ import annotations

import json
import re

from crm import customers, mail
from crm.access.model import SIGNUP_LASTS
from crm.businesses import Business
from crm.consent.terms import Party
from crm.customers import AttributeType, LawfulBasis, NewAttribute, NewKind
from crm.db import Database
from crm.inbound.model import REMEMBERED
from crm.mail import NewServicePurpose
from crm.privacy import Processing, processing
from crm.ropa_command import as_json, as_page
from tests import make

PRINTER = Party(name="Paper & Co", country="FR", role="prints our letters")


async def _declared(database: Database, business: Business) -> Processing:
    async with database.write(business.id) as db:
        await make.purpose(
            db, recipients=(PRINTER,), storage=("DE",), validity="P18M", retention="P3Y"
        )
        size = NewAttribute(basis=LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Shoe size", type=AttributeType.text, purpose="To send fitting socks.",
            retention="P2Y",
        )  # fmt: skip
        await customers.declare_attribute(db, make.SYSTEM, "shoe_size", size)
        call = NewKind(label="Call", purpose="To know what was agreed.", retention="P6M")
        await customers.declare_kind(db, make.SYSTEM, "call", call)
        order = NewServicePurpose(
            label="Orders",
            purpose="You ordered bread, and we confirm it.",
            basis=LawfulBasis.contract,
        )
        await mail.declare_service_purpose(db, make.SYSTEM, "orders", order)
        return await processing(db)


async def test_what_is_declared_stands_in_it(database: Database, business: Business) -> None:
    found = await _declared(database, business)
    (activity,) = found.activities

    assert found.controller.legal_name == business.legal_name
    assert (activity.name, activity.basis) == ("The Corner Letter", "consent")
    assert (activity.recipients, activity.storage) == ([PRINTER], ["DE"])
    assert (activity.validity, activity.proof_kept) == ("18 months", "3 years")
    kept = {each.what: each.until for each in (*found.attributes, *found.interactions)}
    assert kept["Shoe size"] == "2 years after it was set"
    assert kept["Call"] == "6 months after it happened"
    (orders,) = found.messages
    assert (orders.what, orders.basis) == ("Orders", "A contract with you (Art. 6(1)(b) GDPR)")
    assert f"{mail.LETTERS_KEPT.days} days" in orders.until


async def test_the_times_are_those_that_are_enforced(
    database: Database, business: Business
) -> None:
    besides = {each.what: each.until for each in (await _declared(database, business)).besides}

    assert besides["Sign-ups"] == f"{SIGNUP_LASTS.days} days"
    digests = next(what for what in besides if what.startswith("Reports"))
    assert besides[digests] == f"{REMEMBERED.days} days"
    assert all(besides.values())


async def test_a_page_and_json_say_the_same(database: Database, business: Business) -> None:
    """The page needs nothing from anywhere, and what somebody typed is text on it."""
    found = await _declared(database, business)
    told, page = json.loads(as_json(found)), as_page(found)

    assert (told["format"], told["version"]) == ("firsthand/ropa", 2)
    assert told["activities"][0]["recipients"][0]["name"] == "Paper & Co"
    for said in (
        "Paper &amp; Co",
        "You ordered bread",
        "France",
        "Germany",
        "To send fitting socks.",
        "18 months",
    ):
        assert said in page, said
    assert not re.search(r"<script|src=|url\(|@import|<link|https?:", page)
