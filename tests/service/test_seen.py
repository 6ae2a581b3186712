"""What was sent to her is on her pages, in her copy and her erasure; staff see that it went."""

from __future__ import annotations

import json

from crm import mail, privacy, staff
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database
from crm.mail.keeping import BLOT
from tests import make
from tests.browser import Browser
from tests.privacy.taken import inside, taken
from tests.service.site import MESSAGES, asked, carried, declare, post, sent
from tests.smtpd import smtpd

RESET = "https://shop.example/reset/k3Jd92Lmq8Xw0aZr71?next=orders"
PARCEL = "https://shop.example/parcels/00340434161094042557"
TEXT = f"Nora, [choose a password]({RESET}), or see {PARCEL}"


async def test_she_reads_it_with_its_ground(
    database: Database, business: Business, api: Browser, portal: Browser, customer: Customer
) -> None:
    """As it was sent, but for what would open something in the shop."""
    await declare(api)
    message_id = await sent(api, customer, text=TEXT)
    async with smtpd() as relay:
        await carried(database, business, relay)
    listed = (await portal.get("/me/mails")).text
    page = (await portal.get(f"/me/mails/{message_id}?part=text")).text
    alone = (await portal.get(f"/me/mails/{message_id}/page")).text
    file = (await portal.get(f"/me/mails/{message_id}/file")).content

    for shown in (listed, page):
        assert "Your order 2026-0417" in shown
        assert "Order confirmation" in shown
        assert "A contract with you (Art. 6(1)(b) GDPR)" in shown
    assert "You ordered something, and we confirm what you ordered." in page
    assert f"https://shop.example/reset/{BLOT}?next=orders" in page
    assert f"https://shop.example/reset/{BLOT}?next=orders" in alone
    assert PARCEL in page
    assert "k3Jd92Lmq8Xw0aZr71" not in page + alone + file.decode("utf-8", "replace")


async def test_of_what_was_held_back_she_reads_why(
    database: Database, business: Business, api: Browser, portal: Browser, customer: Customer
) -> None:
    """It is not told as something that her mailbox refused."""
    await declare(api)
    message_id = await sent(api, customer)
    async with database.write(business.id) as db:
        fingerprint = db.keys.address_hash(business.id, customer.address.lower())
        await mail.suppress(db, make.SYSTEM, fingerprint, mail.Scope.all, mail.Why.staff)
    async with smtpd() as relay:
        await carried(database, business, relay)
    listed = (await portal.get("/me/mails")).text
    page = (await portal.get(f"/me/mails/{message_id}")).text

    for shown in (listed, page):
        assert "Not sent to you, because mail to your address is stopped" in shown


async def test_it_is_in_her_copy_and_goes_with_her(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """With what for, on which ground and what the business calls it; and then nowhere."""
    await declare(api)
    message_id = await sent(api, customer)
    async with smtpd() as relay:
        await carried(database, business, relay)
    files = inside(await taken(database, business.id, customer.id))
    (letter,) = [
        each
        for each in json.loads(files["copy.json"])["letters"]
        if each["message_id"] == message_id
    ]
    async with database.write(business.id) as db:
        await privacy.erase(db, make.SYSTEM, customer.id)
    gone = await api.get(f"{MESSAGES}/{message_id}")
    again = await post(api, asked(customer))

    assert letter["label"] == "Order confirmation"
    assert letter["basis"] == "contract"
    assert letter["reference"] == "2026-0417"
    assert b"Cake" in files[letter["file"]]
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_service_message")
    assert (again.status_code, again.json()["code"]) == (404, "unknown_customer")


async def test_staff_see_that_it_went(
    database: Database, business: Business, api: Browser, console: Browser, customer: Customer
) -> None:
    """Among her mails, with its reference and without its words; and who sent it in the trail."""
    await declare(api)
    await sent(api, customer)
    async with database.write(business.id) as db:
        (who,) = await staff.members(db)
        await staff.give_reason(db, who, customer.id, "answering her question")
    page = (await console.get(f"/staff/customers/{customer.id}/mails")).text
    trail = (await console.get("/staff/audit")).text

    assert "Order confirmation" in page
    assert "2026-0417" in page
    assert "Cake" not in page
    assert "wrote a service message to a customer" in trail
