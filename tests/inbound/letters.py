"""What comes back in these tests, and a campaign that it comes back of."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from crm import businesses, campaigns, customers, inbound
from crm.businesses import Business, NewBusiness
from crm.customers import Customer
from crm.db import Database
from crm.inbound import Effect, Via, arrived
from crm.inbound.hearing import hear_arrival
from tests import make
from tests.campaigns.test_send import sent_through
from tests.smtpd import Message, smtpd

DOMAIN = "back.corner-bakery.example"


class Sent(Struct):
    """A campaign that three customers got, and what the relay took for each."""

    business: Business
    campaign_id: UUID
    messages: list[Message]

    def hashed(self, database: Database, number: int = 0) -> bytes:
        """Fingerprint the address of one message."""
        address = customers.fold(self.messages[number].recipients[0])
        return database.keys.address_hash(self.business.id, address)

    def head(self, name: str, number: int = 0) -> str:
        """Return one header of a message, unfolded."""
        head = self.messages[number].content.decode().split("\r\n\r\n")[0].replace("\r\n ", " ")
        return next(
            line.partition(":")[2].strip()
            for line in head.split("\r\n")
            if line.lower().startswith(f"{name.lower()}:")
        )

    def leave(self, number: int = 0) -> str:
        """Return the address that List-Unsubscribe names."""
        return self.head("List-Unsubscribe", number).partition("<mailto:")[2].partition(">")[0]

    async def hear(self, database: Database, recipient: str, raw: bytes) -> Effect:
        """Hear a mail as the listener does."""
        mail = arrived(recipient, raw)
        return await hear_arrival(database, self.business.id, mail, Via.listener)

    async def reader(self, database: Database, number: int = 0) -> Customer:
        """Return who got a message."""
        async with database.read(self.business.id) as db:
            found = await customers.by_hash(db, self.hashed(database, number))
        assert found is not None
        return found

    async def kinds(self, database: Database) -> dict[str, int]:
        """Count what came in, by kind."""
        async with database.read(self.business.id) as db:
            return {each.kind: each.reports for each in await inbound.counts(db, 2)}


async def sent(database: Database, business: Business, domain: str = DOMAIN) -> Sent:
    """Send a campaign to three customers of a business that mail comes back to."""
    kept = {name: getattr(business, name) for name in NewBusiness.__struct_fields__}
    async with database.write(business.id) as db:
        new = NewBusiness(**kept | {"return_domain": domain})
        business = await businesses.change(db, make.SYSTEM, new)
        purpose = await make.purpose(db)
        await make.audience(db, await make.notice(db, purpose.id), 3)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    async with smtpd() as relay:
        await sent_through(database, business, campaign.id, relay)
    return Sent(business, campaign.id, relay.messages)


def dsn(status: str, text: str = "No such user", *, serial: int = 0) -> bytes:
    """Write a delivery status report; each serial is another one."""
    return (
        "From: MAILER-DAEMON@mx.example\r\nTo: back\r\nSubject: Undelivered Mail\r\n"
        f"Message-ID: <{serial}@mx.example>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;"
        ' boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n'
        "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        "Final-Recipient: rfc822; reader0@example.com\r\nAction: failed\r\n"
        f"Status: {status}\r\n"
        f"Diagnostic-Code: smtp; {status[0]}50 {status} {text}\r\n\r\n--x--\r\n"
    ).encode()


def arf(kind: str = "abuse", feedback_id: str = "") -> bytes:
    """Write a complaint (RFC 5965); with our CFBL-Feedback-ID where one is given (RFC 9477)."""
    named = f"CFBL-Feedback-ID: {feedback_id}\r\n" if feedback_id else ""
    return (
        "From: fbl@isp.example\r\nTo: back\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="x"\r\n\r\n'
        "--x\r\nContent-Type: text/plain\r\n\r\nA complaint.\r\n"
        "--x\r\nContent-Type: message/feedback-report\r\n\r\n"
        f"Feedback-Type: {kind}\r\nUser-Agent: loop/1\r\nVersion: 1\r\n\r\n"
        "--x\r\nContent-Type: message/rfc822\r\n\r\n"
        f"From: letter@corner-bakery.example\r\n{named}Subject: Rye\r\n\r\nDear reader\r\n\r\n"
        "--x--\r\n"
    ).encode()


def letter(sender: str, text: str, *, answers: str = "", serial: int = 0, more: str = "") -> bytes:
    """Write what a person writes."""
    answer = f"In-Reply-To: {answers}\r\nReferences: {answers}\r\n" if answers else ""
    return (
        f"From: {sender}\r\nTo: letter@corner-bakery.example\r\nSubject: Re: Rye\r\n"
        f"Message-ID: <letter-{serial}@example.com>\r\n{answer}{more}\r\n{text}\r\n"
    ).encode()
