"""What comes back has its effect once, and only where a token of ours proves whose mail it was."""

from __future__ import annotations

from uuid import UUID

from crm import businesses, campaigns, consent, customers, inbound, mail
from crm.businesses import Business, NewBusiness
from crm.consent import Status
from crm.db import Database
from crm.inbound import Effect, Via, arrived
from crm.inbound.hearing import hear_arrival
from crm.mail import Scope, Why
from tests import make
from tests.campaigns.test_send import sent_through
from tests.smtpd import Message, smtpd

DOMAIN = "back.corner-bakery.example"


async def _sent(database: Database, business: Business) -> tuple[Business, UUID, list[Message]]:
    kept = {name: getattr(business, name) for name in NewBusiness.__struct_fields__}
    async with database.write(business.id) as db:
        new = NewBusiness(**kept | {"return_domain": DOMAIN})
        business = await businesses.change(db, make.SYSTEM, new)
        purpose = await make.purpose(db)
        await make.audience(db, await make.notice(db, purpose.id), 3)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    async with smtpd() as relay:
        await sent_through(database, business, campaign.id, relay)
    return business, campaign.id, relay.messages


def _dsn(status: str) -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example\r\nTo: back\r\nSubject: Undelivered Mail\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;"
        ' boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n'
        "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        "Final-Recipient: rfc822; reader0@example.com\r\nAction: failed\r\n"
        f"Status: {status}\r\nDiagnostic-Code: smtp; 550 {status} No such user\r\n\r\n--x--\r\n"
    ).encode()


async def test_a_hard_bounce_suppresses_once_and_only_if_proven(
    database: Database, business: Business
) -> None:
    """A forged token and a replay change nothing; the sums of the campaign hold."""
    business, campaign_id, messages = await _sent(database, business)
    sender, address = messages[0].sender, messages[0].recipients[0]
    assert sender.endswith(DOMAIN)
    assert len(sender.partition("@")[0]) <= 64
    hashed = database.keys.address_hash(business.id, customers.fold(address))
    raw = _dsn("5.1.1")
    forged = sender[:10] + ("a" if sender[10] != "a" else "b") + sender[11:]

    first = await hear_arrival(database, business.id, arrived(forged, raw), Via.listener)
    async with database.read(business.id) as db:
        assert await mail.suppressed(db, hashed) is None
    second = await hear_arrival(database, business.id, arrived(sender.upper(), raw), Via.listener)
    again = await hear_arrival(database, business.id, arrived(sender, raw), Via.listener)

    assert (first, second, again) == (Effect.counted, Effect.done, Effect.repeated)
    async with database.read(business.id) as db:
        found = await mail.suppressed(db, hashed)
        counts = await campaigns.recount(db, campaign_id)
        known = await customers.by_hash(db, hashed)
        assert known is not None
        (held,) = await campaigns.export(db, known.id)
        kinds = {each.kind: each.reports for each in await inbound.counts(db, 2)}
        back = {each.kind: each.reports for each in await inbound.returns(db, campaign_id)}
    assert found is not None
    assert (found.scope, found.reason) == (Scope.all, Why.bounced)
    assert (held.state, held.bounce_class, held.bounce_code) == ("sent", "hard", "5.1.1")
    assert counts.sent == counts.audience == 3
    assert kinds == {"unproven": 1, "hard": 1}
    assert back == {"hard": 1}


async def test_leaving_by_mail_is_leaving(database: Database, business: Business) -> None:
    """A mail to the address in List-Unsubscribe does as the link does, whatever it says."""
    business, _, messages = await _sent(database, business)
    head = messages[0].content.decode().split("\r\n\r\n")[0]
    leave = head.partition("<mailto:")[2].partition(">")[0]
    raw = b"From: someone@example.net\r\nSubject: \r\n\r\n\r\n"

    effect = await hear_arrival(database, business.id, arrived(leave, raw), Via.listener)

    hashed = database.keys.address_hash(business.id, customers.fold(messages[0].recipients[0]))
    async with database.read(business.id) as db:
        known = await customers.by_hash(db, hashed)
        assert known is not None
        (state,) = await consent.states(db, known.id)
    assert effect is Effect.done
    assert (state.status, state.method) == (Status.withdrawn, consent.Method.one_click)
