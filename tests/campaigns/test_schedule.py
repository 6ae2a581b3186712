"""Scheduling: an instant still to come, checked now, and taken back until then."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from crm import campaigns
from crm.businesses import Business, NoPostalAddress
from crm.campaigns import State, TooFar, TooLate, WrongState, jobs
from crm.db import Database, open_database
from crm.errors import Invalid
from crm.events import Actor
from tests import make
from tests.campaigns.site import drafted, member
from tests.campaigns.test_send import settings
from tests.conftest import KEYS, Cluster

SYSTEM = Actor.system()


async def test_it_waits_for_its_time(database: Database, business: Business) -> None:
    """Whoever schedules it has approved it."""
    who = await member(database, business)
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        at = db.now + timedelta(days=2)
        scheduled = await campaigns.schedule(db, who.actor, campaign.id, at)

    assert (scheduled.state, scheduled.scheduled_at) == (State.scheduled, at)
    assert scheduled.approved_by == who.id


async def test_taken_back_it_is_approved_by_nobody(database: Database, business: Business) -> None:
    """Its text may change now, so the approval and the time are gone."""
    who = await member(database, business)
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        await campaigns.schedule(db, who.actor, campaign.id, db.now + timedelta(days=2))
        back = await campaigns.unschedule(db, who.actor, campaign.id)

    assert (back.state, back.scheduled_at, back.approved_by) == (State.draft, None, None)


@pytest.mark.parametrize(
    ("at", "refusal"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), TooLate),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=10))), TooLate),
        (datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-10))), TooFar),
    ],
)
async def test_a_time_that_makes_no_sense_is_refused(
    database: Database, business: Business, at: datetime, refusal: type[Exception]
) -> None:
    """Past, or further off than anybody can mean, also where UTC has no such year."""
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        with pytest.raises(refusal):
            await campaigns.schedule(db, SYSTEM, campaign.id, at)


async def test_what_cannot_be_sent_cannot_be_scheduled(
    database: Database, business: Business
) -> None:
    """Told now, not at seven in the morning."""
    bare = await make.business(database, postal_address="")
    theirs, _, _ = await drafted(database, bare)
    async with database.write(bare.id) as db:
        with pytest.raises(NoPostalAddress):
            await campaigns.schedule(db, SYSTEM, theirs.id, db.now + timedelta(days=1))
    broken, _, _ = await drafted(database, business, source="{{ oops")
    async with database.write(business.id) as db:
        with pytest.raises(Invalid):
            await campaigns.schedule(db, SYSTEM, broken.id, db.now + timedelta(days=1))


async def test_long_overdue_it_is_held(own_cluster: Cluster, own_database: Database) -> None:
    """A service that was down sends nothing stale: within the hour it starts, after it staff do."""
    business = await make.business(own_database)
    in_time, _, _ = await drafted(own_database, business)
    late, _, _ = await drafted(own_database, business)
    who = await member(own_database, business)
    async with own_database.write(business.id) as db:
        begin = db.now + timedelta(minutes=1)
        await campaigns.schedule(db, who.actor, in_time.id, begin + timedelta(minutes=30))
        await campaigns.schedule(db, who.actor, late.id, begin)
    later = begin + timedelta(minutes=61)
    async with open_database(own_cluster.app_url, KEYS, size=1, clock=lambda: later) as worker:
        ctx: jobs.Ctx = {
            "database": worker,
            "settings": settings(1),
            "sending": asyncio.Lock(),
        }
        await jobs.sweep(ctx)
    async with own_database.write(business.id) as db:
        assert (await campaigns.get(db, in_time.id)).state is State.starting
        held = await campaigns.get(db, late.id)
        assert (held.state, held.held_why, held.scheduled_at) == (State.held, "overdue", begin)
        started = await campaigns.start(db, who.actor, late.id)
    assert (started.state, started.held_why) == (State.starting, None)


async def test_only_what_is_scheduled_is_taken_back(database: Database, business: Business) -> None:
    """A draft has nothing to take back."""
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        with pytest.raises(WrongState, match="still a draft, so it cannot be taken back"):
            await campaigns.unschedule(db, SYSTEM, campaign.id)
