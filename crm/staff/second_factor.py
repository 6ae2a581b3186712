"""A second factor: codes of a telephone (RFC 6238), ten codes for the day on which it is lost.

What proves it is asked for after the password, tries are counted, and no code opens twice.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from uuid import UUID

import pyotp
import segno
from msgspec import Struct

from crm import events
from crm.businesses import Business
from crm.db import Db, ReadDb
from crm.errors import Conflict, Invalid, Problem, Unauthenticated
from crm.events import Actor, Kind
from crm.staff.actions import Credentials, member, sql
from crm.staff.model import Member

# Seconds that one code is good for; those before and after are taken too, for clocks that differ.
STEP = 30
_DRIFT = (0, -1, 1)
# What was shown and not proved within this is begun anew.
BEGUN_LASTS = timedelta(hours=1)
# Between password and code (ASVS 6.5.5).
TICKET_LASTS = timedelta(minutes=10)

_TICKET = "second-factor"
_MARK = 16
_STAMP = 8
_RECOVERY_CODES = 10
# Crockford's base32, five bits a letter: 120 bits, so that a fast hash is enough (ASVS 6.5.2).
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RECOVERY_LETTERS = 24
_DIGITS = 6
_GROUP = 4


class FactorNeeded(Conflict):
    """The password is right. Now type the code that your telephone shows."""

    def __init__(self, ticket: str) -> None:
        """Carry what shows that the password was right."""
        super().__init__()
        self.ticket = ticket


class TicketOver(Unauthenticated):
    """That took too long, or the password was changed meanwhile. Please sign in again."""


class WrongFactor(Invalid):
    """This is not the code of this moment, or it was used already. Wait for the next one."""

    def __init__(self) -> None:
        """Point at the field."""
        super().__init__(problems=[Problem("code", (type(self).__doc__ or "").strip())])


class HasFactor(Conflict):
    """A second factor is set up already. Remove it first, then set up another."""


class Factor(Struct, frozen=True, kw_only=True):
    """What a member has of a second factor; without `confirmed_at` it was only begun."""

    secret: bytes
    begun_at: datetime
    confirmed_at: datetime | None
    used_step: int
    codes_left: int


class Begun(Struct, frozen=True):
    """What a telephone needs to know, as letters and drawn."""

    letters: str
    drawing: str


async def factor_of(db: ReadDb, member_id: UUID) -> Factor | None:
    """Return what a member has of a second factor."""
    return await db.maybe(sql.second_factor, Factor, member_id=member_id)


async def begin_factor(db: Db, who: Member, business: Business) -> Begun:
    """Make a secret and show it; it counts once a code of it was typed. HasFactor if one does."""
    letters = pyotp.random_base32()
    kept = db.keys.encrypt(db.business_id, _label(who.id), letters.encode())
    if await db.maybe(sql.begin_second_factor, UUID, member_id=who.id, secret=kept) is None:
        raise HasFactor
    return _shown(letters, who, business)


def shown_again(db: ReadDb, who: Member, business: Business, begun: Factor) -> Begun:
    """Show the secret that was begun once more, after a code that was wrong."""
    return _shown(_letters_of(db, who.id, begun.secret), who, business)


async def confirm_factor(db: Db, who: Member, code: str) -> list[str]:
    """Take the secret that was begun, by a code of it; return the codes for a lost telephone.

    They can be read here and never again. Every other session is the caller's to end.
    """
    begun = await factor_of(db, who.id)
    if begun is None or begun.confirmed_at or begun.begun_at < db.now - BEGUN_LASTS:
        raise WrongFactor
    step = _step_of(_letters_of(db, who.id, begun.secret), code, db.now)
    if step is None:
        raise WrongFactor
    codes = [_recovery_code() for _ in range(_RECOVERY_CODES)]
    hashes = [_recovery_hash(each) for each in codes]
    confirmed = await db.run(
        sql.confirm_second_factor,
        member_id=who.id,
        step=step,
        recovery=hashes,
        secret=begun.secret,
    )
    if not confirmed:
        raise WrongFactor
    await _say(db, who.actor, who.id, "second factor set up")
    return codes


async def use_code(db: Db, checked: Credentials, code: str) -> None:
    """Use up a code of the telephone or one for its loss, or refuse with WrongFactor.

    The caller has counted this try.
    """
    assert checked.secret is not None  # noqa: S101  (asked for of those only who have one)
    step = _step_of(_letters_of(db, checked.id, checked.secret), code, db.now)
    if step is not None:
        if not await db.run(sql.use_step, member_id=checked.id, step=step):
            raise WrongFactor
        return
    code_hash = _recovery_hash(code)
    if not await db.run(sql.use_recovery, member_id=checked.id, code_hash=code_hash):
        raise WrongFactor
    who = await member(db, checked.id)
    await _say(db, who.actor, checked.id, "a code for a lost telephone was used")


async def drop_factor(db: Db, by: Actor, member_id: UUID) -> None:
    """Take a second factor away, because it is lost or its owner wants another; sessions end."""
    if await db.run(sql.drop_second_factor, member_id=member_id):
        await db.run(sql.close_sessions, member_id=member_id, but=None)
        await _say(db, by, member_id, "second factor removed")


async def insisting(db: ReadDb) -> bool:
    """Say whether nobody may work here without a second factor."""
    return await db.maybe(sql.factor_rule, datetime) is not None


async def insist(db: Db, by: Actor, *, on: bool) -> None:
    """Insist on a second factor for everybody who works here, from the next press on, or stop."""
    if await db.run(sql.insist_on_factor if on else sql.leave_factor_open):
        reason = "a second factor is " + ("needed" if on else "not needed any more")
        await events.record(db, by, Kind.member_changed, reason=reason)


async def with_factor(db: ReadDb) -> set[UUID]:
    """Return who has a second factor."""
    return set(await db.many(sql.members_with_factor, UUID))


def ticket(db: ReadDb, checked: Credentials) -> str:
    """Write down that this password was right a moment ago; signed, and good for this one only."""
    until = int((db.now + TICKET_LASTS).timestamp()).to_bytes(_STAMP, "big")
    data = checked.id.bytes + _mark(checked) + until
    return urlsafe_b64encode(data + db.keys.sign(db.business_id, _TICKET, data)).decode()


def ticket_owner(db: ReadDb, text: str) -> UUID:
    """Return whose password was right, or refuse with TicketOver."""
    return UUID(bytes=_ticket_data(db, text)[:16])


def check_ticket(db: ReadDb, text: str, checked: Credentials) -> None:
    """Refuse with TicketOver a ticket for another password than the present one."""
    if not hmac.compare_digest(_ticket_data(db, text)[16 : 16 + _MARK], _mark(checked)):
        raise TicketOver


def _ticket_data(db: ReadDb, text: str) -> bytes:
    try:
        whole = urlsafe_b64decode(text.encode())
    except ValueError:
        raise TicketOver from None
    size = 16 + _MARK + _STAMP
    data, signature = whole[:size], whole[size:]
    if not db.keys.verified(db.business_id, _TICKET, data, signature):
        raise TicketOver
    if int.from_bytes(data[-_STAMP:], "big") < db.now.timestamp():
        raise TicketOver
    return data


def _mark(checked: Credentials) -> bytes:
    return hashlib.sha256(checked.password_hash.encode()).digest()[:_MARK]


def _shown(letters: str, who: Member, business: Business) -> Begun:
    uri = pyotp.TOTP(letters).provisioning_uri(name=who.address, issuer_name=business.name)
    groups = [letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP)]
    drawing = segno.make(uri, micro=False).svg_data_uri(scale=5, border=4, light="#fff")
    return Begun(" ".join(groups), drawing)


def _letters_of(db: ReadDb, member_id: UUID, kept: bytes) -> str:
    return db.keys.decrypt(db.business_id, _label(member_id), kept).decode()


def _label(member_id: UUID) -> str:
    return f"second-factor/{member_id}"


def _step_of(letters: str, typed: str, now: datetime) -> int | None:
    """Return the step of which this is the code, or None; by PostgreSQL's clock (ASVS 6.5.8)."""
    code = "".join(typed.split())
    if len(code) != _DIGITS or not (code.isascii() and code.isdigit()):
        return None
    at, found = int(now.timestamp()) // STEP, None
    for step in (at + drift for drift in _DRIFT):
        if hmac.compare_digest(pyotp.TOTP(letters).at(step * STEP), code):
            found = step
    return found


def _recovery_code() -> str:
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_RECOVERY_LETTERS))
    return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))


def _recovery_hash(typed: str) -> bytes:
    code = "".join(letter for letter in typed.upper() if letter.isalnum())
    return hashlib.sha256(code.encode(errors="replace")).digest()


async def _say(db: Db, by: Actor, member_id: UUID, reason: str) -> None:
    await events.record(db, by, Kind.member_changed, ref=member_id, reason=reason)
