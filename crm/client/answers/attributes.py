"""What the service answers: attributes. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Attribute(Struct, frozen=True, kw_only=True):
    """A declared field on customers (promise 13)."""

    name: str
    label: str
    type: str
    purpose: str
    basis: str | None
    origin: str
    retention: str
    hers: bool
    purpose_id: UUID | None
    not_allowed: str
    declared_at: datetime


class AttributeValue(Struct, frozen=True, kw_only=True):
    """One detail we hold of a customer, with what for, from where and until when."""

    name: str
    label: str
    type: str
    value: str | int | float | bool
    purpose: str
    basis: str | None = None
    origin: str = ""
    retention: str
    hers: bool
    source: str
    set_at: datetime
    ends_at: datetime
    ends_with: str


class SetAttributes(Struct, frozen=True, kw_only=True):
    """What a change of attributes came to."""

    dropped: list[str]
    attributes: list[AttributeValue] | None
