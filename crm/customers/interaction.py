"""What happens between business and customer: declared kinds, amounts and instants."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from crm.characters import composed
from crm.customers.retention import retention
from crm.customers.text import Duration, Label, Sentence, Word, named
from crm.errors import Invalid, Problem
from crm.events import ActorKind
from crm.languages import gettext, marked

# A clock elsewhere may be a little ahead of ours.
_CLOCKS_DIFFER = timedelta(minutes=5)
_LARGEST_AMOUNT = Decimal(10) ** 12
_AMOUNT_DECIMALS = 4

NOTE = "note"
REPLY = "reply"
WISH = "wish_to_leave"
# Kinds that every business has unless it has declared its own: label, and what for.
BUILT_IN = {
    NOTE: (marked("Note"), marked("So that we remember what we talked about with you.")),
    REPLY: (marked("Reply"), marked("So that we can answer what you write to us.")),
    WISH: (marked("Wish"), marked("So that nobody overlooks that you want to leave.")),
}
# What such a wish is called, where nothing of it but that is kept.
ASKS_TO_LEAVE = marked("Asks to leave by mail")
# As the table bounds them.
LONGEST_LETTER = 100_000
# In bytes, as a line of mail is bounded (RFC 5322 §2.1.1): an index takes no longer ones.
_LONGEST_ID = 998
_LONGEST_REFS = 10_000
_LONGEST_TITLE = 300


class UnknownKind(Invalid):
    """There is no such kind of interaction; declare it first, with its purpose and retention."""


class NotAnInstant(Invalid):
    """This instant has no time zone, or is not one at which something can have happened."""


class NotAnAmount(Invalid):
    """An amount is a number such as 9.40 with its currency, and both or neither are given."""


class NewKind(Struct, kw_only=True, forbid_unknown_fields=True):
    """A declaration of a kind of interaction: what for, and how long each is kept."""

    label: Label
    purpose: Sentence
    retention: Duration
    # The purpose that it is for and ends with, for each customer, whatever time is left.
    purpose_id: UUID | None = None


class InteractionKind(Struct, frozen=True, kw_only=True):
    """A declared kind of interaction: a note, a purchase, a call."""

    name: str
    label: str
    purpose: str
    retention: str
    purpose_id: UUID | None
    declared_at: datetime

    @property
    def kept_for(self) -> str:
        """The retention in words."""
        return retention(self.retention).words()

    @property
    def called(self) -> str:
        """The label, where it is ours in the language that is spoken."""
        return _said(self.name, self.label)

    @property
    def what_for(self) -> str:
        """The purpose, where it is ours in the language that is spoken."""
        return _said(self.name, self.purpose)


Title = Annotated[str, Meta(min_length=1, max_length=300)]
Detail = Annotated[str, Meta(max_length=10_000)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}(?!\n)$")]


class NewInteraction(Struct, kw_only=True, forbid_unknown_fields=True):
    """Something that happened; without `at`, it is happening now."""

    kind: Word
    title: Title
    at: datetime | None = None
    detail: Detail = ""
    amount: Decimal | None = None
    currency: Currency | None = None


class NewReply(Struct, frozen=True, kw_only=True):
    """A mail of a customer: its words, and what it answers (RFC 5322 §3.6.4)."""

    subject: str
    text: str
    at: datetime | None = None
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()


class Interaction(Struct, frozen=True, kw_only=True):
    """Something that happened between business and customer, and who recorded it.

    A mail names itself and what it answers; `refs` are Message-IDs parted by spaces.
    """

    id: UUID
    customer_id: UUID
    kind: str
    label: str
    at: datetime
    title: str
    detail: str
    amount: Decimal | None
    currency: str | None
    actor_kind: ActorKind
    actor_name: str
    message_id: str
    in_reply_to: str
    refs: str
    recorded_at: datetime

    @property
    def called(self) -> str:
        """The label of its kind, where it is ours in the language that is spoken."""
        return _said(self.kind, self.label)

    @property
    def headline(self) -> str:
        """The title, where it is ours in the language that is spoken."""
        ours = self.kind == WISH and self.title == ASKS_TO_LEAVE
        return gettext(self.title) if ours else self.title


class KindCount(Struct, frozen=True):
    """How often one kind of thing happened."""

    kind: str
    count: int


class Moment(Struct, frozen=True):
    """Where a page of interactions ends: the key of its last row."""

    at: datetime
    id: UUID


def checked_instant(at: datetime | None, now: datetime) -> datetime:
    """Return when something happened: now, or an instant with its zone that is past."""
    if at is None:
        return now
    wrong = ""
    if at.tzinfo is None:
        wrong = "Give the time zone too, as in 2026-06-04T07:00:00Z."
    elif at > now + _CLOCKS_DIFFER:
        wrong = "This is in the future, and only what has happened is recorded."
    elif at.year < 1900:  # noqa: PLR2004
        wrong = "This is before 1900."
    if wrong:
        raise NotAnInstant(problems=[Problem("at", wrong)])
    return at


def kept_reply(new: NewReply, now: datetime) -> dict[str, object]:
    """Return what is kept of a mail: all that can be, since nobody is there to put it right.

    Control characters become blanks. What is longer than a letter is cut, and says so. A Message-ID
    too long for mail is none. A Date in the future, or before there was mail, is its arrival's.
    """
    text = _plain(new.text, lines=True).strip()
    if len(text) > LONGEST_LETTER:
        rest = gettext("The rest of this letter was too long to keep.")
        text = f"{text[: LONGEST_LETTER - 200]}\n\n[{rest}]"
    try:
        at = checked_instant(new.at, now)
    except NotAnInstant:
        at = now
    return {
        "at": at,
        "title": _plain(new.subject).strip()[:_LONGEST_TITLE] or gettext("No subject"),
        "detail": text,
        "message_id": _kept_id(new.message_id),
        "in_reply_to": _kept_id(new.in_reply_to),
        "refs": _plain(" ".join(new.references))[-_LONGEST_REFS:],
    }


def _kept_id(text: str) -> str:
    # Cut, it would name another mail, or the same one as all that begin like it.
    plain = _plain(text)
    return plain if len(plain.encode()) <= _LONGEST_ID else ""


def _said(kind: str, text: str) -> str:
    """Say what we declared ourselves; what a business has declared is in its own words."""
    return gettext(text) if text in BUILT_IN.get(kind, ()) else text


def _plain(text: str, *, lines: bool = False) -> str:
    kept = "\n\t" if lines else ""
    return "".join(
        char if char in kept or unicodedata.category(char) not in ("Cc", "Cs") else " "
        for char in composed(text.replace("\r\n", "\n"))
    )


def check_amount(new: NewInteraction) -> None:
    """Refuse an amount without currency, a currency without amount, and what is no amount."""
    if (new.amount is None) != (new.currency is None):
        raise named(NotAnAmount(), "currency" if new.currency is None else "amount")
    if new.amount is None:
        return
    fits = new.amount.is_finite() and abs(new.amount) < _LARGEST_AMOUNT
    if not fits or new.amount != round(new.amount, _AMOUNT_DECIMALS):
        raise named(NotAnAmount(), "amount")
