"""Purposes, notices and consent events; which states there are and what moves them.

State names follow W3C DPV 2.3 (`dpv:ConsentGiven`); only `given` and `renewed` authorise.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from crm.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from crm.events import Actor, ActorKind

# Evidence is kept for ever in one record; a photograph of a form is kept elsewhere and named here.
_MOST_EVIDENCE = 30
_LONGEST_EVIDENCE = 1000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Whole numbers that every reader of JSON reads alike (RFC 8785 §3.2.2.3).
_EXACT = 2**53
# Before mail was sold to everybody there was no such consent; a year like 0001 is a bad export.
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
# Two honest clocks differ by so much.
_SKEW = timedelta(seconds=5)


class Status(StrEnum):
    """What a customer has decided for one purpose."""

    unknown = "unknown"
    requested = "requested"
    given = "given"
    refused = "refused"
    withdrawn = "withdrawn"
    expired = "expired"
    invalidated = "invalidated"
    renewed = "renewed"


class Method(StrEnum):
    """By which way a decision came in."""

    web_form = "web_form"
    double_opt_in = "double_opt_in"
    portal = "portal"
    one_click = "one_click"
    stop_page = "stop_page"
    staff = "staff"
    imported = "import"
    api = "api"
    complaint = "complaint"
    expiry = "expiry"
    erasure = "erasure"


class EvidenceKind(StrEnum):
    """Evidence collected elsewhere; a notice version says which of it it accepts (promise 7)."""

    former_double_opt_in = "former_double_opt_in"
    former_single_opt_in = "former_single_opt_in"
    signed_form = "signed_form"


AUTHORISES = frozenset({Status.given, Status.renewed})
OPTED_OUT = frozenset({Status.withdrawn, Status.refused, Status.expired, Status.invalidated})

# Only through these does a customer speak for herself; nothing else lifts an opt-out.
OWN_WORD = frozenset({Method.double_opt_in, Method.portal})

# From the state of today (None: never asked) to the states an event may announce.
TRANSITIONS: dict[Status | None, frozenset[Status]] = {
    None: frozenset(
        {Status.unknown, Status.requested, Status.given, Status.refused, Status.withdrawn}
    ),
    Status.unknown: frozenset({Status.requested, Status.given, Status.refused, Status.withdrawn}),
    Status.requested: frozenset(
        {Status.requested, Status.given, Status.refused, Status.withdrawn, Status.expired}
    ),
    Status.given: frozenset(
        {Status.requested, Status.renewed, Status.withdrawn, Status.expired, Status.invalidated}
    ),
    Status.renewed: frozenset(
        {Status.requested, Status.renewed, Status.withdrawn, Status.expired, Status.invalidated}
    ),
    Status.refused: frozenset({Status.requested, Status.given, Status.withdrawn}),
    Status.withdrawn: frozenset({Status.requested, Status.given}),
    Status.expired: frozenset({Status.requested, Status.given, Status.withdrawn}),
    Status.invalidated: frozenset({Status.requested, Status.given, Status.withdrawn}),
}


class ImpossibleTransition(Conflict):
    """Consent cannot go from its present state to that one."""


class OptOutStands(Conflict):
    """The customer has opted out; only she can consent again, by sign-up or in the portal."""


class NotHerWord(Forbidden):
    """Only the customer herself can do this, by sign-up or in the portal."""


class EvidenceNotAccepted(Conflict):
    """The notice does not accept this evidence, so it gives no consent."""


class NoticeMismatch(Invalid):
    """This notice does not belong to that purpose."""


class NoNotice(Conflict):
    """The purpose has no notice yet; publish the text that customers are shown first."""


class SlugTaken(Conflict):
    """There is a purpose with this short name already."""


class UnknownPurpose(NotFound):
    """There is no such purpose here."""


class UnknownNotice(NotFound):
    """There is no such notice here."""


class BadEvidence(Invalid):
    """Evidence is a few short texts, whole numbers and yes-or-no values with plain names."""


# `$` alone would let a line feed pass at the end, which PostgreSQL's own check refuses.
_END = r"(?!\n)$"
_ONE_LINE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*" + _END
_WORDS = r"\S"

Slug = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*" + _END, max_length=63)]
Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=_ONE_LINE)]


class NewPurpose(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is entered for a purpose."""

    slug: Slug
    name: Line
    description: Annotated[str, Meta(max_length=1000)] = ""
    channel: Literal["email", "none"] = "email"
    double_opt_in: bool = True


class Purpose(Struct, frozen=True, kw_only=True):
    """What a customer may be contacted or data be used for; a newsletter is one."""

    id: UUID
    code: int
    slug: str
    name: str
    description: str
    channel: str
    double_opt_in: bool
    created_at: datetime
    retired_at: datetime | None


class NewNotice(Struct, kw_only=True, forbid_unknown_fields=True):
    """A text to publish: what is shown, and the words of the control beside it."""

    locale: Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*" + _END, max_length=35)]
    text: Annotated[str, Meta(min_length=10, max_length=5000, pattern=_WORDS)]
    # One line, so that the digest of text, line feed and label stands for one pair only.
    control_label: Annotated[str, Meta(min_length=1, max_length=300, pattern=_ONE_LINE)]
    accepts: list[EvidenceKind] = field(default_factory=list)


class Notice(Struct, frozen=True, kw_only=True):
    """One version of the text shown when asking; it never changes."""

    id: UUID
    purpose_id: UUID
    version: int
    locale: str
    text: str
    control_label: str
    sha256: bytes
    accepts: frozenset[EvidenceKind]
    published_at: datetime


