"""What is written about a delivery that came back: a field of it, never its state (promise 3).

What comes back may also suppress the address, which takes it out of other campaigns. So every range
that either may touch is held first, in one order: whoever does more than this holds the customer's
consents before, and suppresses after.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.campaigns import troubles
from crm.campaigns.course import came_back
from crm.db import Db, ReadDb, Statements

sql = Statements("campaigns")

_HARD = "hard"


class Origin(Struct, frozen=True):
    """The campaign that a mail was of, and the code of its purpose in links."""

    id: UUID
    code: int


async def origin(db: ReadDb, low: UUID, high: UUID) -> Origin | None:
    """Return the campaign whose id is between these, or None where there never was one."""
    return await db.maybe(sql.campaign_between, Origin, low=low, high=high)


async def bounced(
    db: Db, campaign_id: UUID, address_hash: bytes, bounce_class: str, bounce_code: str
) -> bool:
    """Write that the mail to an address came back; False where that is known, or she is erased."""
    keys = {"campaign_id": campaign_id, "address_hash": address_hash}
    await db.many(sql.lock_leases_at, int, **keys)
    found = await db.many(
        sql.mark_bounced, UUID, **keys, bounce_class=bounce_class, bounce_code=bounce_code[:20]
    )
    for customer_id in found:
        await came_back(db, campaign_id, customer_id, hard=bounce_class == _HARD)
    if found:
        kinds, reasons = ["bounced"] * len(found), [bounce_class] * len(found)
        await troubles.count(db, campaign_id, found, kinds, reasons)
    return bool(found)


async def complained(db: Db, campaign_id: UUID, address_hash: bytes) -> bool:
    """Write that the owner of an address complained about a campaign; again changes nothing."""
    keys = {"campaign_id": campaign_id, "address_hash": address_hash}
    await db.many(sql.lock_leases_at, int, **keys)
    found = await db.many(sql.mark_complained, UUID, **keys)
    for customer_id in found:
        await came_back(db, campaign_id, customer_id, complaint=True)
    return bool(found)


async def arrived(db: ReadDb, address_hash: bytes, since: datetime, until: datetime) -> bool:
    """Say whether a mail handed over in this time has not come back."""
    return await db.one(
        sql.arrived_between, bool, address_hash=address_hash, since=since, until=until
    )
