"""What staff do with campaigns: write, schedule, start, pause, resume, cancel, and watch."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from crm import businesses, consent, events
from crm.businesses.model import sent_from
from crm.campaigns.composing import compiled
from crm.campaigns.model import (
    FARTHEST,
    MOVES,
    Campaign,
    CampaignLine,
    Counts,
    Course,
    Delivery,
    DeliveryState,
    Health,
    HeldDelivery,
    NewCampaign,
    NothingUncertain,
    Reason,
    Received,
    Review,
    RowCount,
    Stale,
    State,
    StateCount,
    TooFar,
    TooLate,
    Wait,
    counted,
    wrong_state,
)
from crm.consent import Basis, PurposeRetired, SoftOptInOff
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind, Kind
from crm.ids import time_ordered

sql = Statements("campaigns")

_NEWEST = UUID(int=2**128 - 1)
_LOWEST = UUID(int=0)


async def draft(db: Db, by: Actor, new: NewCampaign) -> Campaign:
    """Keep a new draft; what is wrong with its text is said by `check` and before it starts."""
    await consent.purpose(db, new.purpose_id)
    campaign = await db.one(
        sql.add_campaign,
        Campaign,
        campaign_id=time_ordered(),
        purpose_id=new.purpose_id,
        subject=new.subject,
        preheader=new.preheader,
        source=new.source,
        format=new.format,
        created_by=by.id if by.kind is ActorKind.member else None,
    )
    await events.record(db, by, Kind.campaign_drafted, ref=campaign.id)
    return campaign


async def get(db: ReadDb, campaign_id: UUID) -> Campaign:
    """Return one campaign."""
    return await db.one(sql.campaign, Campaign, campaign_id=campaign_id)


async def page(
    db: ReadDb,
    *,
    before: UUID | None = None,
    states: Iterable[State] = State,
    limit: int = 50,
) -> list[CampaignLine]:
    """Return campaigns in these states, newest first, with their counts and without their texts."""
    return await db.many(
        sql.campaigns_before,
        CampaignLine,
        before=before or _NEWEST,
        states=[state.value for state in states],
        limit=limit,
    )


async def by_state(db: ReadDb) -> dict[State, int]:
    """Count campaigns in each state; a state in which there are none is left out."""
    return {row.state: row.campaigns for row in await db.many(sql.campaigns_by_state, StateCount)}


async def change(
    db: Db, by: Actor, campaign_id: UUID, new: NewCampaign, *, version: int
) -> Campaign:
    """Save a draft over the version that was read, or refuse with Stale or WrongState."""
    await consent.purpose(db, new.purpose_id)
    campaign = await db.maybe(
        sql.change_campaign,
        Campaign,
        campaign_id=campaign_id,
        version=version,
        purpose_id=new.purpose_id,
        subject=new.subject,
        preheader=new.preheader,
        source=new.source,
        format=new.format,
    )
    if campaign is None:
        present = await get(db, campaign_id)
        raise wrong_state(present.state, None) if present.state is not State.draft else Stale
    await events.record(db, by, Kind.campaign_changed, ref=campaign_id)
    return campaign


async def review(db: ReadDb, campaign_id: UUID) -> Review:
    """Count who would get it now and who not, by reason; the sums are the audience."""
    campaign = await get(db, campaign_id)
    rows = await db.many(sql.audience_by_reason, Reason, purpose_id=campaign.purpose_id)
    left_out = {row.reason: row.customers for row in rows if row.reason is not None}
    get_it = [row for row in rows if row.reason is None]
    return Review(sum(row.customers for row in get_it), left_out, sum(row.asked for row in get_it))


async def schedule(db: Db, by: Actor, campaign_id: UUID, at: datetime) -> Campaign:
    """Start it by itself at an instant; it is checked now, and can be taken back until then."""
    if at <= db.now:
        raise TooLate
    if at > db.now + FARTHEST:
        raise TooFar
    await _sendable(db, campaign_id)
    campaign = await _move(db, by, campaign_id, State.scheduled, at=at)
    await events.record(db, by, Kind.campaign_scheduled, ref=campaign_id)
    return campaign


async def unschedule(db: Db, by: Actor, campaign_id: UUID) -> Campaign:
    """Make a scheduled campaign a draft again."""
    campaign = await _move(db, by, campaign_id, State.draft, only=frozenset({State.scheduled}))
    await events.record(db, by, Kind.campaign_changed, ref=campaign_id)
    return campaign


async def start(db: Db, by: Actor, campaign_id: UUID) -> Campaign:
    """Begin: deliveries are written next, then sent. Of two that start it at once one is refused.

    Refuses a business without postal address, a text that cannot be sent, and any state but draft
    and scheduled.
    """
    await _sendable(db, campaign_id)
    campaign = await _move(db, by, campaign_id, State.starting)
    await events.record(db, by, Kind.campaign_started, ref=campaign_id)
    db.wake("campaigns.fill", str(db.business_id), str(campaign_id))
    return campaign


async def pause(db: Db, by: Actor, campaign_id: UUID, *, why: str = "") -> Campaign:
    """Claim nothing more; what is on its way arrives. `why`: nobody asked for it."""
    campaign = await _move(db, by, campaign_id, State.paused)
    await db.run(sql.say_why_paused, campaign_id=campaign_id, why=why)
    await events.record(db, by, Kind.campaign_paused, ref=campaign_id, reason=why)
    return campaign


async def resume(db: Db, by: Actor, campaign_id: UUID) -> Campaign:
    """Go on exactly where it was paused; what made it pause by itself is looked past."""
    campaign = await _move(db, by, campaign_id, State.sending)
    if await db.run(sql.look_past, campaign_id=campaign_id):
        await db.run(sql.begin_anew, campaign_id=campaign_id)
    await events.record(db, by, Kind.campaign_resumed, ref=campaign_id)
    db.wake("campaigns.send", str(db.business_id), str(campaign_id), slot=str(campaign_id))
    return campaign


async def cancel(db: Db, by: Actor, campaign_id: UUID) -> Campaign:
    """Exclude all that waits, for good; what is on its way arrives and is counted."""
    campaign = await _move(db, by, campaign_id, State.cancelled)
    # Ranges first, then deliveries: the order of a claim and of a withdrawal.
    await db.many(sql.lock_leases, int, campaign_id=campaign_id)
    await db.run(sql.cancel_deliveries, campaign_id=campaign_id)
    await db.run(sql.drop_retries, campaign_id=campaign_id)
    await events.record(db, by, Kind.campaign_cancelled, ref=campaign_id)
    return campaign


async def counts(db: ReadDb, campaign_id: UUID) -> Counts:
    """Return the six counts of promise 3 from the ranges: cheap at any size."""
    return await db.one(sql.counts, Counts, campaign_id=campaign_id)


async def waits(db: ReadDb, campaign_id: UUID) -> list[Wait]:
    """Say for what customers of a campaign wait, the largest number first."""
    return await db.many(sql.waits, Wait, campaign_id=campaign_id)


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


async def recount(db: ReadDb, campaign_id: UUID) -> Counts:
    """Count every delivery, with the reasons of those left out: as exact, and as slow as it is."""
    return counted(await db.many(sql.count_rows, RowCount, campaign_id=campaign_id))


async def deliveries(
    db: ReadDb,
    campaign_id: UUID,
    state: DeliveryState,
    *,
    after: UUID | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """Return the deliveries in one state, by pages."""
    return await db.many(
        sql.deliveries_in_state,
        Delivery,
        campaign_id=campaign_id,
        state=state,
        after=after or _LOWEST,
        limit=limit,
    )


async def resolve(
    db: Db, by: Actor, campaign_id: UUID, customer_id: UUID, state: DeliveryState
) -> None:
    """Say what became of an uncertain delivery; the name of who says so stays on it."""
    if state not in {DeliveryState.sent, DeliveryState.failed} or by.kind is not ActorKind.member:
        raise NothingUncertain
    keys = {"campaign_id": campaign_id, "customer_id": customer_id}
    await db.maybe(sql.lock_lease_of, int, **keys)
    done = await db.maybe(sql.resolve_delivery, UUID, **keys, state=state, resolved_by=by.id)
    if done is None:
        raise NothingUncertain
    await db.run(sql.count_resolved, **keys, state=state)
    await events.record(
        db, by, Kind.delivery_resolved, customer_id=customer_id, ref=campaign_id, reason=state
    )


async def received(db: ReadDb, customer_id: UUID) -> list[Received]:
    """Return every campaign to one customer, newest first: for the portal and the export."""
    return await db.many(sql.deliveries_of_customer, Received, customer_id=customer_id)


async def received_one(db: ReadDb, campaign_id: UUID, customer_id: UUID) -> Received | None:
    """Return one campaign to one customer, for the page that says why she got it."""
    return await db.maybe(
        sql.delivery_of_customer, Received, campaign_id=campaign_id, customer_id=customer_id
    )


async def export(db: ReadDb, customer_id: UUID) -> list[HeldDelivery]:
    """Return all that is held about campaigns to a customer, with their texts, newest first."""
    return await db.many(sql.campaigns_held_of, HeldDelivery, customer_id=customer_id)


async def forget(db: Db, customer_id: UUID) -> int:
    """Blank what relays said about an erased customer; her deliveries stay, and name nobody.

    The counts of a campaign are its rows (promise 3), so the rows cannot go.
    """
    await db.run(sql.drop_retries_of, customer_id=customer_id)
    return await db.run(sql.blank_replies, customer_id=customer_id)


async def _sendable(db: ReadDb, campaign_id: UUID) -> None:
    campaign = await get(db, campaign_id)
    business = await businesses.get(db)
    sent_from(business)
    purpose = await consent.purpose(db, campaign.purpose_id)
    if purpose.retired_at is not None:
        raise PurposeRetired
    if purpose.basis is Basis.soft_opt_in and not business.soft_opt_in:
        raise SoftOptInOff
    await compiled(db, campaign)


async def _move(
    db: Db,
    by: Actor,
    campaign_id: UUID,
    state: State,
    *,
    only: frozenset[State] | None = None,
    at: datetime | None = None,
) -> Campaign:
    moved = await db.maybe(
        sql.move_campaign,
        Campaign,
        campaign_id=campaign_id,
        state=state,
        from_states=sorted(only or MOVES[state]),
        approved_by=by.id
        if state in {State.scheduled, State.starting} and by.kind is ActorKind.member
        else None,
        scheduled_at=at,
    )
    if moved is None:
        raise wrong_state((await get(db, campaign_id)).state, state)
    return moved
