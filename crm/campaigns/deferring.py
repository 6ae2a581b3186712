"""What waits because of a customer's rhythm: shown to her, and judged anew when that changes."""

from __future__ import annotations

from uuid import UUID

from crm.campaigns.model import Deferred
from crm.db import Database, Db, ReadDb, Statements

sql = Statements("campaigns")

# What a delivery says it waits for, and is left out for where that lasts too long.
RHYTHM = frozenset({"budget", "pause"})


async def deferred(db: ReadDb, customer_id: UUID) -> list[Deferred]:
    """Return which campaigns wait for a customer because of her rhythm, the newest first."""
    return await db.many(sql.deferred_of_customer, Deferred, customer_id=customer_id)


async def limited(db: ReadDb, customer_ids: list[UUID]) -> list[UUID]:
    """Return who of them has said how many campaigns may come in a week."""
    if not customer_ids:
        return []
    return await db.many(sql.limited_among, UUID, customer_ids=customer_ids)


async def give_places(database: Database, business_id: UUID, customer_ids: list[UUID]) -> None:
    """Let other campaigns have places of the week that these customers' mails have given back.

    In transactions of its own: it holds what a claim holds last, and then what that holds first.
    """
    async with database.write(business_id) as db:
        # A campaign that has just found her week full has said so when her rhythm is free.
        await db.many(sql.hold_limits, UUID, customer_ids=customer_ids)
        waiting = await db.many(sql.deferred_among, UUID, customer_ids=customer_ids)
    if waiting:
        async with database.write(business_id) as db:
            await look_again(db, waiting)


async def look_again(db: Db, customer_ids: list[UUID]) -> None:
    """Judge anew, and soon, what waits for these customers because of their rhythm."""
    await db.many(sql.lock_leases_deferring, UUID, customer_ids=customer_ids)
    for campaign_id in sorted({*await db.many(sql.look_again, UUID, customer_ids=customer_ids)}):
        slot = f"{campaign_id}:{int(db.now.timestamp())}"
        db.wake("campaigns.send", str(db.business_id), str(campaign_id), slot=slot)
