"""What comes back has its effect once, and only where a token of ours proves whose mail it was."""

from __future__ import annotations

from uuid import UUID

import pytest

from crm import campaigns, consent, customers, inbound, mail, privacy
from crm.businesses import Business
from crm.consent import Question, Status
from crm.db import Database, parse
from crm.events import Actor
from crm.inbound import Effect
from crm.mail import Scope, Why
from crm.privacy import Fingerprint
from crm.return_path import Way, return_address
from tests import make
from tests.inbound.letters import DOMAIN, Sent, arf, dsn, letter, sent

_AGE, _SOFT, _EARLIER = parse(
    """
-- name: age
-- The soft bounces of an address began three weeks ago.
UPDATE crm.soft_bounce
   SET first_at = first_at - interval '21 days'
 WHERE business_id = :business_id
   AND address_hash = :address_hash;

-- name: soft
-- An address that has bounced for three weeks.
INSERT INTO crm.soft_bounce (business_id, address_hash, bounces, first_at, last_at)
VALUES (:business_id, :address_hash, 4, :now::timestamptz - interval '21 days',
        :now::timestamptz - interval '14 days');

-- name: earlier
-- A campaign that was sent ten days ago.
UPDATE crm.delivery
   SET done_at = done_at - interval '10 days'
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;
"""
)


async def _suppressed(database: Database, known: Sent, number: int = 0) -> tuple[Scope, Why] | None:
    async with database.read(known.business.id) as db:
        found = await mail.suppressed(db, known.hashed(database, number))
    return (found.scope, found.reason) if found else None


async def test_a_hard_bounce_suppresses_once_and_only_if_proven(
    database: Database, business: Business
) -> None:
    """A forged token and a replay change nothing; the sums of the campaign hold."""
    known = await sent(database, business)
    sender = known.messages[0].sender
    assert sender.endswith(DOMAIN)
    assert len(sender.partition("@")[0]) <= 64
    forged = sender[:10] + ("a" if sender[10] != "a" else "b") + sender[11:]

    first = await known.hear(database, forged, dsn("5.1.1"))
    assert await _suppressed(database, known) is None
    second = await known.hear(database, sender.upper(), dsn("5.1.1"))
    again = await known.hear(database, sender, dsn("5.1.1"))

    assert (first, second, again) == (Effect.counted, Effect.done, Effect.repeated)
    reader = await known.reader(database)
    async with database.read(business.id) as db:
        counts = await campaigns.recount(db, known.campaign_id)
        (held,) = [each async for each in campaigns.export(db, reader.id)]
        back = {each.kind: each.reports for each in await inbound.returns(db, known.campaign_id)}
    assert await _suppressed(database, known) == (Scope.all, Why.bounced)
    assert (held.state, held.bounce_class, held.bounce_code) == ("sent", "hard", "5.1.1")
    assert counts.sent == counts.audience == 3
    assert await known.kinds(database) == {"unproven": 1, "hard": 1}
    assert back == {"hard": 1}


async def test_what_is_our_fault_costs_no_customer(database: Database, business: Business) -> None:
    """Blocks, reputation and content are written beside the delivery, and that is all."""
    known = await sent(database, business)
    for number, (status, text) in enumerate(
        [("5.7.1", "blocked using a list"), ("5.3.4", "too large"), ("5.7.26", "DMARC")]
    ):
        report = dsn(status, text)
        assert await known.hear(database, known.messages[number].sender, report) is Effect.done

        reader = await known.reader(database, number)
        async with database.read(business.id) as db:
            (held,) = [each async for each in campaigns.export(db, reader.id)]
            assert await inbound.export(db, reader.id) == []
        assert held.bounce_class in {"policy", "content"}
        assert await _suppressed(database, known, number) is None


