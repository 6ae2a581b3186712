"""What the service answers: privacy. Written by `make calls`."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from msgspec import Struct


class Certificate(Struct, frozen=True, kw_only=True):
    """What an erasure did; `version` rises when its shape changes."""

    format: str = "firsthand/erasure-certificate"
    version: int = 2
    business: Controller
    record: UUID
    erased_at: datetime
    asked_by: str
    stores: list[Store]
    without: list[str]
    stays: list[Stays]
    kept_until: datetime


class Controller(Struct, frozen=True, kw_only=True):
    """Whose copy it is: the business that holds the data."""

    name: str
    legal_name: str
    postal_address: str
    privacy_contact: str
    origin: str


class CopyShown(Struct, frozen=True, kw_only=True):
    """A copy of one customer's record; `file` is there while it is `ready`."""

    id: UUID
    customer_id: UUID
    state: str
    percent: int
    reason: str
    asked_at: datetime
    ready_at: datetime | None
    ends_at: datetime | None
    bytes: int | None
    file: str | None


class Erased(Struct, frozen=True, kw_only=True):
    """Whose record is gone, and since when."""

    customer_id: UUID
    erased_at: datetime


class FreezeEnds(Struct, frozen=True, kw_only=True):
    """When a freeze ends unless she says no, and who said that it should."""

    customer_id: UUID
    told_at: datetime
    due_at: datetime
    actor_kind: str
    actor_id: UUID | None
    actor_name: str


class Logged(Struct, frozen=True, kw_only=True):
    """A request with every step of it."""

    request: Request
    steps: list[Step]


class Request(Struct, frozen=True, kw_only=True):
    """A request as it is now; without her data once she is erased."""

    id: UUID
    kind: str
    state: str
    way: str
    by_itself: bool
    customer_id: UUID | None
    address: str
    name: str
    words: str
    received_on: date
    due_on: date
    extended_on: date | None
    extended_why: str
    proof: str | None
    proved_at: datetime | None
    member: str
    answer: str
    ground: str | None
    created_at: datetime
    closed_at: datetime | None
    keep_until: date | None


class Signed(Struct, frozen=True, kw_only=True):
    """A certificate, and the same signed; nothing where the key cannot be used now."""

    certificate: Certificate
    jws: str


class Standing(Struct, frozen=True, kw_only=True):
    """How a request stands now, and nothing of whose it is: no look at anybody."""

    id: UUID
    kind: str
    state: str
    received_on: date
    due_on: date
    closed_at: datetime | None


class Stays(Struct, frozen=True, kw_only=True):
    """Something that stays: why, until when, and how many; `ends` is the day, where it is known."""

    what: str
    why: str
    until: str
    count: int
    ends: date | None = None


class Step(Struct, frozen=True, kw_only=True):
    """What was done with a request, when and by whom."""

    request_id: UUID
    at: datetime
    what: str
    actor_kind: str
    actor_name: str


class Store(Struct, frozen=True, kw_only=True):
    """A store that the erasure reached, and how many entries went from it."""

    table: str
    what: str
    gone: int
