"""A mailbox is read in rounds: what it brings has its effect once, and people's mail is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crm import customers, mail
from crm.businesses import Business
from crm.db import Database, parse
from crm.inbound import MailboxTrouble, NewMailbox
from crm.inbound.mailboxes import Round, keep_mailbox, mailbox, read_mailbox, try_mailbox
from crm.inbound.model import Mailbox
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
