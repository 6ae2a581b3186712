"""Pausing, resuming and cancelling: every state allows what its table says, and the sums hold."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import Counts, State, WrongState, cancelling, filling
from crm.campaigns.claiming import Lease
from crm.campaigns.sending import sql as range_sql
from crm.db import Database, parse
from crm.events import Actor
from tests.campaigns.site import begun, drafted

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
    await begun(database, business, campaign.id)
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


async def test_a_batch_that_waited_sees_the_pause_that_was_answered_meanwhile(
    database: Database, business: Business
) -> None:
    """Else it would claim once more, after staff had been told that nothing is."""
    campaign_id = await sending(database, business)
    async with database.write(business.id) as db:
        expires_at = db.now + timedelta(minutes=1)
        whose = {"campaign_id": campaign_id, "holder": "a worker", "expires_at": expires_at}
        lease = await db.one(range_sql.take_lease, Lease, **whose)
    async with database.write(business.id) as db:
        await db.one(_LOCK, int, campaign_id=campaign_id, number=lease.number)
        waiting = asyncio.create_task(_held(database, business, campaign_id, lease))
        # PostgreSQL tells nobody that a lock is waited for.
        while not waiting.done() and not await _somebody_waits(database, business):
            pass
        async with database.write(business.id) as other:
            await campaigns.pause(other, SYSTEM, campaign_id)
    assert await waiting is State.paused


async def _somebody_waits(database: Database, business: Business) -> bool:
    async with database.read(business.id) as db:
        return await db.one(_WAITING, bool)


async def _held(database: Database, business: Business, campaign_id: UUID, lease: Lease) -> State:
    async with database.write(business.id) as db:
        keys = {"campaign_id": campaign_id, "number": lease.number, "epoch": lease.epoch}
        expires_at = db.now + timedelta(minutes=1)
        row = await db.one(range_sql.hold_lease, dict, **keys, expires_at=expires_at)
    return State(row["state"])


_LOCK, _WAITING = parse(
    """
-- name: lock
-- Holds a range, as a withdrawal does.
SELECT number FROM crm.lease
 WHERE business_id = :business_id AND campaign_id = :campaign_id AND number = :number
   FOR UPDATE;

-- name: waiting
-- Whether somebody waits for a lock in this database.
SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE NOT l.granted AND a.datname = current_database());
"""
)
