"""A mailbox is read in rounds: what it brings has its effect once, and people's mail is kept."""

from __future__ import annotations

from base64 import b64encode, encodebytes
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from crm import customers, mail
from crm.businesses import Business
from crm.db import Database, parse
from crm.inbound import Effect, MailboxTrouble, NewMailbox, Via, arrived
from crm.inbound.hearing import hear_arrival
from crm.inbound.mailbox import recipient_of
from crm.inbound.mailboxes import Round, keep_mailbox, mailbox, read_mailbox, try_mailbox
from crm.inbound.model import Arrival, Mailbox
from crm.journal import JournalAway
from tests import make
from tests.inbound.imapd import Imapd, imapd
from tests.inbound.letters import Sent, dsn, letter, sent

(_DUE,) = parse(
    """
-- name: due
-- It is time to look again.
UPDATE crm.mailbox SET next_at = :now WHERE business_id = :business_id;
"""
)


async def _entered(database: Database, business: Business, box: Imapd, password: str) -> None:
    new = NewMailbox(
        host="127.0.0.1", port=box.port, tls="none", username="letters", password=password
    )
    async with database.write(business.id) as db:
        await keep_mailbox(db, make.SYSTEM, new)


async def _round(database: Database, business: Business) -> tuple[Round | None, Mailbox]:
    async with database.write(business.id) as db:
        await db.run(_DUE)
    done = await read_mailbox(database, business.id, local=True)
    async with database.read(business.id) as db:
        found = await mailbox(db)
    assert found is not None
    return done, found


def _filled(known: Sent, box: Imapd) -> None:
    back = known.messages[0].sender.encode()
    box.put(b"Delivered-To: " + back + b"\r\n" + dsn("5.1.1"))
    box.put(letter(known.messages[1].recipients[0], "Is there rye?", serial=1))
    box.put(letter("x@y.example", "Buy this", serial=2))
    box.put(dsn("5.1.1", serial=3))


def _bounces(known: Sent, box: Imapd, number: int = 0) -> None:
    back = known.messages[number].sender.encode()
    box.put(b"Delivered-To: " + back + b"\r\n" + dsn("5.1.1", serial=number))


async def test_reports_are_deleted_and_letters_kept(database: Database, business: Business) -> None:
    """A proven report goes for good; everything else lies in the folder for people."""
    known = await sent(database, business)
    async with imapd() as box:
        _filled(known, box)
        await _entered(database, business, box, box.password)
        assert await try_mailbox(database, business.id, local=True) == 4

        done, found = await _round(database, business)

        assert (found.trouble, done) == ("", Round(heard=1, kept=3))
        assert box.folders["INBOX"] == {}
        assert len(box.folders["Firsthand"]) == 3
        assert await read_mailbox(database, business.id, local=True) is None
    reader = await known.reader(database, 1)
    async with database.read(business.id) as db:
        assert await mail.suppressed(db, known.hashed(database)) is not None
        (kept,) = await customers.interactions(db, reader.id)
    assert kept.detail == "Is there rye?"


async def test_what_people_wrote_does_not_lie_there_for_ever(
    database: Database, business: Business
) -> None:
    """After ninety days a letter goes from the folder for people too; a newer one stays."""
    async with imapd() as box:
        box.put(letter("x@y.example", "Old", serial=1))
        box.put(letter("x@y.example", "New", serial=2))
        await _entered(database, business, box, box.password)
        await _round(database, business)
        old, new = sorted(box.folders["Firsthand"])
        today = datetime.now(UTC).date()
        box.came = {old: today - timedelta(days=91), new: today - timedelta(days=89)}

        done, found = await _round(database, business)

        assert (found.trouble, done) == ("", Round(ended=1))
        assert set(box.folders["Firsthand"]) == {new}


