"""Service messages and suppressions."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from crm.customers.basis import LawfulBasis
from crm.errors import Conflict, TooMany
from crm.mail.files import Attachment, Inline


class LetterKind(StrEnum):
    """What a service message is for."""

    confirmation = "confirmation"
    sign_in = "sign_in"
    test = "test"
    notice = "notice"
    receipt = "receipt"
    canary = "canary"
    # What anybody can cause by typing an address on a public page, and is no way in.
    asked = "asked"
    # What a program of the business wrote, for a purpose whose ground is a contract or a duty.
    business = "business"


class Scope(StrEnum):
    """How far a suppression reaches."""

    marketing = "marketing"
    all = "all"


class Why(StrEnum):
    """Why an address is suppressed."""

    left = "left"
    erased = "erased"
    bounced = "bounced"
    complained = "complained"
    staff = "staff"
    imported = "imported"
    # To all advertising, whatever it rests on (Art. 21(2) GDPR).
    objected = "objected"
    # Its owner has another address now.
    moved = "moved"


# Which suppression a kind of letter passes: what the owner of the address has just asked for (a
# confirmation, a way in, a way out) passes every one, so that a mail that came back once takes no
# right from her; the rest passes one for marketing only.
PASSES: dict[LetterKind, str] = {
    LetterKind.confirmation: "all",
    LetterKind.sign_in: "all",
    LetterKind.asked: "all",
    LetterKind.notice: "marketing",
    LetterKind.test: "marketing",
    LetterKind.receipt: "marketing",
    LetterKind.canary: "marketing",
    LetterKind.business: "marketing",
}


class TooManyLetters(TooMany):
    """This address was sent several of these mails already; look in its mailbox, or try later."""


class HersToLift(Conflict):
    """Somebody decided against mail to this address; only its owner lifts that, by a yes."""


class Letter(Struct, frozen=True, kw_only=True):
    """A service message to write: text and HTML say the same."""

    kind: LetterKind
    address: str
    address_hash: bytes
    subject: str
    text: str
    html: str
    locale: str
    customer_id: UUID | None = None
    attachments: tuple[Attachment, ...] = ()
    images: tuple[Inline, ...] = ()
    # May its text be read again later? Not where its customer was erased a moment ago.
    kept: bool = True
    # Of one that a program wrote: what it is for, as declared, and what it is called there.
    purpose: str | None = None
    reference: str | None = None


class Written(Struct, frozen=True):
    """A service message as it goes out, but for a signature; `header` is its Message-ID."""

    message_id: UUID
    header: str
    address: str
    content: bytes


class Suppression(Struct, frozen=True):
    """How and why an address is not mailed."""

    scope: Scope
    reason: Why
    at: datetime


class HeldSuppression(Struct, frozen=True):
    """One of the list: the fingerprint of an address, and what a bounce may stand above."""

    address_hash: bytes
    scope: Scope
    reason: Why
    at: datetime
    # What somebody decided about it, where a bounce stands above that.
    beneath: Why | None
    beneath_at: datetime | None


class ClaimedLetter(Struct, frozen=True):
    """A service message in our hands until the lease ends."""

    message_id: UUID
    state: str
    attempt: int
    address: str
    address_hash: bytes
    content: bytes
    created_at: datetime


class HeldLetter(Struct, frozen=True):
    """That there was a service message to a customer; `texted` while its words are kept."""

    message_id: UUID
    kind: LetterKind
    state: str
    created_at: datetime
    done_at: datetime | None
    subject: str
    texted: bool
    # What the business calls it; empty where it does not.
    reference: str
    # Of one that a program wrote: what it is for, and on which ground.
    label: str | None
    purpose: str | None
    basis: LawfulBasis | None
    # When it came back after all, and the code that was given.
    bounced_at: datetime | None
    bounce_code: str | None


class SentLetter(Struct, frozen=True):
    """A service message as its customer sees it; `address_hash` is of where it went."""

    message_id: UUID
    kind: LetterKind
    state: str
    created_at: datetime
    done_at: datetime | None
    address_hash: bytes
    # Subject, text and HTML without their secrets, as long as they are kept.
    kept: dict[str, str] | None
    label: str | None
    purpose: str | None
    basis: LawfulBasis | None
    # Why it was not sent after all: suppressed, frozen or leaving.
    kept_off: str | None
    bounced_at: datetime | None


# Soon, since somebody waits for it; then slower; an expired link is not worth delivering.
_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 120, 300, 900, 1800))
STALE = timedelta(hours=4)


def next_letter_try(
    attempt: int, now: datetime, created_at: datetime, patience: timedelta = STALE
) -> datetime | None:
    """Say when a service message is tried again, or None when nobody waits for it any more."""
    due = now + _PAUSES[min(attempt, len(_PAUSES)) - 1]
    return due if due < created_at + patience else None
