"""What comes of two records that become one, and why some may not."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.customers import Customer, Differences
from crm.errors import Conflict, Invalid
from crm.rhythm import Wanted


class SameRecord(Invalid):
    """These are one record already. Name another one."""


class NotMergeable(Conflict):
    """These two records cannot be merged now."""


class Side(Struct, frozen=True, kw_only=True):
    """One of two records, with what may stand against a merge."""

    customer: Customer
    leaving: bool
    # Requests under the law that have no answer yet.
    requests: int


class Plan(Struct, frozen=True, kw_only=True):
    """What a merge at this moment would come to; purposes by name, details by what they are called.

    `hindrance` says why it would be refused and what to do; empty where it would not.
    """

    kept_id: UUID
    gone_id: UUID
    hindrance: str
    # On now, and off from then on, because the other record says no.
    ends: list[str]
    # Off from then on, though they were never on.
    closed: list[str]
    # On in the record that goes alone: said for another address, they do not move.
    left_behind: list[str]
    stays: list[str]
    # What she said in the record that goes against all advertising holds for the kept address.
    objection: bool
    details: Differences
    interactions: int
    # Newsletters and letters that went to the record that goes; they stay, and are read with hers.
    mails: int
    decisions: int
    rhythm: Wanted


class Merged(Struct, frozen=True, kw_only=True):
    """That two records became one: what of purposes and details came of it, by name."""

    kept_id: UUID
    gone_id: UUID
    merged_at: datetime
    # Of the record that is kept, for If-Match.
    version: int
    ended: list[str]
    left_behind: list[str]
    taken: list[str]
    dropped: list[str]
    # Of which each record said another thing: what the kept one said stays.
    conflicts: list[str]


def hindrance(kept: Side, gone: Side) -> str:
    """Say why two records may not be merged, and what to do; empty where they may."""
    for side, which in ((kept, "that is kept"), (gone, "that goes")):
        if side.leaving:
            return (
                f"The record {which} waits for its deletion, which only the customer calls off. "
                "Leave both as they are until that day."
            )
        if side.customer.restricted_at is not None:
            return (
                f"The record {which} is frozen: it is kept as it is, and used for nothing. "
                "Have the freeze end first, and then merge."
            )
        if side.requests:
            return (
                f"The record {which} has a privacy request without an answer. "
                "Answer it first: until then both stay what they are."
            )
    return ""