class Consent(Struct, frozen=True, kw_only=True):
    """The current state of one customer for one purpose: a fold of the events."""

    customer_id: UUID
    purpose_id: UUID
    status: Status
    method: Method
    event_id: UUID
    notice_id: UUID | None
    at: datetime
    valid_until: datetime | None

    def authorises(self, now: datetime) -> bool:
        """Say whether mail may be sent on it now (promise 1)."""
        return self.status in AUTHORISES and (self.valid_until is None or self.valid_until > now)


class NewEvent(Struct, frozen=True, kw_only=True):
    """A decision to append; evidence holds text, whole numbers and booleans only (RFC 8785)."""

    customer_id: UUID
    purpose_id: UUID
    status: Status
    method: Method
    at: datetime
    notice_id: UUID | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


class ConsentEvent(Struct, frozen=True, kw_only=True):
    """One decision, as recorded; `at` is when it was made, `recorded_at` when we wrote it."""

    id: UUID
    customer_id: UUID
    purpose_id: UUID
    notice_id: UUID | None
    status: Status
    method: Method
    actor_kind: ActorKind
    actor_id: UUID | None
    at: datetime
    recorded_at: datetime
    evidence: dict[str, Any]


class Check(Struct, frozen=True, kw_only=True):
    """The answer to "may I contact this customer for this purpose?"."""

    # Null where an address was asked about that no customer has.
    customer_id: UUID | None
    purpose_id: UUID
    authorises: bool
    # Null where the customer was never asked, or is not known.
    status: Status | None
    event_id: UUID | None
    notice_id: UUID | None
    at: datetime | None
    valid_until: datetime | None


class ConsentExport(Struct, frozen=True, kw_only=True):
    """All that is held about one customer's consent, for herself."""

    purposes: list[Purpose]
    consents: list[Consent]
    events: list[ConsentEvent]
    notices: list[Notice]


def digest(text: str, control_label: str) -> bytes:
    """Content-address a notice: SHA-256 over its text, a line feed and its control's words."""
    return hashlib.sha256(f"{text}\n{control_label}".encode()).digest()


def announced(current: Consent | None, status: Status) -> Status:
    """Name what a decision is given today's state: giving again renews."""
    if status is Status.given and current is not None and current.status in AUTHORISES:
        return Status.renewed
    return status


def check_transition(current: Consent | None, status: Status, method: Method) -> None:
    """Refuse a decision that cannot follow, or that only the customer herself can make."""
    present = current.status if current else None
    if present in OPTED_OUT and status in AUTHORISES and method not in OWN_WORD:
        raise OptOutStands
    if status not in TRANSITIONS[present]:
        sentence = f"Consent cannot go from {present or 'never asked'} to {status}."
        raise ImpossibleTransition(sentence)


def moves(current: Consent | None, status: Status, method: Method) -> bool:
    """Say whether an event changes the state, or only stands in the history.

    A request changes neither a yes nor a no; weaker evidence never overrides what is known.
    """
    present = current.status if current else None
    if status is Status.requested:
        return present in {None, Status.unknown, Status.requested}
    if status is Status.unknown:
        return present is None
    return present not in OPTED_OUT or method in OWN_WORD or status is Status.withdrawn


def check_own_word(by: Actor) -> None:
    """Refuse to let anybody but the customer speak by her mailbox or her portal (promise 7)."""
    if by.kind is not ActorKind.customer:
        raise NotHerWord


def check_foreign_evidence(notice: Notice, evidence: dict[str, Any]) -> None:
    """Refuse evidence collected elsewhere of a kind that this version of the notice accepts not."""
    kind = str(evidence.get("kind", ""))
    if kind in {each.value for each in notice.accepts}:
        return
    accepted = ", ".join(sorted(notice.accepts)) or "no evidence from elsewhere"
    sentence = f"Version {notice.version} of this notice accepts {accepted}, not {kind or 'none'}."
    raise EvidenceNotAccepted(sentence)


def belongs(notice: Notice, purpose_id: UUID) -> Notice:
    """Return the notice if it is one of this purpose, or refuse with NoticeMismatch."""
    if notice.purpose_id != purpose_id:
        raise NoticeMismatch
    return notice


def checked_evidence(given: dict[str, Any]) -> dict[str, Any]:
    """Return evidence that can be kept for ever exactly as it came, or refuse with BadEvidence."""
    problems = [
        Problem(f"evidence/{name}" if _NAME.fullmatch(name) else "evidence", wrong)
        for name, value in given.items()
        if (wrong := _wrong_evidence(name, value))
    ]
    if len(given) > _MOST_EVIDENCE:
        problems.append(Problem("evidence", f"There is room for {_MOST_EVIDENCE} values."))
    if problems:
        raise BadEvidence(problems=problems)
    return given


def _wrong_evidence(name: str, value: object) -> str:
    if not _NAME.fullmatch(name):
        return "A name has up to 40 small letters, digits and underscores, and begins with one."
    if isinstance(value, str):
        if len(value) > _LONGEST_EVIDENCE or "\0" in value:
            return f"A text has up to {_LONGEST_EVIDENCE} characters and no NUL."
        return ""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int) and abs(value) < _EXACT:
        return ""
    return "A value is a text, a whole number below 2^53, true or false."


def check_instant(at: datetime, now: datetime) -> datetime:
    """Return an instant at which somebody can have decided: not to come, and not before 1990."""
    if at > now + _SKEW or at < _EARLIEST:
        sentence = "A decision was made between 1990 and now."
        raise Invalid(sentence, [Problem("at", sentence)])
    return min(at, now)
