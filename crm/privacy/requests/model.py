"""A privacy request: what a customer may ask under the GDPR, its states and its legal clock."""

from __future__ import annotations

import calendar
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from crm.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from crm.events import ActorKind

# What is asked, which may be said elsewhere; why it takes longer; and an answer.
LONGEST, LONGEST_ANSWER = 4000, 20_000
Words = Annotated[str, Meta(max_length=LONGEST)]
Why = Annotated[str, Meta(min_length=1, max_length=LONGEST)]
Answer = Annotated[str, Meta(min_length=1, max_length=LONGEST_ANSWER)]

# Art. 12(3): an answer within one month of receipt, or three where that is said in the first.
MONTHS, MONTHS_EXTENDED = 1, 3
# How long the log of a request is kept after its end: for whoever has to show that it was answered.
KEPT_YEARS = 3
# From so many days before the last one on, staff are reminded once each; and once it is over.
REMINDERS = (10, 3, 0, -1)
# A request on paper may have lain around, but not for ever.
_OLDEST_DAYS = 366


class RequestKind(StrEnum):
    """Which right it is about."""

    access = "access"
    portability = "portability"
    rectification = "rectification"
    erasure = "erasure"
    restriction = "restriction"
    objection = "objection"

    @property
    def article(self) -> int:
        """The article of the GDPR that gives it."""
        return _ARTICLES[self]


_ARTICLES = {
    RequestKind.access: 15,
    RequestKind.portability: 20,
    RequestKind.rectification: 16,
    RequestKind.erasure: 17,
    RequestKind.restriction: 18,
    RequestKind.objection: 21,
}


class RequestState(StrEnum):
    """How far it is."""

    received = "received"
    # A link to the mailbox was sent, and not opened yet.
    identity = "identity"
    in_progress = "in_progress"
    extended = "extended"
    done = "done"
    refused = "refused"
    # The record was deleted before it was answered, and there was nothing left to answer about.
    moot = "moot"


class Way(StrEnum):
    """How it came in."""

    portal = "portal"
    letter = "letter"
    phone = "phone"
    mail = "mail"
    person = "person"
    api = "api"


# What staff enter.
BY_STAFF = (Way.letter, Way.phone, Way.mail, Way.person)


class Proof(StrEnum):
    """How it is known who asks."""

    session = "session"
    mailbox = "mailbox"
    # A member knows her, and puts their name on it.
    person = "person"


class Ground(StrEnum):
    """Why a request is refused; the first five are those of Art. 17(3)."""

    expression = "expression"
    legal_duty = "legal_duty"
    public_health = "public_health"
    archive = "archive"
    legal_claims = "legal_claims"
    not_identified = "not_identified"
    excessive = "excessive"
    others_rights = "others_rights"
    accurate = "accurate"
    compelling = "compelling"
    not_met = "not_met"


_ALWAYS = (Ground.not_identified, Ground.excessive)
# The grounds on which each may be refused, and no others.
GROUNDS: dict[RequestKind, tuple[Ground, ...]] = {
    RequestKind.access: (Ground.others_rights, *_ALWAYS),
    RequestKind.portability: (Ground.others_rights, Ground.not_met, *_ALWAYS),
    RequestKind.rectification: (Ground.accurate, *_ALWAYS),
    RequestKind.erasure: (
        Ground.legal_duty,
        Ground.legal_claims,
        Ground.expression,
        Ground.public_health,
        Ground.archive,
        *_ALWAYS,
    ),
    RequestKind.restriction: (Ground.not_met, *_ALWAYS),
    RequestKind.objection: (Ground.compelling, Ground.legal_claims, *_ALWAYS),
}


class What(StrEnum):
    """One step of a request."""

    received = "received"
    link_sent = "link_sent"
    proved = "proved"
    vouched = "vouched"
    # Her mailbox had been in other hands.
    unproved = "unproved"
    taken = "taken"
    extended = "extended"
    reminded = "reminded"
    answered = "answered"
    refused = "refused"
    # The portal did it, at once.
    settled = "settled"
    # Her record was deleted, and with it what she had asked.
    erased = "erased"


class UnknownRequest(NotFound):
    """There is no such request."""


class RequestClosed(Conflict):
    """This request has been answered already."""


class IdentityMissing(Forbidden):
    """It is not known yet who asks. Send a link to the mailbox, or say that you know her."""


class MayNotErase(Forbidden):
    """To answer this deletes her record, and that takes the right to delete customers."""


class NoAddressToAnswer(Conflict):
    """There is no address for this request, so no mail can be sent. Answer in the way it came."""


