"""What the service answers: keys. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Key(Struct, frozen=True, kw_only=True):
    """An API key as staff see it: everything but its text, which nobody can see again."""

    id: UUID
    name: str
    scopes: list[str]
    reason: str
    purposes: list[UUID]
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None
    previous_until: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class MadeKey(Struct, frozen=True, kw_only=True):
    """A key with its text, which is in this answer and never in another."""

    key: Key
    text: str


class ThisKey(Struct, frozen=True, kw_only=True):
    """The key a request was made with."""

    id: UUID
    name: str
    scopes: list[str]
    reason: str
    purposes: list[UUID]
    expires_at: datetime | None
    previous_until: datetime | None
