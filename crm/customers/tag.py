"""A tag: a declared word on a customer, with what it is for, and its end."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.customers.retention import ends, retention
from crm.customers.text import Duration, Label, Sentence
from crm.errors import NotFound


class UnknownTag(NotFound):
    """There is no tag of that name; declare it first, with its purpose and retention."""


class NewTag(Struct, kw_only=True, forbid_unknown_fields=True):
    """A declaration: how the word reads, what it is for, and how long it stays on a customer."""

    label: Label
    purpose: Sentence
    retention: Duration
    # The purpose that it ends with, for each customer, whatever time is left.
    purpose_id: UUID | None = None


class Tag(Struct, frozen=True, kw_only=True):
    """A declared tag (promise 13)."""

    name: str
    label: str
    purpose: str
    retention: str
    purpose_id: UUID | None
    declared_at: datetime

    @property
    def kept_for(self) -> str:
        """The retention in words."""
        return retention(self.retention).words()


class TagRow(Struct, frozen=True, kw_only=True):
    """A tag of a customer as the database keeps it, beside its declaration."""

    name: str
    label: str
    purpose: str
    retention: str
    source: str
    set_at: datetime
    ends_with: str

    def held(self) -> HeldTag:
        """Compute its end."""
        return HeldTag(
            name=self.name,
            label=self.label,
            purpose=self.purpose,
            retention=self.retention,
            source=self.source,
            set_at=self.set_at,
            ends_at=ends(self.set_at, self.retention),
            ends_with=self.ends_with,
        )


class HeldTag(Struct, frozen=True, kw_only=True):
    """A tag that a customer has, with what for, from whom and until when.

    `source` is who put it on: member, key or import; empty where it was none of them.
    """

    name: str
    label: str
    purpose: str
    retention: str
    source: str
    set_at: datetime
    ends_at: datetime
    # The name of the purpose that it ends with, whatever time is left; empty where there is none.
    ends_with: str