async def test_a_crash_after_the_commit_repeats_nothing(
    database: Database, business: Business
) -> None:
    """The line is cut before the deletion, and again before the move."""
    known = await sent(database, business)
    async with imapd() as box:
        _filled(known, box)
        await _entered(database, business, box, box.password)
        for drops in ("STORE", "COPY"):
            box.drops = drops
            _, found = await _round(database, business)
            assert found.trouble
        box.drops = ""
        done, found = await _round(database, business)
        assert found.trouble == ""
        assert done is not None
        assert box.folders["INBOX"] == {}
    reader = await known.reader(database, 1)
    async with database.read(business.id) as db:
        assert len(await customers.interactions(db, reader.id)) == 1
    counted = await known.kinds(database)
    assert (counted["hard"], counted["reply"]) == (1, 1)


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read two mails in a round, fifty in life."""
    monkeypatch.setattr("crm.inbound.mailbox._MOST", 2)


@pytest.mark.usefixtures("two_at_once")
async def test_strangers_do_not_stop_a_mailbox(database: Database, business: Business) -> None:
    """As many as one round reads, with a header that nobody can read; a bounce lies behind them."""
    known = await sent(database, business)
    async with imapd() as box:
        for number in range(2):
            box.put(b"To: " + b"(" * 3000 + b"a@b.example\r\nSubject: %d\r\n\r\nhi" % number)
        _bounces(known, box)
        await _entered(database, business, box, box.password)
        for _ in range(2):
            await _round(database, business)
        left = box.folders["INBOX"]
    assert (left, (await known.kinds(database))["hard"]) == ({}, 1)


async def test_one_mail_in_punycode_does_not_stop_a_mailbox(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In life a mail of more than a megabyte, and a patience of a minute."""
    monkeypatch.setattr("crm.inbound.mailboxes._PATIENCE", 2.0)
    known = await sent(database, business)
    async with imapd() as box:
        box.put(
            b"From: a@b.example\r\nContent-Type: text/plain; charset=punycode\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + encodebytes(b"ab-" + b"a" * 300_000)
        )
        _bounces(known, box)
        await _entered(database, business, box, box.password)
        done, _ = await _round(database, business)
        left = box.folders["INBOX"]
    assert (left, done) == ({}, Round(heard=1, kept=1))


