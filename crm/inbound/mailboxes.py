"""What is done with the mailbox of a business: it is entered, tried, and read in rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct

from crm import businesses, events
from crm.db import BROKEN, Database, Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.inbound.heard import Bounce, Complaint, Unsubscribe
from crm.inbound.hearing import hear_arrival, heard_as_canary
from crm.inbound.mailbox import opened, recipient_of
from crm.inbound.model import (
    LETTERS_REST,
    Effect,
    Mailbox,
    MailboxTrouble,
    NewMailbox,
    NoMailbox,
    Via,
    arrived,
)
from crm.log import logger

sql = Statements("inbound")
_log = logger(__name__)

_LABEL = "mailbox"
_EVERY = timedelta(seconds=60)
# A round that was killed is taken up again after so long.
_LEASE = timedelta(minutes=10)
# Heard and authenticated, nobody needs to read these again.
_REPORTS = (Bounce, Complaint, Unsubscribe)
# How long a thread waits for what a mail does.
_PATIENCE = 60.0


class _NotHeard(Exception):
    """The database was away."""


class Round(Struct):
    """What one look brought."""

    heard: int = 0
    kept: int = 0
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

    async def hear(raw: bytes) -> bool:
        if await heard_as_canary(database, [business_id], raw):
            return True
        arrival = await asyncio.to_thread(arrived, recipient_of(raw, domain), raw)
        effect = await hear_arrival(database, business_id, arrival, Via.mailbox)
        return effect is not Effect.counted and isinstance(arrival.heard, _REPORTS)

    loop = asyncio.get_running_loop()
    try:
        await asyncio.to_thread(_round, loop, (claimed, password, local), before, hear, done)
    except MailboxTrouble as wrong:
        trouble = wrong.message
    except _NotHeard:
        trouble = "The database was away; what was not heard lies where it was."
    async with database.write(business_id) as db:
        await db.run(sql.note_mailbox, trouble=trouble[:300], next_at=db.now + _EVERY)
    return done


def _round(
    loop: asyncio.AbstractEventLoop,
    where: tuple[Mailbox, str, bool],
    before: date,
    hear: Callable[[bytes], Coroutine[Any, Any, bool]],
    done: Round,
) -> None:
    """Walk through the folder, in a thread: the client blocks."""
    claimed, password, local = where
    with opened(claimed, password, local=local) as folder:
        for uid in folder.uids():
            raw = folder.raw(uid)
            if raw is None:
                continue
            try:
                was_report = asyncio.run_coroutine_threadsafe(hear(raw), loop).result(_PATIENCE)
            except (*BROKEN, TimeoutError) as wrong:
                _log.warning("not_heard", error=type(wrong).__name__)
                raise _NotHeard from None
            except Exception:  # noqa: BLE001  (ours to mend; it must not hold up the others)
                _log.exception("not_heard")
                continue
            if was_report:
                folder.delete(uid)
                done.heard += 1
            else:
                folder.keep(uid)
                done.kept += 1
        done.ended = folder.clear(before)


def _waiting(known: Mailbox, password: str, *, local: bool) -> int:
    with opened(known, password, local=local) as folder:
        return len(folder.uids())


async def _password(db: ReadDb) -> str:
    sealed = await db.maybe(sql.sealed_password, bytes)
    return db.keys.decrypt(db.business_id, _LABEL, sealed).decode() if sealed else ""
