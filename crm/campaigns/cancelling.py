"""Leaves out whoever still waits in a cancelled campaign, range by range.

From the moment the campaign is cancelled nothing more is claimed; each range is then settled in a
transaction of its own. Withdrawals wait for one range at most, and the sums hold at each moment.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from crm import consent
from crm.db import Db, Statements

sql = Statements("campaigns")


class Range(Struct, frozen=True):
    """A range in which somebody still waits."""

    number: int
    low: UUID
    high: UUID


class _Cancelled(Struct, frozen=True):
    """How many were taken out, and of them whoever gets only so many mails in a week."""

    customers: int
    limited: list[UUID]


async def clear_range(db: Db, campaign_id: UUID) -> bool:
    """Exclude what waits in one more range; False when no range is left or free now."""
    found = await db.maybe(sql.lease_to_clear, Range, campaign_id=campaign_id)
    if found is None:
        return False
    bounds = {"campaign_id": campaign_id, "low": found.low, "high": found.high}
    cancelled = await db.one(sql.cancel_deliveries, _Cancelled, **bounds)
    await db.run(sql.drop_retries, **bounds)
    await db.run(
        sql.count_cancelled,
        campaign_id=campaign_id,
        number=found.number,
        customers=cancelled.customers,
    )
    consent.offer_places(db, cancelled.limited)
    return True
