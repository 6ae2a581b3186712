"""Purposes, notices, consent events and the state that follows from them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct, field

from crm.consent.grounds import EvidenceKind
from crm.consent.states import AUTHORISES, CONSENTS, Basis, Method, NotHerWord, Status
from crm.consent.terms import ONE_LINE, Locale, Terms
from crm.consent.terms import read as read_terms
from crm.errors import Conflict, Invalid, NotFound, Problem
from crm.events import Actor, ActorKind

# Before mail was sold to everybody there was no such consent; a year like 0001 is a bad export.
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
# Two honest clocks differ by so much.
_SKEW = timedelta(seconds=5)
# So long before a consent ends, ordinary mails and her own page ask whether it goes on.
ASKED_BEFORE = timedelta(days=60)
_WORDS = r"\S"


class NoticeMismatch(Invalid):
    """This notice does not belong to that purpose."""


class NoNotice(Conflict):
    """The purpose has no notice yet; publish the text that customers are shown first."""


class SlugNeedsNoConsent(Conflict):
    """Service messages go out under this short name without a consent; choose another."""


class SlugTaken(Conflict):
    """There is a purpose with this short name already."""


class UnknownPurpose(NotFound):
    """There is no such purpose here."""


class UnknownNotice(NotFound):
    """There is no such notice here."""


class UnknownEvent(NotFound):
    """There is no such decision here."""


class PurposeRetired(Conflict):
    """This purpose is not in use any more, so nobody can consent to it."""


class VersionEnded(Conflict):
    """These words hold no more: others took their place. Ask with the present text."""


class VersionMoved(Conflict):
    """Another version was published since you looked. Look at that one, then publish yours."""


class NothingNew(Conflict):
    """Nothing is different from the version in use, so there is nothing to publish."""


class TextMissing(Conflict):
    """What customers agree to changes, so it needs a text to ask with, in your own language."""


class NotConsent(Conflict):
    """This purpose does not rest on consent, so none can be recorded for it."""


class NotSoftOptIn(Conflict):
    """This purpose rests on consent; a sale alone does not allow it."""


class SoftOptInOff(Conflict):
    """The business has not switched soft opt-in on, so nothing may rest on it."""


class Silenced(Conflict):
    """Mail to this address is suppressed. Only its owner lifts that, by signing up afresh."""


class ClockBehind(Conflict):
    """The server's clock stands before this customer's last decision. Nothing was recorded."""


# The channel of a newsletter; the other, none, is a use of data.
EMAIL = "email"


class Purpose(Struct, frozen=True, kw_only=True):
    """What a customer may be contacted or data be used for; a newsletter is one."""

    id: UUID
    code: int
    slug: str
    name: str
    description: str
    channel: str
    double_opt_in: bool
    basis: Basis
    special_category: bool
    version: int
    created_at: datetime
    retired_at: datetime | None


class CitedVersion(Struct, frozen=True):
    """The version of a purpose that a decision is about."""

    purpose_id: UUID
    version: int
    basis: Basis
    sha256: bytes


class Question(Struct, frozen=True):
    """What was asked: for which purpose, and with which text."""

    purpose_id: UUID
    notice_id: UUID


class CitedNotice(Struct, frozen=True):
    """The text that was shown with a decision."""

    id: UUID
    version: int
    locale: str
    control_label: str
    sha256: bytes


class Version(Struct, frozen=True, kw_only=True):
    """One version of a purpose; `ends_at` is when consents to it end, once it is stale."""

    purpose_id: UUID
    version: int
    basis: Basis
    special_category: bool
    validity: str
    # As canonical JSON; `entered` reads it.
    terms: bytes
    sha256: bytes
    published_at: datetime
    published_by: UUID | None
    stale_at: datetime | None
    ends_at: datetime | None

    @property
    def entered(self) -> Terms:
        """All that was entered for it."""
        return read_terms(self.terms)

    @property
    def cited(self) -> CitedVersion:
        """What an event says of it."""
        return CitedVersion(self.purpose_id, self.version, self.basis, self.sha256)


class NewNotice(Struct, kw_only=True, forbid_unknown_fields=True):
    """A text to publish: what is shown, and the words of the control beside it."""

    locale: Locale
    text: Annotated[str, Meta(min_length=10, max_length=5000, pattern=_WORDS)]
    # One line, so that the digest of text, line feed and label stands for one pair only.
    control_label: Annotated[str, Meta(min_length=1, max_length=300, pattern=ONE_LINE)]
    # What Art. 13 GDPR asks to be said besides; shown with the text.
    particulars: Annotated[str, Meta(max_length=20_000)] = ""
    accepts: list[EvidenceKind] = field(default_factory=list)


class Notice(Struct, frozen=True, kw_only=True):
    """One version of the text shown when asking; it never changes."""

    id: UUID
    purpose_id: UUID
    purpose_version: int
    version: int
    locale: str
    text: str
    particulars: str
    control_label: str
    sha256: bytes
    accepts: frozenset[EvidenceKind]
    published_at: datetime

    @property
    def question(self) -> Question:
        """What was asked with it."""
        return Question(self.purpose_id, self.id)

    @property
    def cited(self) -> CitedNotice:
        """What an event says of it."""
        return CitedNotice(self.id, self.version, self.locale, self.control_label, self.sha256)


class Consent(Struct, frozen=True, kw_only=True):
    """The current state of one customer for one purpose: a fold of the events."""

    customer_id: UUID
    purpose_id: UUID
    purpose_version: int
    record_id: UUID
    status: Status
    method: Method
    event_id: UUID
    notice_id: UUID | None
    at: datetime
    # When it ends by its own time or with its version, whichever is first; null: never.
    ends_at: datetime | None
    # Since when it rests on a version that another has replaced.
    stale_at: datetime | None = None

    def authorises(self, now: datetime) -> bool:
        """Say whether it stands now, so that mail may be sent on it (promise 1).

        That includes what was told at a sale, also where nothing may rest on that: see `allows`.
        """
        return self.status in AUTHORISES and (self.ends_at is None or self.ends_at > now)

    def allows(self, now: datetime, *, soft_opt_in: bool) -> bool:
        """Say whether mail is sent on it at a business that lets it rest on sales, or does not."""
        return self.authorises(now) and (soft_opt_in or self.status is not Status.unobjected)

    def asked_again(self, now: datetime) -> bool:
        """Say whether it is time to ask if it goes on; a soft opt-in cannot be said again."""
        if self.ends_at is None or self.status not in CONSENTS:
            return False
        # Of a short one the last third, or she would be asked as soon as she has answered.
        soon = self.ends_at <= now + min(ASKED_BEFORE, (self.ends_at - self.at) / 3)
        return self.ends_at > now and (soon or self.stale_at is not None)


class Form(Struct, frozen=True):
    """Where a decision was made: which form, its content's SHA-256, the page without query."""

    id: str
    page: str
    sha256: bytes | None = None