class ExtendedAlready(Conflict):
    """The time was made longer once, and cannot be again (Art. 12(3) GDPR)."""


class TooLateToExtend(Conflict):
    """The first month is over: the time can be made longer only within it (Art. 12(3) GDPR)."""


class Request(Struct, frozen=True, kw_only=True):
    """A request as it is now; without her data once she is erased."""

    id: UUID
    kind: RequestKind
    state: RequestState
    way: Way
    by_itself: bool
    customer_id: UUID | None
    address: str
    name: str
    words: str
    received_on: date
    due_on: date
    extended_on: date | None
    extended_why: str
    proof: Proof | None
    proved_at: datetime | None
    member: str
    answer: str
    ground: Ground | None
    created_at: datetime
    closed_at: datetime | None
    keep_until: date | None

    @property
    def open(self) -> bool:
        """Whether an answer is due."""
        return self.closed_at is None

    def days_left(self, today: date) -> int:
        """Count the days until the last one; negative once it is over."""
        return (self.due_on - today).days

    def days_gone(self, today: date) -> int:
        """Count the days since it came, no more than there were."""
        return max(0, min((today - self.received_on).days, self.days_in_all))

    @property
    def days_in_all(self) -> int:
        """How many days there are, or were."""
        return (self.due_on - self.received_on).days

    def may_be_extended(self, today: date) -> bool:
        """Say whether the time can be made longer still."""
        first = months_after(self.received_on, MONTHS)
        return self.open and self.extended_on is None and today <= first

    @property
    def longest(self) -> date:
        """The last day if the time is made longer."""
        return months_after(self.received_on, MONTHS_EXTENDED)


class Step(Struct, frozen=True, kw_only=True):
    """What was done with a request, when and by whom."""

    request_id: UUID
    at: datetime
    what: What
    actor_kind: ActorKind
    actor_name: str


class NewRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks, and who: a customer by her id, or anybody by an address."""

    kind: RequestKind
    customer_id: UUID | None = None
    address: Annotated[str, Meta(max_length=254)] = ""
    name: Annotated[str, Meta(max_length=200)] = ""
    words: Words = ""
    # The day it came, where that was before today.
    received_on: date | None = None


class HeldRequest(Struct, frozen=True, kw_only=True):
    """A request with its steps, for whose it is."""

    request: Request
    steps: list[Step]


class Settled(Struct, frozen=True, kw_only=True):
    """What was done without staff in a while, and the slowest answer by a person."""

    kind: RequestKind
    count: int
    slowest: int | None


def months_after(day: date, months: int) -> date:
    """Find the day so many months later; the last of a shorter month (Reg. 1182/71 Art. 3(2)).

    The day of receipt is not counted, so the last day has the same number. Days off are not
    added, though that regulation would: whoever keeps to this is never late.
    """
    year, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + year, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def checked_receipt(received_on: date | None, today: date) -> date:
    """Return the day it came, or refuse one that cannot be."""
    if received_on is None:
        return today
    if received_on > today or (today - received_on).days > _OLDEST_DAYS:
        sentence = "The day it came is today or before, and within the last year."
        raise Invalid(sentence, [Problem("received_on", sentence)])
    return received_on


def check_words(words: str, most: int = LONGEST_ANSWER) -> None:
    """Refuse to tell her nothing: whatever is decided is explained to her (Art. 12(1) and (4))."""
    if not words.strip():
        sentence = "Say it in words: she is told nothing else."
        raise Invalid(sentence, [Problem("words", sentence)])
    if len(words) > most:
        sentence = f"This has {len(words)} characters; there is room for {most}."
        raise Invalid(sentence, [Problem("words", sentence)])


def check_open(request: Request) -> None:
    """Refuse to do anything more with a request that has ended."""
    if not request.open:
        raise RequestClosed


def check_ground(kind: RequestKind, ground: Ground) -> None:
    """Refuse a ground that the law does not give for this right."""
    if ground not in GROUNDS[kind]:
        sentence = "The law gives no such ground for refusing this. Choose one of those shown."
        raise Invalid(sentence, [Problem("ground", sentence)])


def check_extension(request: Request, today: date) -> None:
    """Refuse to make the time longer twice, or after the first month."""
    check_open(request)
    if request.extended_on is not None:
        raise ExtendedAlready
    if not request.may_be_extended(today):
        raise TooLateToExtend


def urgency(days_left: int) -> int:
    """Say how urgent it is, from 0 (not at all) to 4 (overdue): a step per reminder."""
    return sum(days_left <= each for each in REMINDERS)
