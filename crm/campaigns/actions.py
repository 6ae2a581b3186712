"""What staff do with campaigns: write, pause, resume, cancel, and watch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from crm import consent, events
from crm.campaigns import checking, poll
from crm.campaigns.aim import known_segment, outside
from crm.campaigns.by_clock import missed
from crm.campaigns.forecast import by_reason
from crm.campaigns.held import HeldDelivery, HeldText
from crm.campaigns.model import (
    MOVES,
    WAITS,
    Campaign,
    CampaignLine,
    Counts,
    Delivery,
    DeliveryState,
    DraftChanged,
    NewCampaign,
    ReasonCount,
    Received,
    Review,
    RowCount,
    State,
    StateCount,
    counted,
    wrong_state,
)
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind, Kind
from crm.ids import time_ordered

sql = Statements("campaigns")

_NEWEST = UUID(int=2**128 - 1)
_LOWEST = UUID(int=0)
# So many texts are read ahead: a text may be long.
_TEXTS = 10


async def draft(db: Db, by: Actor, new: NewCampaign) -> Campaign:
    """Keep a new draft; what is wrong with its text is said by `check` and before it starts."""
    await consent.purpose(db, new.purpose_id)
    await known_segment(db, new.segment_id)
    question, answers = poll.checked(new.question, new.answers)
    campaign = await db.one(
        sql.add_campaign,
        Campaign,
        campaign_id=time_ordered(),
        purpose_id=new.purpose_id,
        subject=new.subject,
        preheader=new.preheader,
        source=new.source,
        format=new.format,
        question=question,
        answers=answers,
        public=new.public,
        segment_id=new.segment_id,
        created_by=by.id if by.kind is ActorKind.member else None,
    )
    await events.record(db, by, Kind.campaign_drafted, ref=campaign.id)
    await checking.begin(db, campaign.id)
    return campaign


async def get(db: ReadDb, campaign_id: UUID) -> Campaign:
    """Return one campaign."""
    return await db.one(sql.campaign, Campaign, campaign_id=campaign_id)


async def locked(db: Db, campaign_id: UUID) -> Campaign:
    """Return a campaign that nobody else changes or moves before this transaction ends."""
    await db.one(sql.hold_campaign, UUID, campaign_id=campaign_id)
    # What was committed while the row was waited for is seen by the next statement only.
    return await get(db, campaign_id)


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
    """Save a draft over the version that was read, or refuse with DraftChanged or WrongState."""
    await consent.purpose(db, new.purpose_id)
    await known_segment(db, new.segment_id)
    question, answers = poll.checked(new.question, new.answers)
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
        question=question,
        answers=answers,
        public=new.public,
        segment_id=new.segment_id,
    )
    if campaign is None:
        present = await get(db, campaign_id)
        raise wrong_state(present.state, None) if present.state is not State.draft else DraftChanged
    await events.record(db, by, Kind.campaign_changed, ref=campaign_id)
    await checking.begin(db, campaign_id)
    return campaign


async def check_again(db: Db, by: Actor, campaign_id: UUID) -> None:
    """Have all who would get it looked at anew; refuses what has started already."""
    campaign = await get(db, campaign_id)
    if campaign.state not in WAITS:
        raise wrong_state(campaign.state, None)
    await events.record(db, by, Kind.campaign_checked, ref=campaign_id)
    await checking.begin(db, campaign_id)


async def make_public(db: Db, by: Actor, campaign_id: UUID, *, public: bool) -> Campaign:
    """Put a campaign into the archive or take it out, whatever it is doing.

    Mails already sent go on naming its page; out of the archive, that page says it is not there.
    """
    campaign = await db.one(sql.make_public, Campaign, campaign_id=campaign_id, public=public)
    await events.record(db, by, Kind.campaign_changed, ref=campaign_id)
    return campaign


async def review(db: ReadDb, campaign_id: UUID) -> Review:
    """Count who would get it now and who not, by reason; the sums are the audience."""
    campaign = await get(db, campaign_id)
    rows = await by_reason(db, campaign)
    left_out = {row.reason: row.customers for row in rows if row.reason is not None}
    get_it = [row for row in rows if row.reason is None]
    will_get = sum(row.customers for row in get_it)
    return Review(
        will_get,
        left_out,
        sum(row.asked for row in get_it),
        await missed(db, campaign, will_get),
        await outside(db, campaign, sum(row.customers for row in rows)),
    )


async def pause(db: Db, by: Actor, campaign_id: UUID, *, why: str = "") -> Campaign:
    """Claim nothing more; what is on its way arrives. `why`: nobody asked for it."""
    campaign = await move(db, by, campaign_id, State.paused)
    await db.run(sql.say_why_paused, campaign_id=campaign_id, why=why)
    await events.record(db, by, Kind.campaign_paused, ref=campaign_id, reason=why)
    return campaign


async def cancel(db: Db, by: Actor, campaign_id: UUID) -> Campaign:
    """Claim nothing more, for good: all that waits is excluded next, range by range.

    What is on its way arrives and is counted.
    """
    campaign = await move(db, by, campaign_id, State.cancelled)
    await events.record(db, by, Kind.campaign_cancelled, ref=campaign_id)
    db.wake("campaigns.clear", str(db.business_id), str(campaign_id))
    return campaign


async def counts(db: ReadDb, campaign_id: UUID) -> Counts:
    """Return the six counts of promise 3 and the reasons, from the ranges: cheap at any size."""
    sums = await db.one(sql.counts, Counts, campaign_id=campaign_id)
    rows = await db.many(sql.counted_reasons, ReasonCount, campaign_id=campaign_id)
    return msgspec.structs.replace(sums, reasons={row.reason: row.customers for row in rows})


async def recount(db: ReadDb, campaign_id: UUID) -> Counts:
    """Count every delivery, with the reasons of those left out: as exact, and as slow as it is."""
    rows = await db.many(sql.count_rows, RowCount, campaign_id=campaign_id)
    return counted(rows, await db.one(sql.count_deferred, int, campaign_id=campaign_id))


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


async def received(db: ReadDb, customer_id: UUID) -> list[Received]:
    """Return every campaign to one customer, newest first: for the portal and the export."""
    return await db.many(sql.deliveries_of_customer, Received, customer_id=customer_id)


async def received_one(db: ReadDb, campaign_id: UUID, customer_id: UUID) -> Received | None:
    """Return one campaign to one customer, for the page that says why she got it."""
    return await db.maybe(
        sql.delivery_of_customer, Received, campaign_id=campaign_id, customer_id=customer_id
    )


def export(db: ReadDb, customer_id: UUID) -> AsyncIterator[HeldDelivery]:
    """Yield all that is held about campaigns to a customer but their texts, newest first."""
    return db.stream(sql.campaigns_held_of, HeldDelivery, customer_id=customer_id)


async def texts(db: ReadDb, customer_id: UUID) -> AsyncIterator[HeldText]:
    """Yield the text of each campaign that went to a customer, newest first, a few at a time."""
    before = _NEWEST
    while found := await db.many(
        sql.texts_held_of, HeldText, customer_id=customer_id, before=before, limit=_TEXTS
    ):
        for text in found:
            yield text
        before = found[-1].campaign_id


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Blank what is said of an erased customer in deliveries; they stay, and name nobody.

    The counts of a campaign are its rows (promise 3), so the rows cannot go. Returns how many rows
    of which table were deleted or blanked.
    """
    return {
        "retry": await db.run(sql.drop_retries_of, customer_id=customer_id),
        "digest_choice": await db.run(sql.forget_digest_choices, customer_id=customer_id),
        "delivery": await db.run(sql.blank_deliveries, customer_id=customer_id),
    }


async def move(
    db: Db,
    by: Actor,
    campaign_id: UUID,
    state: State,
    *,
    only: frozenset[State] | None = None,
    at: datetime | None = None,
    local_at: datetime | None = None,
) -> Campaign:
    """Take a campaign to a state, from those that lead there or `only` these; else WrongState."""
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
        local_at=local_at,
    )
    if moved is None:
        raise wrong_state((await get(db, campaign_id)).state, state)
    return moved
