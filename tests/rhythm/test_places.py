"""A place of the week that is free again is offered, and a range with nobody left does not rest."""

from __future__ import annotations

import pytest

from crm import campaigns, consent
from crm.campaigns import DeliveryState, State, jobs
from crm.consent import Method
from crm.db import Database
from crm.events import Actor
from crm.rhythm import Wanted
from tests.campaigns.site import member
from tests.rhythm.test_obey import (
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