async def test_soft_bounces_count_by_rule(database: Database, business: Business) -> None:
    """Five are not enough within two weeks; after two weeks the mailbox is given up."""
    known = await sent(database, business)
    sender = _service(database, known)
    for serial in range(5):
        await known.hear(database, sender, dsn("4.2.2", "mailbox full", serial=serial))
    reader = await known.reader(database)
    async with database.read(business.id) as db:
        (soft,) = await inbound.export(db, reader.id)
    assert soft.bounces == 5
    assert await _suppressed(database, known) is None

    async with database.write(business.id) as db:
        await db.run(_AGE, address_hash=known.hashed(database))
    await known.hear(database, sender, dsn("4.2.2", "mailbox full", serial=9))

    assert await _suppressed(database, known) == (Scope.all, Why.bounced)
    async with database.read(business.id) as db:
        assert await inbound.export(db, reader.id) == []


async def test_a_mail_that_arrived_begins_the_count_anew(
    database: Database, business: Business
) -> None:
    """Mail handed over in between, that never came back, says the mailbox works."""
    known = await sent(database, business)
    async with database.write(business.id) as db:
        await db.run(_EARLIER, campaign_id=known.campaign_id)
        await db.run(_SOFT, address_hash=known.hashed(database))

    await known.hear(database, _service(database, known), dsn("4.2.2", "mailbox full"))

    reader = await known.reader(database)
    async with database.read(business.id) as db:
        (soft,) = await inbound.export(db, reader.id)
    assert soft.bounces == 1
    assert await _suppressed(database, known) is None


async def test_a_service_letter_that_bounces_hard_suppresses(
    database: Database, business: Business
) -> None:
    """The address is dead for every mail, and no campaign is charged with it."""
    known = await sent(database, business)

    assert await known.hear(database, _service(database, known), dsn("5.1.1")) is Effect.done

    assert await _suppressed(database, known) == (Scope.all, Why.bounced)
    async with database.read(business.id) as db:
        assert await inbound.returns(db, known.campaign_id) == []


async def test_a_leaving_address_cannot_report_a_bounce(
    database: Database, business: Business
) -> None:
    """We never send from it, so what says so is forged."""
    known = await sent(database, business)

    assert await known.hear(database, known.leave(), dsn("5.1.1")) is Effect.counted

    assert await _suppressed(database, known) is None
    assert await known.kinds(database) == {"unproven": 1}


@pytest.mark.parametrize("by", ["return-path", "feedback-id"])
async def test_a_complaint_is_an_objection(database: Database, business: Business, by: str) -> None:
    """It ends every purpose with evidence, once, and service letters still pass."""
    known = await sent(database, business)
    reader = await known.reader(database)
    async with database.write(business.id) as db:
        other = await make.notice(db, (await make.purpose(db)).id)
        question = Question(other.purpose_id, other.id)
        await consent.give(db, make.SYSTEM, reader.id, question, make.ELSEWHERE)
    if by == "return-path":
        address, raw = known.messages[0].sender, arf()
    else:
        address, raw = f"fbl@{DOMAIN}", arf(feedback_id=known.head("CFBL-Feedback-ID"))

    effects = [await known.hear(database, address, raw) for _ in range(2)]

    async with database.read(business.id) as db:
        states = await consent.states(db, reader.id)
        (held,) = [each async for each in campaigns.export(db, reader.id)]
        health = await campaigns.health(db, known.campaign_id)
        given = await consent.export(db, reader.id)
    assert effects == [Effect.done, Effect.repeated]
    assert len(states) == 2
    assert {each.status for each in states} == {Status.withdrawn}
    assert {each.method for each in states} == {consent.Method.complaint}
    assert "abuse" in str(given)
    assert await _suppressed(database, known) == (Scope.marketing, Why.complained)
    assert held.complained_at is not None
    assert (health.complaints, health.sent) == (1, 3)


