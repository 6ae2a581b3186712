"""How service messages are handed over: each by itself, in bounded time, and not for ever."""

from __future__ import annotations

import pytest

from crm import mail
from crm.businesses import Business
from crm.db import Database
from crm.mail import jobs
from crm.mail.actions import post_written
from tests import make
from tests.campaigns.test_send import settings
from tests.smtpd import smtpd


async def posted(database: Database, business: Business) -> str:
    """Have a letter wait for its customer; return to whom it goes."""
    async with database.write(business.id) as db:
        nora = await make.customer(db)
        address = nora.address or ""
        letter = mail.Letter(
            kind=mail.LetterKind.sign_in, address=address,
            address_hash=db.keys.address_hash(business.id, address), customer_id=nora.id,
            subject="Your way in", text="Here.", html="<p>Here.</p>", locale="en",
        )  # fmt: skip
        await mail.post_letter(db, letter)
    return address


async def stand(database: Database, business: Business) -> list[tuple[str, str]]:
    """Say where the letters of a business stand, and what was said last."""
    async with database.read(business.id) as db:
        rows = await db._conn.fetch(  # noqa: SLF001
            "SELECT state, coalesce(reply, '') AS reply FROM crm.service_message"
            " ORDER BY created_at, message_id"
        )
    return [(row["state"], row["reply"]) for row in rows]


@pytest.mark.parametrize("name", ["Bäckerei Öztürk", "The Corner Bakery of Mill Lane"])
async def test_service_messages_of_any_sender_go(database: Database, name: str) -> None:
    """Its name makes two lines of From, and what comes back still comes to its address."""
    business = await make.business(database, sender_name=name)
    address = await posted(database, business)
    async with smtpd() as server:
        await jobs.sweep({"database": database, "settings": settings(server.port)})
    (message,) = server.messages
    assert (message.sender, message.recipients) == (business.sender_address, [address])


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: Hello\r\n\r\nHello\r\n",
        b"From: Corner Bakery\r\n\r\nHello\r\n",
        b"From: <\xff@bakery.example>\r\n\r\nHello\r\n",
    ],
)
async def test_one_that_cannot_be_read_costs_no_other(
    database: Database, business: Business, content: bytes
) -> None:
    """It has failed, with a reason, and those claimed with it go."""
    async with database.write(business.id) as db:
        await post_written(
            db,
            mail.LetterKind.canary,
            address="canary@bakery.example",
            address_hash=db.keys.address_hash(business.id, "canary@bakery.example"),
            content=content,
        )
    address = await posted(database, business)
    async with smtpd() as server:
        await jobs.deliver(
            {"database": database, "settings": settings(server.port)}, str(business.id)
        )
    assert server.accepted() == [address]
    (broken, other) = await stand(database, business)
    assert (broken, other[0]) == (("failed", "bad_content"), "sent")
