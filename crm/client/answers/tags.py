"""What the service answers: tags. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class HeldTag(Struct, frozen=True, kw_only=True):
    """A tag that a customer has, with what for, from whom and until when."""

    name: str
    label: str
    purpose: str
    retention: str
    source: str
    set_at: datetime
    ends_at: datetime
    ends_with: str


class Tag(Struct, frozen=True, kw_only=True):
    """A declared tag (promise 13)."""

    name: str
    label: str
    purpose: str
    retention: str
    purpose_id: UUID | None
    declared_at: datetime