@pytest.mark.usefixtures("two_at_once")
@pytest.mark.parametrize("fault", ["raises", "takes too long"])
async def test_a_mail_that_cannot_be_read_is_put_aside(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Staff find it with people's letters and read in the log which it was; others are heard."""
    released = Event()

    def reads(recipient: str, raw: bytes) -> Arrival:
        if b"Odd" in raw and fault == "raises":
            raise ZeroDivisionError
        if b"Odd" in raw:
            released.wait(20)
        return arrived(recipient, raw)

    monkeypatch.setattr("crm.inbound.mailboxes.arrived", reads)
    monkeypatch.setattr("crm.inbound.mailboxes._PATIENCE", 1.0)
    known = await sent(database, business)
    async with imapd() as box:
        box.put(letter("x@y.example", "Odd"))
        _bounces(known, box)
        await _entered(database, business, box, box.password)
        with capture_logs() as logs:
            done, found = await _round(database, business)
        released.set()
        left, aside = box.folders["INBOX"], list(box.folders["Firsthand"].values())
    assert (found.trouble, done, left) == ("", Round(heard=1, aside=1), {})
    assert b"Odd" in aside[0]
    (line,) = [each for each in logs if each["event"] == "put_aside"]
    assert (line["business"], line["uid"]) == (str(business.id), "1")


@pytest.mark.usefixtures("two_at_once")
async def test_one_long_message_id_does_not_stop_a_mailbox(
    database: Database, business: Business
) -> None:
    """More bytes than an index takes: her letter is kept, without it, and a bounce is heard."""
    known = await sent(database, business)
    # Letters that are not one like the other, or PostgreSQL would make them shorter.
    name = "".join(map(chr, Random(1).choices(range(0x20000, 0x2A000), k=900)))
    long = b64encode(f"<{name}@rye.example>".encode())
    raw = letter(known.messages[1].recipients[0], "Is there rye?")
    async with imapd() as box:
        box.put(raw.replace(b"<letter-0@example.com>", b"=?utf-8?B?" + long + b"?="))
        _bounces(known, box)
        await _entered(database, business, box, box.password)
        done, found = await _round(database, business)
    reader = await known.reader(database, 1)
    async with database.read(business.id) as db:
        (kept,) = await customers.interactions(db, reader.id)
    assert (found.trouble, done) == ("", Round(heard=1, kept=1))
    assert (kept.detail, kept.message_id) == ("Is there rye?", "")


_ASIDE = [Round(heard=1, aside=1), Round()]
_LATER = [Round(), Round(heard=2)]


@pytest.mark.parametrize(
    ("error", "rounds"),
    [
        (asyncpg.CharacterNotInRepertoireError, _ASIDE),
        (asyncpg.CheckViolationError, _ASIDE),
        (asyncpg.ForeignKeyViolationError, _ASIDE),
        (asyncpg.ProgramLimitExceededError, _ASIDE),
        (asyncpg.UniqueViolationError, _ASIDE),
        (asyncpg.AdminShutdownError, _LATER),
        (asyncpg.DeadlockDetectedError, _LATER),
        (asyncpg.InterfaceError, _LATER),
        # The schema is that of another version, for this mail and for all others.
        (asyncpg.UndefinedColumnError, _LATER),
        (JournalAway, _LATER),
    ],
)
async def test_what_postgres_refuses_is_put_aside_and_what_it_cannot_take_now_waits(
    database: Database,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    rounds: list[Round],
) -> None:
    """The same values would be refused again; what is away comes back."""
    heard: list[Arrival] = []

    async def hears(database: Database, whose: UUID, arrival: Arrival, via: Via) -> Effect:
        heard.append(arrival)
        if len(heard) == 1:
            raise error("no")
        return await hear_arrival(database, whose, arrival, via)

    monkeypatch.setattr("crm.inbound.mailboxes.hear_arrival", hears)
    known = await sent(database, business)
    async with imapd() as box:
        _bounces(known, box, 1)
        _bounces(known, box)
        await _entered(database, business, box, box.password)
        done = [(await _round(database, business))[0] for _ in range(2)]
    assert done == rounds


async def test_a_round_ends_before_another_worker_begins_one(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long its mails take, it begins with no other; they come next."""
    monkeypatch.setattr("crm.inbound.mailboxes._ROUND", -1.0)
    async with imapd() as box:
        box.put(letter("x@y.example", "Hello"))
        await _entered(database, business, box, box.password)
        done, found = await _round(database, business)
        assert (done, found.trouble, len(box.folders["INBOX"])) == (Round(), "", 1)


@pytest.mark.parametrize(
    "before",
    [
        b"Delivered-To: " + b"(" * 3000 + b"\r\n",
        b"To: " + b"a@b.example, " * 400_000 + b"\r\n",
        b"To: \xff(\xff, <\r\n",
    ],
    ids=["nested", "long", "bytes"],
)
def test_no_header_hides_who_a_mail_was_delivered_to(before: bytes) -> None:
    """It may be broken or endless; the server writes its own above it."""
    to = f"b+{'a' * 61}@back.rye.example"
    own = f"Delivered-To: {to}\r\n".encode()
    assert recipient_of(own + before + b"\r\nhi", "back.rye.example") == to
    assert recipient_of(before + b"\r\nhi", "back.rye.example") == ""
    assert (
        recipient_of(before[:5000].rstrip() + b"\r\n" + own + b"\r\nhi", "back.rye.example") == to
    )


async def test_a_wrong_password_is_told(database: Database, business: Business) -> None:
    """In words that say what to look at, and the next round comes as always."""
    async with imapd() as box:
        await _entered(database, business, box, "wrong")
        with pytest.raises(MailboxTrouble, match="refused this name and password"):
            await try_mailbox(database, business.id, local=True)
        _, found = await _round(database, business)
    assert "refused this name and password" in found.trouble
    assert found.checked_at is not None
    assert found.checked_at > database.clock() - timedelta(minutes=5)


async def test_a_private_server_is_not_asked(database: Database, business: Business) -> None:
    """Unless whoever runs the installation allows it."""
    async with imapd() as box:
        await _entered(database, business, box, box.password)
        with pytest.raises(MailboxTrouble, match="without TLS"):
            await try_mailbox(database, business.id, local=False)
        async with database.write(business.id) as db:
            new = NewMailbox(host="127.0.0.1", port=box.port, username="letters")
            await keep_mailbox(db, make.SYSTEM, new)
        with pytest.raises(MailboxTrouble, match="private network"):
            await try_mailbox(database, business.id, local=False)
