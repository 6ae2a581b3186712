"""One decision: looked at once, judged by rule, and appended whole in one statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct, field

from crm import customers, events
from crm.consent import network
from crm.consent.grounds import (
    SALE,
    WITHOUT_MAILBOX,
    EvidenceKind,
    EvidenceNotAccepted,
    check_foreign_evidence,
    kind_of,
)
from crm.consent.model import (
    CitedNotice,
    CitedVersion,
    Consent,
    ConsentEvent,
    Form,
    Network,
    NewEvent,
    NoticeMismatch,
    OptIn,
    PurposeRetired,
    Silenced,
    SoftOptInOff,
    UnknownNotice,
    UnknownPurpose,
    VersionEnded,
    check_basis,
    check_clock,
    check_own_word,
)
from crm.consent.places import offer_places
from crm.consent.record import Place, canonical, commitment, read
from crm.consent.states import (
    AUTHORISES,
    OPTED_OUT,
    OWN_WORD,
    Basis,
    Method,
    NotHerWord,
    OptOutStands,
    Status,
    announced,
    check_transition,
    moves,
)
from crm.customers import UnknownCustomer
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.ids import instant_of, opaque, secret, time_ordered
from crm.journal import Decision, Withdrawn

sql = Statements("consent")

_NOTHING = UUID(int=0)
TOLD = {
    Status.unknown: Kind.consent_unproven,
    Status.requested: Kind.consent_requested,
    Status.deferred: Kind.consent_deferred,
    Status.given: Kind.consent_given,
    Status.renewed: Kind.consent_given,
    Status.refused: Kind.consent_refused,
    Status.withdrawn: Kind.consent_withdrawn,
    Status.revoked: Kind.consent_revoked,
    Status.expired: Kind.consent_expired,
    Status.invalidated: Kind.consent_invalidated,
    Status.unobjected: Kind.soft_opt_in_recorded,
}


class Circumstances(Struct, frozen=True):
    """How a decision came: by which way, when (now where not said), and what it rests on."""

    method: Method
    at: datetime | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    form: Form | None = None
    opt_in: OptIn | None = None
    # Where the customer lives, as far as she said; else where the business is.
    jurisdiction: str = ""
    # What asked for it: a sign-up, a campaign, a request of a program.
    request: str = ""
    # Kept only where the business does so.
    network: Network | None = None


class _Appended(Struct, frozen=True):
    """Whether the state moved, and whether what ended may have held a place of her week."""

    moved: bool
    frees: bool


class Wish(Struct, frozen=True):
    """What was decided, by whom and about which text."""

    customer_id: UUID
    purpose_id: UUID
    status: Status
    notice_id: UUID | None


class Asked(Struct, frozen=True, kw_only=True):
    """All that a decision is judged by, as it stands; the state is held until it is written."""

    known: bool
    # The record that hers was merged into.
    merged_into: UUID | None
    silenced: bool
    retired_at: datetime | None
    double_opt_in: bool
    purpose_id: UUID
    purpose_version: int
    basis: Basis
    validity: str
    purpose_sha256: bytes
    # When a yes to that version ends, where another has replaced it.
    version_ends_at: datetime | None
    soft_opt_in: bool
    country: str
    keeps_network: bool
    network_days: int
    notice_id: UUID | None
    notice_version: int | None
    locale: str | None
    control_label: str | None
    notice_sha256: bytes | None
    accepts: frozenset[EvidenceKind] | None
    record_id: UUID | None
    status: Status | None
    method: Method | None
    event_id: UUID | None
    # Since when the state stands, and the version it rests on.
    state_at: datetime | None
    state_version: int | None

    def overtakes(self, at: datetime) -> bool:
        """Say whether the yes that stands is newer than that, or to a later version."""
        if self.status not in AUTHORISES or self.state_at is None:
            return False
        return self.state_at > at or (self.state_version or 0) > self.purpose_version

    @property
    def version(self) -> CitedVersion:
        """The version of the purpose that the decision is about."""
        return CitedVersion(self.purpose_id, self.purpose_version, self.basis, self.purpose_sha256)

    @property
    def notice(self) -> CitedNotice | None:
        """The text that was shown, if one was."""
        if self.notice_id is None:
            return None
        return CitedNotice(
            self.notice_id,
            self.notice_version or 0,
            self.locale or "",
            self.control_label or "",
            self.notice_sha256 or b"",
        )


async def held(db: Db, customer_id: UUID, purpose_id: UUID, notice_id: UUID | None) -> Asked:
    """Look at everything in one statement; UnknownPurpose, UnknownNotice, NoticeMismatch."""
    asked = await db.maybe(
        sql.asked, Asked, customer_id=customer_id, purpose_id=purpose_id, notice_id=notice_id
    )
    if asked is None:
        raise UnknownPurpose
    if notice_id is not None and asked.notice_id is None:
        there = await db.maybe(sql.notice_place, UUID, notice_id=notice_id)
        raise NoticeMismatch if there else UnknownNotice
    return asked


async def decide(db: Db, by: Actor, wish: Wish, circumstances: Circumstances) -> ConsentEvent:
    """Judge a decision by what is known now, and append it."""
    asked = await held(db, wish.customer_id, wish.purpose_id, wish.notice_id)
    if not asked.known:
        raise UnknownCustomer
    wish = msgspec.structs.replace(wish, status=announced(asked.status, wish.status))
    _judge(by, wish, circumstances, asked, db.now)
    return await append(db, by, wish, circumstances, asked)


async def append(
    db: Db, by: Actor, wish: Wish, circumstances: Circumstances, asked: Asked
) -> ConsentEvent:
    """Write a decision that was judged: stub, record, entry to be sealed, state and event."""
    place = Place(time_ordered(), asked.record_id or opaque(), asked.event_id)
    event = _event(db, wish, circumstances, asked)
    salt, record = secret(), canonical(db.business_id, place, event, by, db.now)
    yes = wish.status in AUTHORISES
    overtaken = asked.overtakes(event.at)
    moving = moves(asked.status, wish.status, circumstances.method, overtaken=overtaken)
    appended = await db.one(
        sql.append_event,
        _Appended,
        **_columns(event, place),
        commitment=commitment(salt, record),
        warrants=asked.notice_id if yes else _NOTHING,
        salt=salt,
        canonical=record,
        moves=moving,
        **events.told(by, TOLD[wish.status]),
    )
    if yes and moving and not appended.moved and await _opted_out(db, wish):
        # Somebody opted out between our look and this statement; nothing of this is kept.
        raise OptOutStands
    if appended.frees:
        offer_places(db, [wish.customer_id])
    if wish.status in OPTED_OUT:
        ended = Decision(wish.customer_id, wish.purpose_id, wish.status, circumstances.method)
        db.note(Withdrawn([ended]))
    if asked.keeps_network and circumstances.network is not None:
        kept = [(place.event_id, wish.customer_id, circumstances.network)]
        await network.keep(db, kept, days=asked.network_days)
    return read(record)


async def _opted_out(db: ReadDb, wish: Wish) -> bool:
    """Look again at a state that did not move: a newer or stronger yes may have come as well."""
    found = await db.maybe(
        sql.consent_state, Consent, customer_id=wish.customer_id, purpose_id=wish.purpose_id
    )
    return found is not None and found.status in OPTED_OUT


def _columns(event: NewEvent, place: Place) -> dict[str, Any]:
    """What the row says besides its canonical bytes, for constraints and look-ups."""
    return {
        "event_id": place.event_id,
        "record_id": place.record_id,
        "customer_id": event.customer_id,
        "purpose_id": event.purpose.purpose_id,
        "purpose_version": event.purpose.version,
        "basis": event.purpose.basis,
        "notice_id": event.notice.id if event.notice else None,
        "status": event.status,
        "method": event.method,
        "at": event.at,
        "valid_until": event.valid_until,
        "evidence_kind": kind_of(event.evidence),
        "proof_id": event.opt_in.proof_id if event.opt_in else None,
    }


def _judge(
    by: Actor, wish: Wish, circumstances: Circumstances, asked: Asked, now: datetime
) -> None:
    """Refuse what may not be recorded, each with its own reason."""
    check_transition(asked.status, wish.status, circumstances.method)
    if wish.status not in AUTHORISES:
        return
    _check_open(asked, now)
    check_basis(asked.basis, wish.status)
    check_clock(instant_of(asked.event_id) if asked.event_id else None, now)
    if circumstances.method in OWN_WORD:
        check_own_word(by)
        if circumstances.opt_in is None:
            raise NotHerWord
        return
    if asked.silenced:
        raise Silenced
    if wish.status is Status.unobjected:
        if not asked.soft_opt_in:
            raise SoftOptInOff
        return
    if circumstances.evidence.get("kind") == SALE:
        raise EvidenceNotAccepted
    accepts = asked.accepts or frozenset()
    if asked.double_opt_in:
        # Also where it was published before the purpose asked for the mailbox.
        accepts -= WITHOUT_MAILBOX
    check_foreign_evidence(asked.notice_version or 0, accepts, circumstances.evidence)


def _check_open(asked: Asked, now: datetime) -> None:
    """Refuse a yes that would allow nothing: to what is out of use, or by words that ended."""
    if asked.retired_at is not None:
        raise PurposeRetired
    if asked.version_ends_at is not None and asked.version_ends_at <= now:
        raise VersionEnded


def _event(db: Db, wish: Wish, circumstances: Circumstances, asked: Asked) -> NewEvent:
    at = circumstances.at or db.now
    yes = wish.status in AUTHORISES
    return NewEvent(
        customer_id=wish.customer_id,
        status=wish.status,
        method=circumstances.method,
        at=at,
        purpose=asked.version,
        notice=asked.notice,
        evidence=circumstances.evidence,
        form=circumstances.form,
        opt_in=circumstances.opt_in,
        jurisdiction=circumstances.jurisdiction or asked.country,
        request=circumstances.request,
        valid_until=customers.ends(at, asked.validity) if yes and asked.validity else None,
    )
