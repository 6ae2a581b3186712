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


class Differences(Struct, frozen=True, kw_only=True):
    """What comes of the details and tags of a record that goes, by what they are called."""

    taken: list[str]
    dropped: list[str]
    conflicts: list[Disagreement]


class Disagreement(Struct, frozen=True, kw_only=True):
    """Something of which each record says another thing; what is kept stays."""

    label: str
    kept: str
    gone: str


class Merged(Struct, frozen=True, kw_only=True):
    """That two records became one: what of purposes and details came of it, by name."""

    kept_id: UUID
    gone_id: UUID
    merged_at: datetime
    version: int
    ended: list[str]
    left_behind: list[str]
    taken: list[str]
    dropped: list[str]
    conflicts: list[str]


class Offer(Struct, frozen=True, kw_only=True):
    """A digest that a customer can choose, and whether she has."""

    purpose_id: UUID
    purpose: str
    due_at: datetime
    chosen: bool


class Plan(Struct, frozen=True, kw_only=True):
    """What a merge at this moment would come to.

    Purposes by name, details by what they are called.
    """

    kept_id: UUID
    gone_id: UUID
    hindrance: str
    ends: list[str]
    closed: list[str]
    left_behind: list[str]
    stays: list[str]
    objection: bool
    details: Differences
    interactions: int
    mails: int
    decisions: int
    rhythm: Wanted


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


class Wanted(Struct, frozen=True, kw_only=True):
    """At most so many mails a week, and none before an instant; None: no limit, no pause."""

    budget: int | None = None
    paused_until: datetime | None = None
