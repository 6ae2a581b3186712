"""Consent that ages: it ends by its own time or with its version, unless she says it again.

Silence ends it. What has ended allows nothing from that instant on; the event that says so is
written soon after, by a job.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from msgspec import Struct

from crm.consent.appending import append_many
from crm.consent.model import CitedVersion, Consent, NewEvent
from crm.consent.states import Basis, Method, Status
from crm.db import Db, ReadDb, Statements
from crm.events import Actor

sql = Statements("consent")

_LAPSED_AT_ONCE = 1000


class Ageing(Struct, frozen=True, kw_only=True):
    """How many consents to one purpose stand, and how many of them end when."""

    purpose_id: UUID
    standing: int
    endless: int
    within_30: int
    within_60: int
    within_90: int
    # To a version that another has replaced.
    stale: int
    # In the 30 days past.
    lapsed: int


class Month(Struct, frozen=True):
    """How many consents to one purpose end in a month, which its first day names."""

    purpose_id: UUID
    month: date
    ending: int


class _Ended(Struct, frozen=True, kw_only=True):
    customer_id: UUID
    purpose_id: UUID
    purpose_version: int
    basis: Basis
    sha256: bytes
    record_id: UUID
    status: Status
    method: Method
    event_id: UUID
    notice_id: UUID | None
    at: datetime
    ends_at: datetime
    stale_at: datetime | None
    # The purpose is in use no more.
    retired: bool

    @property
    def state(self) -> Consent:
        """The state that ends."""
        return Consent(**{name: getattr(self, name) for name in Consent.__struct_fields__})


async def lapse(db: Db) -> int:
    """Record of the next consents that their time is over; return of how many, not of the erased.

    Those to a purpose that is in use no more are revoked, by us; the others have expired.

    Two at once take different ones, and a second time finds nothing.
    """
    ended = await db.many(sql.ended, _Ended, limit=_LAPSED_AT_ONCE)
    return await append_many(db, Actor.system(), [(_event(each), each.state) for each in ended])


async def ages(db: ReadDb) -> list[Ageing]:
    """Return for each purpose in use how its consents age."""
    return await db.many(sql.ageing, Ageing)


async def ending_by_month(db: ReadDb) -> list[Month]:
    """Return how many consents end in each of twelve months, this one first, where any end."""
    return await db.many(sql.ending_by_month, Month)


def _event(ended: _Ended) -> NewEvent:
    return NewEvent(
        customer_id=ended.customer_id,
        status=Status.revoked if ended.retired else Status.expired,
        method=Method.retirement if ended.retired else Method.expiry,
        at=ended.ends_at,
        purpose=CitedVersion(ended.purpose_id, ended.purpose_version, ended.basis, ended.sha256),
    )
