"""The segment that a campaign goes to: whom it selects at the start, and would select now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from crm import businesses, consent, segments
from crm.campaigns.model import Campaign, KeptSegment, Reason
from crm.db import ReadDb, Statements
from crm.errors import Invalid, Problem
from crm.segments import Instant, UnknownSegment, Written
from crm.staff import Caller, Member, Right, Scope

sql = Statements("campaigns")

# Of fewer customers a figure by reason may name somebody.
FEWEST = 10


async def known_segment(db: ReadDb, segment_id: UUID | None) -> None:
    """Refuse a segment that is none of this business."""
    if segment_id is None:
        return
    try:
        await segments.get(db, segment_id)
    except UnknownSegment as unknown:
        raise Invalid(unknown.message, [Problem("segment_id", unknown.message)]) from None


async def of_segment(
    db: ReadDb, kept: KeptSegment, started_at: datetime, ids: Sequence[UUID]
) -> list[UUID]:
    """Return those of some customers whom a segment selects, by its rule and days at the start."""
    zone = (await businesses.get(db)).time_zone
    return await segments.chosen(db, kept.rule, Instant(started_at, zone), ids)


async def would_select(db: ReadDb, campaign: Campaign, ids: Sequence[UUID]) -> set[UUID]:
    """Return those of some customers whom the segment of a campaign selects now, if it has one."""
    rule = await _rule(db, campaign)
    if rule is None:
        return set(ids)
    return set(await segments.chosen(db, rule, await segments.instant(db), ids))


async def by_reason(db: ReadDb, campaign: Campaign) -> list[Reason] | None:
    """Count by reason how those whom its segment selects stand to it; None where it has none."""
    rule = await _rule(db, campaign)
    if rule is None:
        return None
    found = await segments.standing(db, rule, campaign.purpose_id)
    return [Reason(each.reason, each.customers, each.asked) for each in found]


async def outside(db: ReadDb, campaign: Campaign, inside: int) -> int:
    """Count who was asked about its purpose and is not among so many of its segment."""
    if campaign.segment_id is None and campaign.segment_kept is None:
        return 0
    asked = await db.one(sql.asked_about, int, purpose_id=campaign.purpose_id)
    return max(asked - inside, 0)


def check_may_count(caller: Caller, campaign: Campaign) -> None:
    """Refuse to tell of whom a segment selects to a key that may not count by it (ScopeMissing)."""
    if campaign.segment_id is not None or campaign.segment_kept is not None:
        check_may_aim(caller)


def check_may_aim(caller: Caller) -> None:
    """Refuse to put a segment on a campaign to a key that may not count by it (ScopeMissing)."""
    caller.check_scope(Scope.customers_read)
    caller.check_scope(Scope.consents_read)


async def may_be_told(db: ReadDb, who: Member, campaign: Campaign, audience: int) -> bool:
    """Say whether a member may see how those of its segment stand to it.

    One who sees no customers may not where these are few: a figure of one names her. One who may
    not see decisions about special purposes may not where the campaign or its rule is of one; the
    campaign also where it has no segment.
    """
    rule = await _rule(db, campaign)
    if rule is not None and audience < FEWEST and not who.may(Right.see_customers):
        return False
    if who.may(Right.see_special):
        return True
    if rule is None:
        return not (await consent.purpose(db, campaign.purpose_id)).special_category
    return not await segments.asks_special(db, rule, of=campaign.purpose_id)


async def _rule(db: ReadDb, campaign: Campaign) -> Written | None:
    if campaign.segment_kept is not None:
        return campaign.segment_kept.rule
    if campaign.segment_id is None:
        return None
    return (await segments.get(db, campaign.segment_id)).rule
