"""What the service answers: shared. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct


class ConsentEvent(Struct, frozen=True, kw_only=True):
    """One decision, as its sealed record says.

    `at` is when it was made, `recorded_at` when kept.
    """

    id: UUID
    record_id: UUID | None
    customer_id: UUID
    purpose_id: UUID
    purpose_version: int
    basis: str
    status: str
    type: str
    method: str
    actor_kind: str
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


class OptIn(Struct, frozen=True, kw_only=True):
    """The two instants of a mailbox's own word, and the mail between them."""

    proof_id: UUID
    way: str
    mailed_at: datetime
    confirmed_at: datetime
    message_id: str = ""
