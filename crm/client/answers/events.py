"""What the service answers: events. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened; `ref` is what it is about besides the customer."""

    id: UUID
    at: datetime
    kind: str
    actor_kind: str
    actor_id: UUID | None
    actor_name: str
    customer_id: UUID | None
    ref: UUID | None
    reason: str


class EventSlice(Struct, frozen=True, kw_only=True):
    """EventSlice."""

    rows: list[Event]
    after: str | None
