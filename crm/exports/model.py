"""What a line of the export says of a customer."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from crm.consent import Method, Status
from crm.customers import Source


class Decided(Struct, frozen=True, kw_only=True):
    """Where a customer stands for one purpose, and since when.

    Of a yes, `opted_in_at` is when it was asked for and `confirmed_at` when her mailbox confirmed
    it, here or at a former tool: what an import elsewhere takes for evidence.
    """

    status: Status
    method: Method
    at: datetime
    # When it ends by its own time or with its version, whichever is first; null: never.
    ends_at: datetime | None
    # Whether she may be contacted on it now, and why not.
    authorises: bool
    reason: str | None
    opted_in_at: datetime | None
    confirmed_at: datetime | None


class CustomerLine(Struct, frozen=True, kw_only=True):
    """A customer in the export, with attributes and tags by their names.

    `consents`, by the short names of purposes, and `suppressed`, why nothing is sent to the
    address, are there for a key that has `consents:read`.
    """

    id: UUID
    address: str
    name: str
    locale: str
    time_zone: str
    external_id: str | None
    source: Source
    version: int
    created_at: datetime
    changed_at: datetime
    # Art. 18 GDPR: kept, and used for nothing.
    restricted_at: datetime | None
    attributes: dict[str, str | int | float | bool]
    tags: list[str]
    suppressed: str | UnsetType | None = UNSET
    consents: dict[str, Decided] | UnsetType = UNSET


class Reading(Struct, frozen=True):
    """What is read of each: for one purpose or for every, with what she decided or without."""

    purpose_id: UUID | None
    consents: bool
