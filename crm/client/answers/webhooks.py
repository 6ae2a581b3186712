"""What the service answers: webhooks. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Acknowledged(Struct, frozen=True, kw_only=True):
    """Since when it is on record that whoever was told has heeded it."""

    acknowledged_at: datetime


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where events are told to, and how it goes there; its secrets are shown once, when made."""

    id: UUID
    name: str
    url: str
    kinds: list[str]
    acknowledges: bool
    state: str
    off_why: str | None
    off_at: datetime | None
    failures: int
    rest_until: datetime | None
    succeeded_at: datetime | None
    version: int
    created_at: datetime
    changed_at: datetime
    waiting: int
    unacknowledged: int
    former_secret_ends_at: datetime | None
    created_by: Maker | None


class Maker(Struct, frozen=True, kw_only=True):
    """The member or the key that made something; `ended_at` once that is let in no more."""

    kind: str
    id: UUID | None
    name: str
    ended_at: datetime | None


class Post(Struct, frozen=True, kw_only=True):
    """What became of one event for one endpoint."""

    number: int
    event_id: UUID
    kind: str
    state: str
    attempts: int
    next_at: datetime | None
    told_at: datetime | None
    done_at: datetime | None
    asks: bool
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class PostSlice(Struct, frozen=True, kw_only=True):
    """PostSlice."""

    rows: list[Post]
    after: str | None


class TrySlice(Struct, frozen=True, kw_only=True):
    """TrySlice."""

    rows: list[Try]
    after: str | None


class Try(Struct, frozen=True, kw_only=True):
    """One time that a post went out: what was answered, or what stood in the way."""

    id: UUID
    event_id: UUID
    kind: str
    at: datetime
    status: int | None
    trouble: str
    millis: int


class WithSecret(Struct, frozen=True, kw_only=True):
    """An endpoint with the secret that was just made for it, which nobody can see again."""

    endpoint: Endpoint
    secret: str
