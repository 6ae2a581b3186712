"""What the service answers: interactions. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Interaction(Struct, frozen=True, kw_only=True):
    """Something that happened between business and customer, and who recorded it."""

    id: UUID
    customer_id: UUID
    kind: str
    label: str
    at: datetime
    title: str
    detail: str
    amount: str | None
    currency: str | None
    actor_kind: str
    actor_name: str
    message_id: str
    in_reply_to: str
    refs: str
    recorded_at: datetime


class InteractionKind(Struct, frozen=True, kw_only=True):
    """A declared kind of interaction: a note, a purchase, a call."""

    name: str
    label: str
    purpose: str
    retention: str
    purpose_id: UUID | None
    declared_at: datetime
