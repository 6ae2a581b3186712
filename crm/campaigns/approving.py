"""What lets a campaign begin: at once, at an instant, by each customer's clock; and taking it back.

Its row is held from the first look on, so what begins is what was looked at.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict, Unpack
from uuid import UUID

from crm import businesses, consent, events, journal, segments
from crm.businesses.model import sent_from
from crm.campaigns import checking
from crm.campaigns.actions import locked, move
from crm.campaigns.by_clock import first_and_last, insist_open
from crm.campaigns.canary import release
from crm.campaigns.clock import AROUND_THE_WORLD
from crm.campaigns.composing import compiled
from crm.campaigns.digests import stopped_issue
from crm.campaigns.going_on import resting_on
from crm.campaigns.model import (
    FARTHEST,
    MOVES,
    Campaign,
    ChangedSinceReview,
    State,
    TooFar,
    TooLate,
)
from crm.campaigns.offering import offer_with
from crm.campaigns.verdict import Fixed, fix
from crm.consent import PurposeRetired
from crm.db import Db, ReadDb
from crm.errors import Refused
from crm.events import Actor, ActorKind, Kind
from crm.mail import sending_domains


class Approval(TypedDict, total=False):
    """What somebody approves: the version that was reviewed, and whether despite missing values."""

    version: int | None
    despite_gaps: bool


async def schedule(
    db: Db, by: Actor, campaign_id: UUID, at: datetime, **approval: Unpack[Approval]
) -> Campaign:
    """Start it by itself at an instant; it is checked now, and can be taken back until then.

    Refuses what `start` refuses.
    """
    if at <= db.now:
        raise TooLate
    if at > db.now + FARTHEST:
        raise TooFar
    campaign = await _approved(db, campaign_id, approval)
    await _insist_sendable(db, by, campaign, approval, publish=False)
    await insist_open(db, campaign, at, None)
    campaign = await move(db, by, campaign_id, State.scheduled, at=at)
    db.note(journal.Campaign(campaign_id, "scheduled"))
    await events.record(db, by, Kind.campaign_scheduled, ref=campaign_id)
    return campaign


async def schedule_by_clock(
    db: Db, by: Actor, campaign_id: UUID, local_at: datetime, **approval: Unpack[Approval]
) -> Campaign:
    """Let it reach each customer when her own clock shows a time (without a zone).

    It starts by itself when the first of their clocks does. Refuses what `schedule` refuses.
    """
    planned = await _approved(db, campaign_id, approval)
    local_at = local_at.replace(tzinfo=None)
    _insist_near(db, local_at)
    at, _ = await first_and_last(db, planned.purpose_id, local_at)
    if at <= db.now:
        raise TooLate
    if at > db.now + FARTHEST:
        raise TooFar
    await _insist_sendable(db, by, planned, approval, publish=False)
    await insist_open(db, planned, at, local_at)
    campaign = await move(db, by, campaign_id, State.scheduled, at=at, local_at=local_at)
    db.note(journal.Campaign(campaign_id, "scheduled"))
    await events.record(db, by, Kind.campaign_scheduled, ref=campaign_id)
    return campaign


def _insist_near(db: Db, local_at: datetime) -> None:
    """Refuse what is too early or too late by every clock; at the calendar's ends none can tell."""
    now = db.now.astimezone(UTC).replace(tzinfo=None)
    if local_at < now - AROUND_THE_WORLD:
        raise TooLate
    if local_at > now + FARTHEST + AROUND_THE_WORLD:
        raise TooFar


async def unschedule(db: Db, by: Actor, campaign_id: UUID) -> Campaign:
    """Make a scheduled campaign, or one that is held, a draft again."""
    campaign = await move(db, by, campaign_id, State.draft, only=MOVES[State.draft])
    await events.record(db, by, Kind.campaign_changed, ref=campaign_id)
    return campaign


async def start(db: Db, by: Actor, campaign_id: UUID, **approval: Unpack[Approval]) -> Campaign:
    """Begin: deliveries are written next, then sent. Of two that start it at once one is refused.

    Before the instant it was planned for it goes at once, by nobody's clock. Refuses a business
    without postal address, a text that cannot be sent or would watch its readers, any state but
    draft, scheduled and held, and another version than `version`. Refuses a member or a program
    while the values of the text are not checked, and, unless `despite_gaps`, where somebody lacks
    one; and where it would expire before the mailing hours open for anybody.
    """
    approved = await _approved(db, campaign_id, approval)
    early = approved.scheduled_at is not None and db.now < approved.scheduled_at
    return await _begin(db, by, approved, None if early else approved.local_at, approval)


async def start_planned(db: Db, campaign_id: UUID) -> Campaign:
    """Begin what is due, by the clocks it was planned for: the system carries out an approval."""
    planned = await locked(db, campaign_id)
    return await _begin(db, Actor.system(), planned, planned.local_at, {})


async def hold(db: Db, by: Actor, campaign_id: UUID) -> Campaign:
    """Keep a campaign whose start is long overdue until staff start it or take it back."""
    campaign = await move(db, by, campaign_id, State.held)
    await events.record(db, by, Kind.campaign_held, ref=campaign_id)
    return campaign


async def hindrances(db: ReadDb, campaign: Campaign) -> list[Refused]:
    """List what keeps a campaign from being sent that is neither in its text nor its letterhead."""
    business = await businesses.get(db)
    found: list[Refused] = []
    if (not_ready := await sending_domains.not_ready(db, business)) is not None:
        found.append(not_ready)
    if (await consent.purpose(db, campaign.purpose_id)).retired_at is not None:
        found.append(PurposeRetired())
    if (switched_off := await resting_on(db, campaign, business)) is not None:
        found.append(switched_off)
    if (stopped := await stopped_issue(db, campaign)) is not None:
        found.append(stopped)
    return found


async def _begin(
    db: Db, by: Actor, approved: Campaign, local_at: datetime | None, approval: Approval
) -> Campaign:
    """Publish the verdict on it, and wake who writes its deliveries."""
    fixed = await _insist_sendable(db, by, approved, approval, publish=True)
    if by.kind is not ActorKind.system:
        await insist_open(db, approved, db.now, local_at)
    campaign = await move(db, by, approved.id, State.starting, local_at=local_at)
    db.note(journal.Campaign(approved.id, "started"))
    await events.record(db, by, Kind.campaign_started, ref=approved.id)
    await release(db, campaign, fixed)
    await offer_with(db, by, campaign)
    db.wake("campaigns.fill", str(db.business_id), str(approved.id))
    return campaign


async def _approved(db: Db, campaign_id: UUID, approval: Approval) -> Campaign:
    """Hold what is approved; ChangedSinceReview where somebody has written it anew meanwhile."""
    campaign = await locked(db, campaign_id)
    if approval.get("version") not in {None, campaign.version}:
        raise ChangedSinceReview
    return campaign


async def _insist_sendable(
    db: Db, by: Actor, campaign: Campaign, approval: Approval, *, publish: bool
) -> Fixed:
    if campaign.segment_id is not None:
        await segments.hold(db, campaign.segment_id)
    sent_from(await businesses.get(db))
    for refusal in await hindrances(db, campaign):
        raise refusal
    message = await compiled(db, campaign)
    if by.kind is not ActorKind.system:
        despite = approval.get("despite_gaps", False)
        await checking.insist(db, campaign, message, despite_gaps=despite)
    return await fix(db, campaign, keep=publish)
