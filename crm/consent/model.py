"""Purposes, notices and consent events; which states there are and what moves them.

State names follow W3C DPV 2.3 (`dpv:ConsentGiven` is `given`). Only `given` and `renewed` authorise.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct, field

from crm.errors import Conflict, Invalid, NotFound
from crm.events import ActorKind


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


Slug = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]


class NewPurpose(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is entered for a purpose."""

    slug: Slug
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Annotated[str, Meta(max_length=1000)] = ""
    channel: Annotated[str, Meta(pattern="^(email|none)$")] = "email"
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

    locale: Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
    text: Annotated[str, Meta(min_length=10, max_length=5000)]
    control_label: Annotated[str, Meta(min_length=1, max_length=300)]
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
