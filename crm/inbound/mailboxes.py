"""What is done with the mailbox of a business: it is entered, tried, and read in rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from datetime import date, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from msgspec import Struct

from crm import businesses, campaigns, events
from crm.connections import is_broken, is_lacking
from crm.db import Database, Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.inbound.heard import Bounce, Complaint, Unsubscribe
from crm.inbound.hearing import hear_arrival, heard_as_canary
from crm.inbound.mailbox import opened, recipient_of
from crm.inbound.model import (
    LETTERS_REST,
    Arrival,
    Effect,
    Mailbox,
    MailboxTrouble,
    NewMailbox,
    NoMailbox,
    Via,
    arrived,
)
from crm.journal import JournalAway, PutBack
from crm.log import logger

sql = Statements("inbound")
_log = logger(__name__)

_LABEL = "mailbox"
_EVERY = timedelta(seconds=60)
# A round that was killed is taken up again after so long.
_LEASE = timedelta(minutes=10)
# Heard and authenticated, nobody needs to read these again.
_REPORTS = (Bounce, Complaint, Unsubscribe)
# How long a thread waits for what a mail says, and then for what it does.
_PATIENCE = 60.0
# So long a round goes on beginning with mails: another worker must not take it for killed.
_ROUND = 300.0


class _NotHeard(Exception):
    """The database was away, or this worker ends."""


# What passes by itself, or comes of the worker's end; the mail lies there until then.
_NOT_NOW = (_NotHeard, TimeoutError, CancelledError, JournalAway, PutBack)


class _TooSlow(Exception):
    """A mail took too long to read, by itself."""


class _Mail(Struct, frozen=True):
    """A mail, read: what it says, and the canaries that it may be."""

    raw: bytes
    arrival: Arrival
    marks: list[bytes]


class Round(Struct):
    """What one look brought."""

    heard: int = 0
    kept: int = 0
    # Mails that nobody could read, which lie with what was kept.
    aside: int = 0
    # Letters that had lain there for long enough.
    ended: int = 0


async def mailbox(db: ReadDb) -> Mailbox | None:
    """Return where mail is fetched from, or None."""
    return await db.maybe(sql.mailbox, Mailbox)


async def keep_mailbox(db: Db, by: Actor, new: NewMailbox) -> None:
    """Fetch mail from there from now on; NoMailbox where no password was ever given."""
    if new.password:
        sealed = db.keys.encrypt(db.business_id, _LABEL, new.password.encode())
    else:
        known = await db.maybe(sql.sealed_password, bytes)
        if known is None:
            raise NoMailbox("Enter the password of the mailbox.")
        sealed = known
    await db.run(
        sql.keep_mailbox,
        host=new.host,
        port=new.port,
        tls=new.tls,
        username=new.username,
        password=sealed,
        folder=new.folder,
        kept_in=new.kept_in,
    )
    await events.record(db, by, Kind.inbound_changed, reason="mailbox entered")


async def drop_mailbox(db: Db, by: Actor) -> None:
    """Fetch no mail any more."""
    if await db.run(sql.drop_mailbox):
        await events.record(db, by, Kind.inbound_changed, reason="mailbox removed")


async def try_mailbox(database: Database, business_id: UUID, *, local: bool) -> int:
    """Open the mailbox and say how many mails wait, at most fifty; or MailboxTrouble."""
    async with database.read(business_id) as db:
        known = await mailbox(db)
        password = await _password(db)
    if known is None:
        raise NoMailbox
    return await asyncio.to_thread(_waiting, known, password, local=local)


async def read_mailbox(database: Database, business_id: UUID, *, local: bool) -> Round | None:
    """Read what lies in the mailbox once; None where another worker does, or it is not time.

    A mail leaves the folder after what it does has committed. If we are killed in between it is
    read again, and has no second effect.
    """
    async with database.write(business_id) as db:
        claimed = await db.maybe(sql.claim_mailbox, Mailbox, next_at=db.now + _LEASE)
        password = await _password(db) if claimed else ""
        domain = (await businesses.get(db)).return_domain
        before = (db.now - LETTERS_REST).date()
    if claimed is None:
        return None
    done, trouble = Round(), ""

    def read(raw: bytes) -> _Mail:
        arrival = arrived(recipient_of(raw, domain), raw)
        return _Mail(raw, arrival, campaigns.canary_marks(database.keys, business_id, raw))

    async def hear(mail: _Mail) -> bool:
        if await heard_as_canary(database, business_id, mail.marks, mail.raw):
            return True
        effect = await hear_arrival(database, business_id, mail.arrival, Via.mailbox)
        return effect is not Effect.counted and isinstance(mail.arrival.heard, _REPORTS)

    ears = _Ears(asyncio.get_running_loop(), business_id, read, hear)
    try:
        await asyncio.to_thread(_round, ears, (claimed, password, local), before, done)
    except MailboxTrouble as wrong:
        trouble = wrong.message
    except _NotHeard:
        trouble = "The database was away; what was not heard lies where it was."
    async with database.write(business_id) as db:
        await db.run(sql.note_mailbox, trouble=trouble[:300], next_at=db.now + _EVERY)
    return done


class _Ears(Struct, frozen=True):
    """How a mail is heard from the thread of a round: read beside it, and done in the loop."""

    loop: asyncio.AbstractEventLoop
    business_id: UUID
    read: Callable[[bytes], _Mail]
    hear: Callable[[_Mail], Coroutine[Any, Any, bool]]


def _round(ears: _Ears, where: tuple[Mailbox, str, bool], before: date, done: Round) -> None:
    """Walk through the folder, in a thread: the client blocks."""
    claimed, password, local = where
    until = monotonic() + _ROUND
    with opened(claimed, password, local=local) as folder:
        for uid in folder.uids():
            if monotonic() > until:
                break
            raw = folder.raw(uid)
            if raw is None:
                continue
            was_report = _heard(ears, uid, raw)
            if was_report:
                folder.delete(uid)
                done.heard += 1
                continue
            folder.keep(uid)
            if was_report is None:
                done.aside += 1
            else:
                done.kept += 1
        done.ended = folder.clear(before)


def _heard(ears: _Ears, uid: str, raw: bytes) -> bool | None:
    """Say whether it was a report; None where it is to be put aside, since it would fail again.

    Were it left where it is, it would be the first of every round, and with others the only ones.
    """
    try:
        mail = _read_in_time(ears.read, raw)
        return asyncio.run_coroutine_threadsafe(ears.hear(mail), ears.loop).result(_PATIENCE)
    except Exception as wrong:  # noqa: BLE001  (ours to mend; it must not hold up the others)
        if ears.loop.is_closed() or _may_pass(wrong):
            _log.warning("not_heard", error=type(wrong).__name__)
            raise _NotHeard from None
        _log.exception("put_aside", business=str(ears.business_id), uid=uid)
    return None


def _may_pass(wrong: Exception) -> bool:
    """Say whether it was not this mail that was wrong: no other would have been heard either."""
    return isinstance(wrong, _NOT_NOW) or is_broken(wrong) or is_lacking(wrong)


def _read_in_time(read: Callable[[bytes], _Mail], raw: bytes) -> _Mail:
    """Read a mail in a thread of its own, which goes on for nobody where it takes too long."""
    pool = ThreadPoolExecutor(1, "inbound")
    try:
        reading = pool.submit(read, raw)
    except RuntimeError:
        # No thread begins any more.
        raise _NotHeard from None
    finally:
        pool.shutdown(wait=False)
    if not wait((reading,), _PATIENCE).done:
        raise _TooSlow
    return reading.result()


def _waiting(known: Mailbox, password: str, *, local: bool) -> int:
    with opened(known, password, local=local) as folder:
        return len(folder.uids())


async def _password(db: ReadDb) -> str:
    sealed = await db.maybe(sql.sealed_password, bytes)
    return db.keys.decrypt(db.business_id, _LABEL, sealed).decode() if sealed else ""
