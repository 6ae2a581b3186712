"""Pausing, resuming and cancelling: every state allows what its table says, and the sums hold."""

from __future__ import annotations

from uuid import UUID

import pytest

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import Counts, State, WrongState, cancelling, filling
from crm.db import Database
from crm.events import Actor
from tests.campaigns.site import drafted

SYSTEM = Actor.system()


async def sending(database: Database, business: Business, count: int = 5) -> UUID:
    """A campaign whose deliveries are written and open for claims."""
    campaign, _, _ = await drafted(database, business, count)
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
    more = True
    while more:
        async with database.write(business.id) as db:
            more = await filling.fill_piece(db, campaign.id, 2)
    begun = False
    while not begun:
        async with database.write(business.id) as db:
            begun = await filling.begin_sending(db, campaign.id)
    return campaign.id


async def test_paused_and_resumed(database: Database, business: Business) -> None:
    """Nothing is lost on the way there and back."""
    campaign_id = await sending(database, business)
    async with database.write(business.id) as db:
        paused = await campaigns.pause(db, SYSTEM, campaign_id)
        resumed = await campaigns.resume(db, SYSTEM, campaign_id)
        counts = await campaigns.counts(db, campaign_id)

    assert (paused.state, resumed.state) == (State.paused, State.sending)
    assert (counts.waiting, counts.audience) == (5, 5)
    assert [job for job, _, _ in db.wakes] == ["campaigns.send"]


@pytest.mark.parametrize("paused", [False, True])
async def test_cancelled_everybody_who_waits_is_left_out(
    database: Database, business: Business, *, paused: bool
) -> None:
    """For good, with that reason; the cheap sums and the counted rows agree."""
    campaign_id = await sending(database, business)
    async with database.write(business.id) as db:
        if paused:
            await campaigns.pause(db, SYSTEM, campaign_id)
        ended = await campaigns.cancel(db, SYSTEM, campaign_id)
    assert [job for job, _, _ in db.wakes][-1] == "campaigns.clear"
    waiting = []
    more = True
    while more:
        async with database.write(business.id) as db:
            sums = await campaigns.counts(db, campaign_id)
            assert sums == await campaigns.recount(db, campaign_id)
            waiting.append(sums.waiting)
            more = await cancelling.clear_range(db, campaign_id)
    # Range by range, and the sums hold before and after each.
    assert waiting == [5, 3, 1, 0]
    async with database.write(business.id) as db:
        cheap = await campaigns.counts(db, campaign_id)
        counted = await campaigns.recount(db, campaign_id)

    assert ended.state is State.cancelled
    assert ended.ended_at is not None
    assert counted == Counts(
        waiting=0,
        sending=0,
        sent=0,
        failed=0,
        excluded=5,
        uncertain=0,
        reasons={"cancelled": 5},
    )
    assert cheap == counted


async def test_a_draft_can_neither_be_paused_nor_resumed_nor_cancelled(
    database: Database, business: Business
) -> None:
    """Each is refused in words that say what it is and what was wanted."""
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        with pytest.raises(WrongState, match="still a draft, so it cannot be paused"):
            await campaigns.pause(db, SYSTEM, campaign.id)
        with pytest.raises(WrongState, match="cannot be resumed"):
            await campaigns.resume(db, SYSTEM, campaign.id)
        with pytest.raises(WrongState, match="cannot be cancelled"):
            await campaigns.cancel(db, SYSTEM, campaign.id)


async def test_what_is_cancelled_stays_cancelled(database: Database, business: Business) -> None:
    """Neither a start nor a resumption brings it back."""
    campaign_id = await sending(database, business)
    async with database.write(business.id) as db:
        await campaigns.cancel(db, SYSTEM, campaign_id)
        with pytest.raises(WrongState, match="is cancelled, so it cannot be resumed"):
            await campaigns.resume(db, SYSTEM, campaign_id)
        with pytest.raises(WrongState, match="is cancelled, so it cannot be started"):
            await campaigns.start(db, SYSTEM, campaign_id)