async def test_a_nul_hides_no_complaint(database: Database, business: Business) -> None:
    """PostgreSQL takes none; what is kept of the kind has a blank there."""
    known = await sent(database, business)
    effect = await known.hear(database, known.messages[0].sender, arf("ab\0use"))
    assert effect is Effect.done
    assert await _suppressed(database, known) == (Scope.marketing, Why.complained)


@pytest.mark.parametrize("charset", ["utf-8", "utf-7", "utf-16", "x-unheard-of", "unicode_escape"])
async def test_a_nul_hides_no_reply(database: Database, business: Business, charset: str) -> None:
    """In its subject or its text, whatever it says of its letters."""
    known = await sent(database, business)
    reader = await known.reader(database)
    raw = (
        f"From: {known.messages[0].recipients[0]}\r\nMessage-ID: <nul@rye.example>\r\n"
        f"Subject: Rye\0 =?{charset}?q?=00+2AA-=5Cud800?=\r\n"
        f"Content-Type: text/plain; charset={charset}\r\n\r\n"
    ).encode() + b"Rye\0\xff +2AA- \\ud800 \\0"
    assert await known.hear(database, f"letter@{DOMAIN}", raw) is Effect.done
    async with database.read(business.id) as db:
        (kept,) = await customers.interactions(db, reader.id)
    assert kept.kind == "reply"


async def test_a_report_that_objects_to_nothing(database: Database, business: Business) -> None:
    """Not-spam and a failed signature are no objection; a forged complaint proves nothing."""
    known = await sent(database, business)
    await known.hear(database, known.messages[0].sender, arf("not-spam"))
    await known.hear(database, f"fbl@{DOMAIN}", arf(feedback_id="a" * 60))
    assert await _suppressed(database, known) is None
    assert await known.kinds(database) == {"no_objection": 1, "unproven": 1}


async def test_leaving_by_mail_is_leaving(database: Database, business: Business) -> None:
    """A mail to the address in List-Unsubscribe does as the link does, whatever it says."""
    known = await sent(database, business)
    raw = b"From: someone@example.net\r\nSubject: \r\n\r\n\r\n"

    assert await known.hear(database, known.leave(), raw) is Effect.done

    assert await _left(database, known) == (Status.withdrawn, consent.Method.one_click)


async def test_leaving_by_mail_outlives_the_customer(
    database: Database, business: Business
) -> None:
    """Once she is erased, her address is suppressed for marketing by its fingerprint."""
    known = await sent(database, business)
    reader = await known.reader(database)
    async with database.write(business.id) as db:
        await privacy.erase(db, make.SYSTEM, reader.id)

    assert await known.hear(database, known.leave(), b"From: a@b.example\r\n\r\n") is Effect.done

    found = await _suppressed(database, known)
    assert found is not None


@pytest.mark.parametrize("fingerprint", Fingerprint)
async def test_a_late_bounce_brings_no_fingerprint_back(
    database: Database, business: Business, fingerprint: Fingerprint
) -> None:
    """She had it deleted with everything else; where she kept it, the address is known as dead."""
    known = await sent(database, business)
    reader = await known.reader(database)
    bounced = known.messages[0].sender
    async with database.write(business.id) as db:
        await privacy.erase(db, Actor.customer(reader.id), reader.id, fingerprint=fingerprint)

    await known.hear(database, bounced, dsn("4.2.2", "mailbox full"))
    await known.hear(database, bounced, dsn("5.1.1"))

    found = await _suppressed(database, known)
    assert (found is None) is (fingerprint is Fingerprint.drop)


async def _left(database: Database, known: Sent) -> tuple[Status, consent.Method]:
    reader = await known.reader(database)
    async with database.read(known.business.id) as db:
        (state,) = await consent.states(db, reader.id)
    return state.status, state.method


