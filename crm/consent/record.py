"""The canonical bytes of a consent event, and the commitment that stands for them for ever.

The bytes are JSON by RFC 8785. Keys are ASCII and values are text, whole numbers, booleans and
objects of those, for which a sorted encoder writes just these bytes; a test compares the two.
docs/verify.md tells strangers what each member means; version 1 has fewer of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from crm.consent.model import (
    CitedNotice,
    CitedVersion,
    ConsentEvent,
    NewEvent,
    OptIn,
    expression,
)
from crm.consent.states import OWN_WORD, Basis, Method, Status
from crm.events import Actor, ActorKind

_DOMAIN = b"firsthand/consent/v1"
_LARGEST = 2**53 - 1
# A tuple, because an import asks for every value: a union of types takes ten times as long.
_PLAIN = (bool, str)
_encode = msgspec.json.Encoder(order="sorted").encode
_VERSION = 2


class Place(Struct, frozen=True, gc=False):
    """What is known of an event besides what was decided: its id, its record, what it follows."""

    event_id: UUID
    record_id: UUID
    supersedes: UUID | None


def canonical(
    business_id: UUID, place: Place, event: NewEvent, by: Actor, recorded_at: datetime
) -> bytes:
    """Write one event as RFC 8785 JSON; a value JSON cannot hold exactly is our bug."""
    [written] = canonicals(business_id, [(place, event)], by, recorded_at)
    return written


def canonicals(
    business_id: UUID,
    decided: Iterable[tuple[Place, NewEvent]],
    by: Actor,
    recorded_at: datetime,
) -> list[bytes]:
    """Write many events of one business and actor, at one instant."""
    shared: dict[str, Any] = {
        "actor": {"id": str(by.id) if by.id else "", "kind": by.kind.value},
        "business": str(business_id),
        "recorded_at": instant(recorded_at),
        "version": _VERSION,
    }
    return [_encode(shared | _said(place, event)) for place, event in decided]


def _said(place: Place, event: NewEvent) -> dict[str, Any]:
    check_evidence(event.evidence)
    purpose = event.purpose
    written: dict[str, Any] = {
        "at": instant(event.at),
        "basis": purpose.basis.value,
        "customer": str(event.customer_id),
        "event": str(place.event_id),
        "evidence": event.evidence,
        "jurisdiction": event.jurisdiction,
        "method": event.method.value,
        "purpose": _purpose(purpose),
        "record": str(place.record_id),
        "request": event.request,
        "status": event.status.value,
        "supersedes": str(place.supersedes) if place.supersedes else "",
        "type": expression(purpose.basis, event.status, event.method),
        "valid_until": instant(event.valid_until) if event.valid_until else "",
    }
    return written | _shown(event) | _confirmed(event)


# An import cites the same for every row.
@lru_cache(maxsize=64)
def _purpose(cited: CitedVersion) -> dict[str, Any]:
    return {
        "id": str(cited.purpose_id),
        "sha256": cited.sha256.hex(),
        "version": cited.version,
    }


@lru_cache(maxsize=64)
def _notice(cited: CitedNotice) -> dict[str, Any]:
    return {
        "id": str(cited.id),
        "language": cited.locale,
        "sha256": cited.sha256.hex(),
        "version": cited.version,
    }


def _shown(event: NewEvent) -> dict[str, Any]:
    """What was on the page: text, control and form; nothing where nothing was shown."""
    written: dict[str, Any] = {}
    if event.notice is not None:
        written["notice"] = _notice(event.notice)
        written["control"] = {"label": event.notice.control_label}
        ours = event.method in OWN_WORD or event.method is Method.web_form
        if ours and "handed_in_by" not in event.evidence:
            # Nothing is chosen beforehand on any form of ours (Planet49, C-673/17); how others
            # were, we have not seen.
            written["control"]["default"] = False
    if event.form is not None:
        sha256 = event.form.sha256.hex() if event.form.sha256 else ""
        written["form"] = {"id": event.form.id, "page": event.form.page, "sha256": sha256}
    return written


def _confirmed(event: NewEvent) -> dict[str, Any]:
    if event.opt_in is None:
        return {}
    said = {
        "confirmed_at": instant(event.opt_in.confirmed_at),
        "mailed_at": instant(event.opt_in.mailed_at),
        "message_id": event.opt_in.message_id,
        "proof": str(event.opt_in.proof_id),
        "way": event.opt_in.way,
    }
    return {"opt_in": said}


def commitment(salt: bytes, record: bytes) -> bytes:
    """Commit to a record: SHA-256 over a domain tag, 32 bytes of salt, and the bytes.

    Without the salt, which erasure deletes, the commitment says nothing about anybody.
    """
    return hashlib.sha256(_DOMAIN + salt + record).digest()


def instant(at: datetime) -> str:
    """Write an instant as RFC 3339 in UTC with microseconds, always the same length."""
    # Five times as fast as strftime, which also forgets the zeros of early years.
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def check_evidence(evidence: dict[str, object]) -> None:
    """Refuse keys and values that RFC 8785 and a plain sorted encoder would write differently."""
    for key, value in evidence.items():
        if not key.isascii():
            message = "evidence keys are ASCII"
            raise ValueError(message)
        if isinstance(value, _PLAIN):
            continue
        if isinstance(value, dict):
            check_evidence(value)
        elif not isinstance(value, int) or abs(value) > _LARGEST:
            message = "evidence values are text, whole numbers below 2^53, and booleans"
            raise ValueError(message)


def read(record: bytes) -> ConsentEvent:
    """Read an event back from its sealed bytes, of whatever version."""
    said: dict[str, Any] = msgspec.json.decode(record)
    if said["version"] == 1:
        said = _as_version_2(said)
    notice, form = said.get("notice", {}), said.get("form", {})
    return ConsentEvent(
        id=UUID(said["event"]),
        record_id=_id(said["record"]),
        customer_id=UUID(said["customer"]),
        purpose_id=UUID(said["purpose"]["id"]),
        purpose_version=said["purpose"]["version"],
        basis=Basis(said["basis"]),
        status=Status(said["status"]),
        type=said["type"],
        method=Method(said["method"]),
        actor_kind=ActorKind(said["actor"]["kind"]),
        actor_id=_id(said["actor"]["id"]),
        at=datetime.fromisoformat(said["at"]),
        recorded_at=datetime.fromisoformat(said["recorded_at"]),
        valid_until=_instant(said["valid_until"]),
        notice_id=_id(notice.get("id", "")),
        notice_sha256=notice.get("sha256", ""),
        language=notice.get("language", ""),
        control_label=said.get("control", {}).get("label", ""),
        form=form.get("id", ""),
        form_sha256=form.get("sha256", ""),
        page=form.get("page", ""),
        jurisdiction=said["jurisdiction"],
        opt_in=_opt_in(said.get("opt_in")),
        request=said["request"],
        supersedes=_id(said["supersedes"]),
        evidence=said["evidence"],
    )


def _as_version_2(said: dict[str, Any]) -> dict[str, Any]:
    """Complete a record of version 1 with what was always so then."""
    empty = dict.fromkeys(("record", "jurisdiction", "request", "supersedes", "valid_until"), "")
    notice = {"notice": {"id": said["notice"]}} if said["notice"] else {}
    changed = {
        "actor": {"id": said["actor"], "kind": said["actor_kind"]},
        "purpose": {"id": said["purpose"], "version": 1},
        "basis": Basis.consent.value,
        "type": "expressed",
    }
    return {**empty, **said, "notice": {}, **changed, **notice}


def _opt_in(said: dict[str, str] | None) -> OptIn | None:
    if said is None:
        return None
    return OptIn(
        proof_id=UUID(said["proof"]),
        way=said["way"],
        mailed_at=datetime.fromisoformat(said["mailed_at"]),
        confirmed_at=datetime.fromisoformat(said["confirmed_at"]),
        message_id=said["message_id"],
    )


def _id(text: str) -> UUID | None:
    return UUID(text) if text else None


def _instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
