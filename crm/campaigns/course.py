"""What keeps a campaign back while it runs, until when it may, and what it is judged by."""

from __future__ import annotations

from uuid import UUID

from crm.campaigns.actions import get, sql
from crm.campaigns.model import Course, Health, Wait, wrong_state
from crm.db import Db, ReadDb


async def waits(db: ReadDb, campaign_id: UUID) -> list[Wait]:
    """Say for what customers of a campaign wait, the largest number first."""
    return await db.many(sql.waits, Wait, campaign_id=campaign_id)


async def waits_for_import(db: ReadDb, campaign_id: UUID) -> bool:
    """Say whether a start waits for an import, which may decide about customers of the campaign."""
    return await db.one(sql.waits_for_import, bool, campaign_id=campaign_id)


async def course(db: ReadDb, campaign_id: UUID) -> Course:
    """Return its own expiry, and why it paused by itself."""
    return await db.one(sql.course, Course, campaign_id=campaign_id)


async def health(db: ReadDb, campaign_id: UUID) -> Health:
    """Return what the circuit breaker judges a campaign by."""
    return await db.one(sql.health, Health, campaign_id=campaign_id)


async def expire_after(db: Db, campaign_id: UUID, hours: int | None) -> None:
    """Give up what has not gone so many hours after the start; None is the installation's rule.

    Refuses with WrongState once it has started.
    """
    if await db.maybe(sql.set_expiry, UUID, campaign_id=campaign_id, hours=hours) is None:
        raise wrong_state((await get(db, campaign_id)).state, None)


async def came_back(
    db: Db, campaign_id: UUID, customer_id: UUID, *, hard: bool = False, complaint: bool = False
) -> None:
    """Count what came back of a delivery against its campaign: once for each, by the caller."""
    await db.run(
        sql.count_return,
        campaign_id=campaign_id,
        customer_id=customer_id,
        hard=int(hard),
        complaints=int(complaint),
    )
