"""What the service answers: customers. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Attention(Struct, frozen=True, kw_only=True):
    """Everything about a customer's rhythm at this moment."""

    rhythm: Rhythm
    week: Week
    deferred: list[Waiting]
    digests: list[Offer]


class Customer(Struct, frozen=True, kw_only=True):
    """A person with a direct relationship to the business; after erasure an empty tombstone."""

    id: UUID
    address: str
    name: str
    locale: str
    time_zone: str
    external_id: str | None
    source: str
    version: int
    created_at: datetime
    changed_at: datetime
    restricted_at: datetime | None
    erased_at: datetime | None


class CustomerLine(Struct, frozen=True, kw_only=True):
    """A customer in the export, with attributes and tags by their names."""

    id: UUID
    address: str
    name: str
    locale: str
    time_zone: str
    external_id: str | None
    source: str
    version: int
    created_at: datetime
    changed_at: datetime
    restricted_at: datetime | None
    attributes: dict[str, str | int | float | bool]
    tags: list[str]
    suppressed: str | None = None
    consents: dict[str, Decided] | None = None


class Decided(Struct, frozen=True, kw_only=True):
    """Where a customer stands for one purpose, and since when."""

    status: str
    method: str
    at: datetime
    ends_at: datetime | None
    authorises: bool
    reason: str | None
    opted_in_at: datetime | None
    confirmed_at: datetime | None


class Offer(Struct, frozen=True, kw_only=True):
    """A digest that a customer can choose, and whether she has."""

    purpose_id: UUID
    purpose: str
    due_at: datetime
    chosen: bool


class Rhythm(Struct, frozen=True, kw_only=True):
    """What she said, and when; nothing where she never did."""

    budget: int | None = None
    paused_until: datetime | None = None
    changed_at: datetime | None = None


class Week(Struct, frozen=True, kw_only=True):
    """Her calendar week, Monday to Monday by her clock; `taken` counts the campaigns in it."""

    begins_at: datetime
    ends_at: datetime
    taken: int


class Waiting(Struct, frozen=True, kw_only=True):
    """A campaign that waits for her: why, until when, and whether it is too late by then."""

    campaign_id: UUID
    subject: str
    purpose_id: UUID
    waits_for: str
    until: datetime
    lapses: bool
