"""Whom a campaign would reach if it started now."""

from __future__ import annotations

from crm.campaigns import aim
from crm.campaigns.model import Campaign, Reason
from crm.db import ReadDb, Statements

sql = Statements("campaigns")


async def by_reason(db: ReadDb, campaign: Campaign) -> list[Reason]:
    """Count the audience by reason; whoever takes the digest gets no single issue."""
    of_segment = await aim.by_reason(db, campaign)
    if of_segment is not None:
        return of_segment
    if await db.one(sql.is_digest, bool, campaign_id=campaign.id):
        return await db.many(sql.digest_by_reason, Reason, campaign_id=campaign.id)
    rows = await db.many(sql.audience_by_reason, Reason, purpose_id=campaign.purpose_id)
    weekly = await db.one(sql.digest_readers, Reason, purpose_id=campaign.purpose_id)
    if not weekly.customers:
        return rows
    return [*rows, Reason(None, -weekly.customers, -weekly.asked), weekly]
