"""Whom a campaign may reach now by her own clock; the others wait until theirs shows the time."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm import businesses
from crm.businesses import Business
from crm.campaigns.clock import AROUND_THE_WORLD, Hours, ends, may_go
from crm.campaigns.model import Campaign
from crm.db import Db, ReadDb, Statements

sql = Statements("campaigns")

# What a delivery says it waits for.
CLOCK = "clock"


class _At(Struct, frozen=True):
    customer_id: UUID
    time_zone: str


class Clock(Struct, frozen=True):
    """By whose clock how many customers live, and when a campaign reaches them."""

    time_zone: str
    customers: int


def hours_of(business: Business) -> Hours:
    """Return the hours of a customer's day in which a business mails campaigns."""
    return Hours(business.mails_from, business.mails_until)


async def reached_now(
    db: Db, business: Business, campaign: Campaign, ids: list[UUID], last: datetime
) -> list[UUID]:
    """Return who may be claimed now; the others wait in the table of retries, at most until `last`.

    Costs nothing where a campaign goes by no clock.
    """
    hours = hours_of(business)
    if not ids or (campaign.local_at is None and hours.always):
        return ids
    found = await db.many(sql.clocks_of, _At, customer_ids=ids)
    zones = {each.customer_id: each.time_zone for each in found}
    due = {
        each: may_go(db.now, campaign.local_at, hours, zones.get(each, business.time_zone))
        for each in ids
    }
    off = {each: at for each, at in due.items() if at > db.now}
    if off:
        await db.run(
            sql.retry_later,
            campaign_id=campaign.id,
            customer_ids=list(off),
            due_ats=[min(at, last) for at in off.values()],
            waits_for=[CLOCK] * len(off),
        )
    return [each for each in ids if each not in off]


async def clocks(db: ReadDb, purpose_id: UUID) -> list[Clock]:
    """Return by whose clocks the customers of a purpose live, but for that of the business."""
    return await db.many(sql.clocks, Clock, purpose_id=purpose_id)


async def first_and_last(
    db: ReadDb, purpose_id: UUID, local_at: datetime
) -> tuple[datetime, datetime]:
    """Return when the first and when the last customer's clock shows a time."""
    business = await businesses.get(db)
    known = [each.time_zone for each in await clocks(db, purpose_id)]
    return ends(local_at, [business.time_zone, *known])


def latest(campaign: Campaign, last: datetime) -> datetime:
    """Return until when a delivery is worth trying; by clocks, for the last of them."""
    return last + AROUND_THE_WORLD if campaign.local_at else last
