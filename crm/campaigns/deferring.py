"""What waits because of a customer's rhythm: shown to her, and judged anew when that changes."""

from __future__ import annotations

from uuid import UUID

from crm.campaigns.model import Deferred
from crm.db import Db, ReadDb, Statements

sql = Statements("campaigns")

# What a delivery says it waits for, and is left out for where that lasts too long.
RHYTHM = frozenset({"budget", "pause"})


async def deferred(db: ReadDb, customer_id: UUID) -> list[Deferred]:
    """Return which campaigns wait for a customer because of her rhythm, the newest first."""
    return await db.many(sql.deferred_of_customer, Deferred, customer_id=customer_id)


async def hold_ranges_of(db: Db, customer_id: UUID) -> None:
    """Let nothing of hers be claimed before this transaction ends."""
    await db.many(sql.lock_leases_of, UUID, customer_id=customer_id)


async def waiting_for_places(db: ReadDb, customer_ids: list[UUID]) -> list[UUID]:
    """Return for whom of them another campaign waits until there is a place in her week."""
    if not customer_ids:
        return []
    return await db.many(sql.deferred_among, UUID, customer_ids=customer_ids)


async def look_again(db: Db, customer_ids: list[UUID]) -> None:
    """Judge anew, and soon, what waits for these customers because of their rhythm."""
    await db.many(sql.lock_leases_deferring, UUID, customer_ids=customer_ids)
    for campaign_id in sorted({*await db.many(sql.look_again, UUID, customer_ids=customer_ids)}):
        slot = f"{campaign_id}:{int(db.now.timestamp())}"
        db.wake("campaigns.send", str(db.business_id), str(campaign_id), slot=slot)
