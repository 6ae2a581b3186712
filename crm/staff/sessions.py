"""What is done with sessions: tries are counted, sessions opened, used and closed."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import events
from crm.db import Db, ReadDb
from crm.events import Actor, Kind
from crm.ids import secret
from crm.staff import credentials as texts
from crm.staff import known_browser
from crm.staff.actions import hold, sql
from crm.staff.attempts import count_attempt, counted, forgive_attempts
from crm.staff.model import (
    ABSOLUTE,
    ADDRESS_ATTEMPTS,
    CLIENT_ATTEMPTS,
    CODES_A_DAY,
    DAY,
    IDLE,
    Credentials,
    Member,
    Session,
    WrongPassword,
    folded,
)

_BY_ADDRESS = "sign_in_address"
_BY_BROWSER = "sign_in_browser"
_BY_CLIENT = "sign_in_client"
_CODES = "second_factor"
_CODES_TODAY = "second_factor_day"
_CODES_BY_CLIENT = "second_factor_client"
_WRONG_TODAY = "second_factor_wrong"
# The longest window, and an hour in which somebody may look what became of it.
ATTEMPTS_KEPT = DAY + timedelta(hours=1)


class Asker(Struct, frozen=True):
    """Where a try comes from: the network, and the mark of a browser that may be known."""

    network: str = ""
    mark: str = ""


class SignedIn(Member, frozen=True, kw_only=True):
    """A member with the instant at which her session was last seen.

    `lacks_factor`: the business insists on a second factor, and she has none.
    """

    seen_at: datetime
    lacks_factor: bool

    def member(self) -> Member:
        """The member alone."""
        return msgspec.convert(self, Member, from_attributes=True)


async def count_try(db: Db, address: str, asker: Asker) -> int:
    """Count a try at a password before it is checked; return the seconds to wait, or 0.

    Of a browser that is known as hers apart from those of strangers, so that they keep nobody out.
    The caller commits at once and then refuses, so that no refusal takes the count back.
    """
    kind, subject = _tried(db, address, asker)
    waits = [
        await count_attempt(db, kind, subject, most=ADDRESS_ATTEMPTS),
        await count_attempt(db, _BY_CLIENT, _client(db, asker), most=CLIENT_ATTEMPTS),
    ]
    return max(waits)


async def credentials_of(db: ReadDb, address: str) -> Credentials | None:
    """Return what to check the password of this address against, or None for a stranger's."""
    return await db.maybe(sql.credentials_by_address, Credentials, folded=folded(address))


async def credentials_by_id(db: ReadDb, member_id: UUID) -> Credentials | None:
    """Return the same of a member whose password was right a moment ago."""
    return await db.maybe(sql.credentials_of, Credentials, member_id=member_id)


async def count_code(db: Db, checked: Credentials, asker: Asker) -> int:
    """Count a try at a second factor before it is checked; return the seconds to wait, or 0.

    Of a browser that is known as hers apart from those of strangers, as for passwords.
    """
    subject = _nonce(db, checked.address, asker) or checked.id.bytes
    waits = [
        await count_attempt(db, _CODES, subject, most=ADDRESS_ATTEMPTS),
        await count_attempt(db, _CODES_TODAY, subject, most=CODES_A_DAY, lasts=DAY),
        await count_attempt(db, _CODES_BY_CLIENT, _client(db, asker), most=CLIENT_ATTEMPTS),
    ]
    return max(waits)


async def count_wrong_code(db: Db, member_id: UUID) -> int:
    """Record a wrong code of whoever has the right password; return how many there were today."""
    await refuse_sign_in(db, member_id, "wrong second factor")
    return await counted(db, _WRONG_TODAY, member_id.bytes, lasts=DAY)


async def refuse_sign_in(db: Db, member_id: UUID | None, reason: str = "wrong password") -> None:
    """Record that somebody gave a wrong password; for an unknown address the same, without id."""
    await events.record(db, Actor.system(), Kind.member_refused, ref=member_id, reason=reason)


