"""Whom a campaign may reach now by her own clock; the others wait until theirs shows the time."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm import businesses
from crm.businesses import Business
from crm.campaigns.clock import AROUND_THE_WORLD, Hours, ends, may_go
from crm.campaigns.model import Campaign, Course, NeverOpen
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


def latest(local_at: datetime | None, last: datetime) -> datetime:
    """Return until when a delivery is worth trying; by clocks, for the last of them."""
    return last + AROUND_THE_WORLD if local_at else last


async def missed(db: ReadDb, campaign: Campaign, will_get: int) -> int:
    """Count for how many it expires before their mailing hours open; 0 where it has no own expiry.

    As if it started when it is scheduled, or now.
    """
    at = max(campaign.scheduled_at or db.now, db.now)
    shut = await _shut(db, campaign, at, campaign.local_at)
    if shut is None or not will_get:
        return 0
    others = max(will_get - sum(each.customers for each in shut.known), 0)
    own = [each.customers for each in shut.known if shut.of(each.time_zone)]
    return min(sum(own) + others * shut.of(shut.business.time_zone), will_get)


async def insist_open(
    db: ReadDb, campaign: Campaign, at: datetime, local_at: datetime | None
) -> None:
    """Refuse (NeverOpen) a start after which the hours open for nobody before it expires."""
    shut = await _shut(db, campaign, at, local_at)
    if shut is None:
        return
    zones = [shut.business.time_zone, *(each.time_zone for each in shut.known)]
    if all(shut.of(zone) for zone in zones):
        lives = "1 hour" if shut.expires_hours == 1 else f"{shut.expires_hours} hours"
        raise NeverOpen(
            f"It expires {lives} after its start, and until then nobody may be mailed: your "
            f"mailing hours are {shut.hours.since}:00 to {shut.hours.until}:00 by each customer's "
            "own clock. Start it within these hours, or let it expire later."
        )


class _Shut(Struct, frozen=True):
    """By which clocks a start at an instant is over before the mailing hours open."""

    business: Business
    hours: Hours
    known: list[Clock]
    expires_hours: int
    at: datetime
    local_at: datetime | None

    def of(self, zone: str) -> bool:
        """Say whether it is so for those who live by this clock."""
        last = latest(self.local_at, self.at + timedelta(hours=self.expires_hours))
        return may_go(self.at, self.local_at, self.hours, zone) >= last


async def _shut(
    db: ReadDb, campaign: Campaign, at: datetime, local_at: datetime | None
) -> _Shut | None:
    """Return nothing where the hours leave nothing out, or the campaign has no expiry of its own.

    That of the installation is a day at least, in which every day opens.
    """
    business = await businesses.get(db)
    hours = hours_of(business)
    if hours.always:
        return None
    course = await db.one(sql.course, Course, campaign_id=campaign.id)
    if course.expires_hours is None:
        return None
    known = await clocks(db, campaign.purpose_id)
    return _Shut(business, hours, known, course.expires_hours, at, local_at)