class Network(Struct, frozen=True, omit_defaults=True):
    """From where and with what somebody decided; where two steps were made, both addresses."""

    address: str = ""
    agent: str = ""
    asked_from: str = ""


class OptIn(Struct, frozen=True):
    """The two instants of a mailbox's own word, and the mail between them."""

    proof_id: UUID
    way: str
    mailed_at: datetime
    confirmed_at: datetime
    message_id: str = ""


class NewEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A decision to append; evidence holds text, whole numbers and booleans only (RFC 8785)."""

    customer_id: UUID
    status: Status
    method: Method
    at: datetime
    purpose: CitedVersion
    notice: CitedNotice | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    form: Form | None = None
    opt_in: OptIn | None = None
    jurisdiction: str = ""
    # What asked for it: a sign-up, a campaign, a request of a program.
    request: str = ""
    valid_until: datetime | None = None
    # Kept only where the business does so.
    network: Network | None = None


class ConsentEvent(Struct, frozen=True, kw_only=True):
    """One decision, as its sealed record says; `at` is when it was made, `recorded_at` when kept.

    What older records do not say is empty.
    """

    id: UUID
    record_id: UUID | None
    customer_id: UUID
    purpose_id: UUID
    purpose_version: int
    basis: Basis
    status: Status
    # implied, expressed or explicit; only the last two are a consent.
    type: str
    method: Method
    actor_kind: ActorKind
    actor_id: UUID | None
    at: datetime
    recorded_at: datetime
    valid_until: datetime | None
    notice_id: UUID | None
    notice_sha256: str
    language: str
    control_label: str
    form: str
    form_sha256: str
    page: str
    jurisdiction: str
    opt_in: OptIn | None
    request: str
    supersedes: UUID | None
    evidence: dict[str, Any]


class ConsentTold(Struct, frozen=True, kw_only=True):
    """What one customer decided: states, decisions, and the exact texts."""

    purposes: list[Purpose]
    consents: list[Consent]
    events: list[ConsentEvent]
    notices: list[Notice]


class MailboxProof(Struct, frozen=True, kw_only=True):
    """When a mailbox proved itself, by which way, and when the mail was sent."""

    id: UUID
    way: str
    mailed_at: datetime
    proved_at: datetime


def shown(text: str, particulars: str, control_label: str) -> str:
    """Write a notice whole, as it is shown: the words, the particulars, the control's label."""
    words = f"{text}\n\n{particulars}" if particulars else text
    return f"{words}\n{control_label}"


def digest(text: str, particulars: str, control_label: str) -> bytes:
    """Content-address a notice: SHA-256 over all of it, as `shown` writes it."""
    return hashlib.sha256(shown(text, particulars, control_label).encode()).digest()


def check_own_word(by: Actor) -> None:
    """Refuse to let anybody but the customer speak by her mailbox or her portal (promise 7)."""
    if by.kind is not ActorKind.customer:
        raise NotHerWord


def check_basis(basis: Basis, status: Status) -> None:
    """Refuse a consent for a purpose that rests on none, and a sale for one that asks for it."""
    soft = basis is Basis.soft_opt_in
    if status is Status.unobjected and not soft:
        raise NotSoftOptIn
    if status in {Status.given, Status.renewed} and soft:
        raise NotConsent


# What nobody said: it followed from something else.
_BY_ITSELF = frozenset({Method.expiry, Method.retirement, Method.new_address, Method.merge})


def expression(basis: Basis, status: Status, method: Method) -> str:
    """Name how the will was expressed, as ISO/IEC TS 27560 does: implied, expressed or explicit."""
    if status is Status.unobjected or method in _BY_ITSELF:
        return "implied"
    if basis is Basis.explicit_consent and status in {Status.given, Status.renewed}:
        return "explicit"
    return "expressed"


def check_instant(at: datetime, now: datetime) -> datetime:
    """Return an instant at which somebody can have decided: not to come, and not before 1990."""
    if at > now + _SKEW or at < _EARLIEST:
        sentence = "A decision was made between 1990 and now."
        raise Invalid(sentence, [Problem("at", sentence)])
    return min(at, now)


def check_clock(last: datetime | None, now: datetime) -> None:
    """Refuse with ClockBehind to put a yes before what was recorded last, by the server's clock."""
    if last is not None and last > now + _SKEW:
        raise ClockBehind