async def open_session(
    db: Db,
    checked: Credentials,
    *,
    proved: bool = False,
    rehashed: str | None = None,
    asker: Asker = Asker(),  # noqa: B008  (frozen)
) -> tuple[Member, str]:
    """Open a session under a token made here, for the password that was checked; forgive tries.

    `proved` says that her second factor was checked as well. Refused where the member was
    disabled, changed her password, or set up a second factor meanwhile.
    """
    await hold(db, checked.id)
    token = texts.session_token(db.business_id, secret(texts.SECRET_SIZE))
    who = await db.maybe(
        sql.open_session,
        Member,
        token_hash=texts.fingerprint(token),
        member_id=checked.id,
        checked=checked.password_hash,
        proved=proved,
        expires_at=db.now + ABSOLUTE,
    )
    if who is None:
        raise WrongPassword
    if rehashed is not None:
        await db.run(sql.set_password, member_id=who.id, password_hash=rehashed)
    # Not the network: one good password must not forgive it its tries at others. What was tried in
    # other browsers than one that is known was tried by others, and is not forgiven either.
    await forgive_attempts(db, *_tried(db, checked.address, asker))
    await forgive_attempts(db, _CODES, _nonce(db, checked.address, asker) or checked.id.bytes)
    await events.record(db, who.actor, Kind.member_signed_in, ref=who.id)
    return who, token


async def session(db: ReadDb, token: str) -> SignedIn | None:
    """Return who is signed in by this token, or None."""
    return await db.maybe(
        sql.session,
        SignedIn,
        token_hash=texts.fingerprint(token),
        idle_since=db.now - IDLE,
    )


async def see(db: Db, token: str) -> None:
    """Note that a session is in use."""
    await db.run(sql.see_session, token_hash=texts.fingerprint(token))


async def open_sessions(db: ReadDb, member_id: UUID) -> list[Session]:
    """List the browsers in which a member is signed in, the one used last first."""
    return await db.many(
        sql.sessions_of_member, Session, member_id=member_id, idle_since=db.now - IDLE
    )


async def close(db: Db, token: str) -> None:
    """End the session of this token, if there is one; nothing is said about whose it was."""
    await db.run(sql.close_session, token_hash=texts.fingerprint(token))


async def sign_out(db: Db, who: Member, token: str) -> None:
    """End the session of this browser."""
    await close(db, token)
    await events.record(db, who.actor, Kind.member_signed_out, ref=who.id)


async def close_others(db: Db, who: Member, token: str) -> int:
    """End every session of a member but this one; return how many."""
    await hold(db, who.id)
    ended = await db.run(sql.close_sessions, member_id=who.id, but=texts.fingerprint(token))
    await events.record(db, who.actor, Kind.member_signed_out, ref=who.id, reason="everywhere else")
    return ended


async def end_sessions(db: Db) -> int:
    """Sign every member out; returns how many sessions that were."""
    return await db.run(sql.end_sessions)


async def sweep(db: Db) -> None:
    """Delete what has ended: sessions, reasons, and tries of windows long over."""
    await db.run(sql.drop_old_sessions, idle_since=db.now - IDLE)
    await db.run(sql.drop_old_reasons)
    await db.run(sql.drop_begun_factors, before=db.now - timedelta(days=1))
    await db.run(sql.drop_old_attempts, before=db.now - ATTEMPTS_KEPT)


def _tried(db: ReadDb, address: str, asker: Asker) -> tuple[str, bytes]:
    nonce = _nonce(db, address, asker)
    return (_BY_BROWSER, nonce) if nonce else (_BY_ADDRESS, _hash(db, address))


def _nonce(db: ReadDb, address: str, asker: Asker) -> bytes:
    return known_browser.nonce_of(db.keys, db.business_id, db.now, _hash(db, address), asker.mark)


def _hash(db: ReadDb, address: str) -> bytes:
    return db.keys.address_hash(db.business_id, folded(address))


def _client(db: ReadDb, asker: Asker) -> bytes:
    # A mark before it, so that no address has the fingerprint of a network.
    return db.keys.address_hash(db.business_id, f"\0network {asker.network}")
