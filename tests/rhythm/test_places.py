"""A place of the week that is free again is offered, and a range with nobody left does not rest."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from crm import campaigns, consent, rhythm
from crm.campaigns import Campaign, DeliveryState, State, cancelling, jobs
from crm.consent import Method
from crm.db import Database, Db
from crm.events import Actor
from crm.privacy import merging
from crm.rhythm import Wanted
from tests import make
from tests.campaigns.site import member
from tests.rhythm.test_obey import (
    GONE,
    HOUR,
    MONDAY,
    WEDNESDAY,
    at,
    ctx,
    opened,
    started,
    state,
    wishes,
    worked,
)
from tests.smtpd import Fault, smtpd

GIVES = "campaigns.give_places"


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_is_resolved_to_failed_gives_its_place(
    database: Database, *, at_once: bool
) -> None:
    now = at(database, WEDNESDAY)
    shop = await opened(now)
    await wishes(now, shop, Wanted(1))
    one, other = [await started(now, shop, which) for which in (0, 1)]
    who = await member(now, shop.business)
    async with smtpd() as server:
        server.fails("dot", Fault(drop=True))
        assert (await worked(now, shop, one, server)).uncertain == 1
        assert (await worked(now, shop, other, server)).deferred == 1
        async with now.write(shop.business.id) as db:
            if at_once:
                await campaigns.resolve_all(db, who.actor, one.id, DeliveryState.failed, number=1)
            else:
                reader = shop.readers[0]
                await campaigns.resolve(db, who.actor, one.id, reader, DeliveryState.failed)
            wakes = [(job, args) for job, args, _ in db.wakes]
        own = (str(shop.business.id), str(shop.readers[0]))
        assert wakes == [("campaigns.give_places", own)]
        await jobs.give_places(ctx(now, server.port), *own)
        soon = at(database, WEDNESDAY + HOUR)
        assert (await worked(soon, shop, other, server)).sent == 1


async def test_a_campaign_ends_when_the_last_who_waits_leaves(database: Database) -> None:
    """She has a pause until Monday; nobody waits for that once she has left."""
    now = at(database, WEDNESDAY)
    shop = await opened(now, 2)
    nora = shop.readers[0]
    await wishes(now, shop, Wanted(None, MONDAY), nora)
    campaign = await started(now, shop)
    async with smtpd() as server:
        assert (await worked(now, shop, campaign, server)).deferred == 1
        async with now.write(shop.business.id) as db:
            me = Actor.customer(nora)
            await consent.withdraw(db, me, nora, shop.purposes[0], method=Method.portal)
        soon = ctx(at(database, WEDNESDAY + HOUR), server.port)
        await jobs.send(soon, str(shop.business.id), str(campaign.id))
        await jobs.sweep(soon)
    assert await state(database, shop, campaign) is State.done


@pytest.mark.parametrize("how", ["stale", "cancelled", "withdrawn", "imported", "retired"])
async def test_what_was_put_off_and_does_not_go_gives_its_place(
    database: Database, how: str
) -> None:
    """It was tried and held her place since; another campaign found her week full meanwhile."""
    now, late = at(database, WEDNESDAY), at(database, WEDNESDAY + 3 * HOUR)
    shop = await opened(now)
    (nora,) = shop.readers
    await wishes(now, shop, Wanted(1))
    one, other = await started(now, shop, 0, hours=2), await started(now, shop, 1, hours=48)
    async with smtpd() as relay:
        relay.fails_for("reader0@example.com", "rcpt", "451 4.2.1 Later")
        assert (await worked(now, shop, one, relay)).waiting == 1
        assert (await worked(now, shop, other, relay)).deferred == 1
    async with smtpd() as relay:
        if how == "stale":
            assert (await worked(late, shop, one, relay)).failed == 1
        elif how == "retired":
            # That takes nobody out: the next try does.
            soon = at(database, WEDNESDAY + 1.5 * HOUR)
            async with soon.write(shop.business.id) as db:
                await consent.retire(db, make.SYSTEM, one.purpose_id)
            assert (await worked(soon, shop, one, relay)).excluded == 1
        else:
            async with late.write(shop.business.id) as db:
                await _ended(db, one, nora, how)
            assert [args for job, args, _ in db.wakes if job == GIVES] == [
                (str(shop.business.id), str(nora))
            ]
            await jobs.give_places(ctx(late, 1), str(shop.business.id), str(nora))
        async with late.read(shop.business.id) as read:
            assert (await rhythm.attention(read, nora)).week.taken == 0
        assert (await worked(late, shop, other, relay)).sent == 1


async def _ended(db: Db, campaign: Campaign, nora: UUID, how: str) -> None:
    if how == "cancelled":
        await campaigns.cancel(db, make.SYSTEM, campaign.id)
        assert await cancelling.clear_range(db, campaign.id)
    elif how == "withdrawn":
        me = Actor.customer(nora)
        await consent.withdraw(db, me, nora, campaign.purpose_id, method=Method.portal)
    else:
        states = await consent.states_for(db, campaign.purpose_id, [nora])
        held = states[nora]
        version = await consent.version(db, campaign.purpose_id, held.purpose_version)
        no = consent.NewEvent(
            customer_id=nora,
            purpose=version.cited,
            status=consent.Status.withdrawn,
            method=Method.imported,
            at=db.now,
        )
        await consent.append_many(db, make.SYSTEM, [(no, held)])


async def test_a_place_of_a_record_that_was_merged_is_given(database: Database) -> None:
    """Her mail is uncertain, and counts in the week of the record that is kept."""
    now = at(database, WEDNESDAY)
    shop = await opened(now, 2)
    kept, other = shop.readers
    await wishes(now, shop, Wanted(1), kept)
    one = await started(now, shop, 0)
    who = await member(now, shop.business)
    async with smtpd() as server:
        server.fails_for("reader0@example.com", "rcpt", GONE)
        server.fails("dot", Fault(drop=True))
        assert (await worked(now, shop, one, server)).uncertain == 1
    async with now.write(shop.business.id) as db:
        await merging.merge(db, make.SYSTEM, kept, other)
    two = await started(now, shop, 1)
    async with smtpd() as server:
        await jobs.send(ctx(now, server.port), str(shop.business.id), str(two.id))
        async with now.write(shop.business.id) as db:
            assert (await campaigns.counts(db, two.id)).deferred == 1
            await campaigns.resolve(db, who.actor, one.id, other, DeliveryState.failed)
        await jobs.give_places(ctx(now, 1), str(shop.business.id), str(other))
        await jobs.send(ctx(now, server.port), str(shop.business.id), str(two.id))
        assert server.accepted() == ["reader0@example.com"]


async def test_a_place_of_a_record_that_was_merged_is_given_by_cancelling(
    database: Database,
) -> None:
    """Its mail was on the way, was put off, and held a place of the record that is kept."""
    now = at(database, WEDNESDAY)
    shop = await opened(now, 2)
    kept, other = shop.readers
    await wishes(now, shop, Wanted(1), kept)
    one, held = await started(now, shop, 0), asyncio.Event()
    async with smtpd() as server:
        server.fails_for("reader0@example.com", "rcpt", GONE)
        server.fails("dot", Fault(until=held, reply="451 4.3.0 Later"))
        sending = asyncio.create_task(worked(now, shop, one, server))
        await server.until_heard(".")
        async with now.write(shop.business.id) as db:
            await merging.merge(db, make.SYSTEM, kept, other)
        held.set()
        assert (await sending).waiting == 1
    async with now.write(shop.business.id) as db:
        await campaigns.cancel(db, make.SYSTEM, one.id)
        assert await cancelling.clear_range(db, one.id)
    assert [args for job, args, _ in db.wakes if job == GIVES] == [
        (str(shop.business.id), str(kept))
    ]
