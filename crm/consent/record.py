"""The canonical bytes of a consent event, and the commitment that stands for them for ever.

The bytes are JSON by RFC 8785. Keys are ASCII and values are text, whole numbers, booleans and
objects of those, for which a sorted encoder writes just these bytes; a test compares the two.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from crm.consent.model import NewEvent
from crm.events import Actor

_DOMAIN = b"firsthand/consent/v1"
_LARGEST = 2**53 - 1
# A tuple, because an import asks for every value: a union of types takes ten times as long.
_PLAIN = (bool, str)
_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(
    business_id: UUID, event_id: UUID, event: NewEvent, by: Actor, recorded_at: datetime
) -> bytes:
    """Write one event as RFC 8785 JSON; a value JSON cannot hold exactly is our bug."""
    check_evidence(event.evidence)
    return _encode(
        {
            "actor": str(by.id) if by.id else "",
            "actor_kind": by.kind.value,
            "at": instant(event.at),
            "business": str(business_id),
            "customer": str(event.customer_id),
            "event": str(event_id),
            "evidence": event.evidence,
            "method": event.method.value,
            "notice": str(event.notice_id) if event.notice_id else "",
            "purpose": str(event.purpose_id),
            "recorded_at": instant(recorded_at),
            "status": event.status.value,
            "version": 1,
        }
    )


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
        if isinstance(value, dict):
            check_evidence(value)
        elif isinstance(value, _PLAIN):
            continue
        elif not isinstance(value, int) or abs(value) > _LARGEST:
            message = "evidence values are text, whole numbers below 2^53, and booleans"
            raise ValueError(message)
