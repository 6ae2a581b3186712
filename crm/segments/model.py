"""Segments: saved rules that select customers, and what is wrong with one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from crm.customers import AttributeType
from crm.errors import Conflict, Invalid, NotFound

# As many as staff can still tell apart; a loop that writes them is stopped here.
MOST_SEGMENTS = 500

Name = Annotated[str, Meta(min_length=1, max_length=200)]

# As JSON has it; `reading.py` says what is wrong with it.
Written = dict[str, Any]


class UnknownSegment(NotFound):
    """There is no such segment."""


class BadRule(Invalid):
    """This rule cannot be asked; each problem says where in it."""


class NameTaken(Conflict):
    """There is a segment of this name already."""


class SegmentInUse(Conflict):
    """A campaign that has not started goes to this segment. Change the campaign first."""


class TooManySegments(Conflict):
    """A business has five hundred segments at most. Remove one that is not needed first."""


class SegmentStale(Conflict):
    """Somebody has changed this segment since you read it. Read it again and decide anew."""


class NewSegment(Struct, kw_only=True, forbid_unknown_fields=True):
    """A name for staff, and the rule."""

    name: Name
    rule: Written


class Segment(Struct, frozen=True, kw_only=True):
    """A saved rule that selects customers. A campaign keeps it as it was at its start."""

    id: UUID
    name: str
    rule: Written
    version: int
    created_at: datetime
    changed_at: datetime


class Asked(Struct, kw_only=True, forbid_unknown_fields=True):
    """A rule to count by, which need not be saved."""

    rule: Written


class Counted(Struct, frozen=True, kw_only=True):
    """How many customers a rule selects, and some of them: always the same ones of the same."""

    customers: int
    sample: list[UUID]


class Field(Struct, frozen=True):
    """An attribute, a tag or a kind; with a purpose, it counts for whoever allows that now."""

    name: str
    label: str
    type: AttributeType | None
    purpose_id: UUID | None


class Choice(Struct, frozen=True):
    """A purpose or campaign that a rule may name."""

    id: UUID
    label: str


class Vocabulary(Struct, frozen=True, kw_only=True):
    """Everything of one business that a rule may name."""

    attributes: dict[str, Field]
    tags: dict[str, Field]
    kinds: dict[str, Field]
    purposes: dict[UUID, str]
