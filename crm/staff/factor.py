"""The rules of a second factor: codes of a telephone (RFC 6238), codes for its loss, the ticket.

A ticket says that the password was right a moment ago. Where a new password was chosen as well, it
carries that one's hash, so that nothing is replaced before the factor is proved.
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

from crm.errors import Conflict, Invalid, Problem, Unauthenticated
from crm.keys import MAC_SIZE, Keys

# Seconds that one code is good for; those before and after are taken too, for clocks that differ.
STEP = 30
_DRIFT = (0, -1, 1)
# What was shown and not proved within this is begun anew.
BEGUN_LASTS = timedelta(hours=1)
# Between password and code (ASVS 6.5.5).
TICKET_LASTS = timedelta(minutes=10)

RECOVERY_CODES = 10
_TICKET = "second-factor"
_ID = 16
_MARK = 16
_STAMP = 8
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
        super().__init__()
        self.problems = (Problem("code", self.message),)


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


class Ticket(Struct, frozen=True):
    """Whose password was right, and which; `sealed` is the hash of the one to put in its place."""

    member_id: UUID
    mark: bytes
    sealed: bytes

    def is_for(self, password_hash: str) -> bool:
        """Say whether that password is still the present one."""
        return hmac.compare_digest(self.mark, _mark(password_hash))

    def chosen(self, keys: Keys, business_id: UUID) -> str:
        """Return the hash of the new password, or nothing where none was chosen."""
        if not self.sealed:
            return ""
        return keys.decrypt(business_id, _label(self.member_id, self.mark), self.sealed).decode()


def ticket(  # noqa: PLR0917  (what it binds)
    keys: Keys,
    business_id: UUID,
    now: datetime,
    member_id: UUID,
    password_hash: str,
    chosen: str = "",
) -> str:
    """Write down that this password was right a moment ago; signed, and good for this one only."""
    until = int((now + TICKET_LASTS).timestamp()).to_bytes(_STAMP, "big")
    mark = _mark(password_hash)
    sealed = b""
    if chosen:
        sealed = keys.encrypt(business_id, _label(member_id, mark), chosen.encode())
    data = member_id.bytes + mark + until + sealed
    return urlsafe_b64encode(data + keys.sign(business_id, _TICKET, data)).decode()


def read_ticket(keys: Keys, business_id: UUID, now: datetime, text: str) -> Ticket:
    """Read a ticket of this business, or refuse with TicketOver."""
    try:
        whole = urlsafe_b64decode(text.encode())
    except ValueError:
        raise TicketOver from None
    data, signature = whole[: -MAC_SIZE - 1], whole[-MAC_SIZE - 1 :]
    if not keys.verified(business_id, _TICKET, data, signature):
        raise TicketOver
    member_id, rest = data[:_ID], data[_ID:]
    mark, rest = rest[:_MARK], rest[_MARK:]
    if int.from_bytes(rest[:_STAMP], "big") < now.timestamp():
        raise TicketOver
    return Ticket(UUID(bytes=member_id), mark, rest[_STAMP:])


def new_letters() -> str:
    """Make the secret of a telephone, as letters to be typed."""
    return pyotp.random_base32()


def shown(letters: str, address: str, issuer: str) -> Begun:
    """Show the secret to be typed or to be read by a camera."""
    uri = pyotp.TOTP(letters).provisioning_uri(name=address, issuer_name=issuer)
    groups = [letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP)]
    drawing = segno.make(uri, micro=False).svg_data_uri(scale=5, border=4, light="#fff")
    return Begun(" ".join(groups), drawing)


def step_of(letters: str, typed: str, now: datetime) -> int | None:
    """Return the step of which this is the code, or None."""
    code = "".join(typed.split())
    if len(code) != _DIGITS or not (code.isascii() and code.isdigit()):
        return None
    at, found = int(now.timestamp()) // STEP, None
    for step in (at + drift for drift in _DRIFT):
        if hmac.compare_digest(pyotp.TOTP(letters).at(step * STEP), code):
            found = step
    return found


def recovery_code() -> str:
    """Make a code to be put away for the day on which the telephone is lost."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_RECOVERY_LETTERS))
    return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))


def recovery_hash(typed: str) -> bytes:
    """Hash such a code as it is kept, however it was typed."""
    code = "".join(letter for letter in typed.upper() if letter.isalnum())
    return hashlib.sha256(code.encode(errors="replace")).digest()


def _mark(password_hash: str) -> bytes:
    return hashlib.sha256(password_hash.encode()).digest()[:_MARK]


def _label(member_id: UUID, mark: bytes) -> str:
    return f"new-password/{member_id}/{mark.hex()}"