async def test_a_reply_that_says_nothing_but_unsubscribe(
    database: Database, business: Business
) -> None:
    """Of the owner of the address it is leaving; of another who was passed the mail it is not."""
    known = await sent(database, business)
    answers = known.head("Message-ID")
    address = known.messages[0].recipients[0]

    await known.hear(database, DOMAIN, letter("x@y.example", "Unsubscribe", answers=answers))
    assert (await _left(database, known))[0] is not Status.withdrawn
    mine = letter(address, "Please unsubscribe me.\r\n\r\nNora", answers=answers, serial=1)
    assert await known.hear(database, "letter@corner-bakery.example", mine) is Effect.done

    assert await _left(database, known) == (Status.withdrawn, consent.Method.one_click)


async def test_a_wish_without_proof_is_shown_and_changes_nothing(
    database: Database, business: Business
) -> None:
    """Anybody can write a From; staff decide."""
    known = await sent(database, business)
    address = known.messages[0].recipients[0]

    await known.hear(database, "letter@corner-bakery.example", letter(address, "unsubscribe"))

    assert (await _left(database, known))[0] is not Status.withdrawn
    assert await known.kinds(database) == {"wish": 1}


async def test_a_reply_is_kept_once_exported_and_forgotten(
    database: Database, business: Business
) -> None:
    """By its Message-ID, with what it answers, whichever ways it comes by."""
    known = await sent(database, business)
    answers, address = known.head("Message-ID"), known.messages[0].recipients[0]
    raw = letter(address, "Is there rye on Sundays?\r\n> Dear reader", answers=answers)

    await known.hear(database, known.messages[0].sender, raw)
    await known.hear(database, "letter@corner-bakery.example", raw)

    reader = await known.reader(database)
    async with database.read(business.id) as db:
        (kept,) = await customers.interactions(db, reader.id)
        held = [each.detail async for each in customers.all_interactions(db, reader.id)]
    assert (kept.detail, kept.message_id) == ("Is there rye on Sundays?", "<letter-0@example.com>")
    assert kept.in_reply_to == answers
    assert answers in kept.refs
    assert held == [kept.detail]
    async with database.write(business.id) as db:
        await privacy.erase(db, make.SYSTEM, reader.id)
        assert await customers.interactions(db, reader.id) == []


async def test_of_strangers_and_machines_nothing_is_kept(
    database: Database, business: Business
) -> None:
    """They are counted."""
    known = await sent(database, business)
    away = letter(known.messages[0].recipients[0], "Away", more="Auto-Submitted: auto-replied\r\n")
    await known.hear(database, "letter@corner-bakery.example", letter("x@y.example", "Hello"))
    await known.hear(database, known.messages[0].sender, away)
    await known.hear(database, known.messages[0].sender, b"")

    reader = await known.reader(database)
    async with database.read(business.id) as db:
        assert await customers.interactions(db, reader.id) == []
    assert await known.kinds(database) == {"unknown_sender": 1, "auto_reply": 1, "unreadable": 1}


@pytest.mark.parametrize("text", ["nul \0 here", "\x1b[31m", "x" * 300_000, "\udcff", "\u202egnp"])
async def test_hostile_letters_are_kept_or_counted(
    database: Database, business: Business, text: str
) -> None:
    """Nothing that somebody writes is answered with an error for ever."""
    known = await sent(database, business)
    address = known.messages[0].recipients[0]
    raw = letter(address, "PLACE", more="X-Long: " + "y" * 3000 + "\r\n").replace(
        b"PLACE", text.encode("utf-8", "surrogateescape")
    )
    raw = raw.replace(b"Re: Rye", b"Re: \xff\0 Rye").replace(b"<letter-0", b"<" + b"m" * 2000)

    assert await known.hear(database, "letter@corner-bakery.example", raw) is Effect.done


def _service(database: Database, known: Sent) -> str:
    """Write the envelope sender of a service letter."""
    service = UUID(int=known.campaign_id.int ^ (1 << 127))
    hashed = known.hashed(database)
    return return_address(database.keys, known.business.id, DOMAIN, Way.service, hashed, service)
