"""What the service answers: service messages. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class ServiceMessage(Struct, frozen=True, kw_only=True):
    """Where a message stands; `code` and `reply` are what the relay said last."""

    id: UUID
    customer_id: UUID
    purpose: str
    reference: str | None
    state: str
    attempts: int
    code: int | None
    reply: str | None
    created_at: datetime
    next_at: datetime | None
    done_at: datetime | None
    bounced_at: datetime | None
    bounce_code: str | None


class ServicePurpose(Struct, frozen=True, kw_only=True):
    """What service messages are for: an order, a password, a delivery."""

    name: str
    label: str
    purpose: str
    basis: str
    declared_at: datetime
