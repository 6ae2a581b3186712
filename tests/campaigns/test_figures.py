"""What a campaign came to: sums, who left since, and how long a mail under way outlived leaving."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest

from crm import campaigns, consent, customers
from crm.businesses import Business
from crm.campaigns import DeliveryState, cancelling, filling, jobs
from crm.campaigns.composing import message_id
from crm.consent import Method
from crm.db import Database, Db, open_database, parse
from crm.events import Actor
from tests import make
from tests.browser import Browser
from tests.campaigns.site import drafted, member
from tests.campaigns.test_resolve import DOUBT
from tests.campaigns.test_send import settings
from tests.conftest import KEYS, Cluster
from tests.smtpd import Fault, smtpd

SYSTEM = Actor.system()


async def _doubt(db: Db, campaign_id: UUID, customer_id: UUID) -> None:
    await db.run(DOUBT, campaign_id=campaign_id, customer_id=customer_id)


async def test_a_mail_under_way_is_counted_with_its_time(
    database: Database, business: Business
) -> None:
    """One leaves while hers is handed over, one afterwards, one before hers was claimed."""
    campaign, notice, ids = await drafted(database, business, 12)
    first, *_, last = sorted(ids)
    held = asyncio.Event()

    async def leave(customer_id: UUID) -> None:
        async with database.write(business.id) as db:
            by = Actor.customer(customer_id)
            await consent.withdraw(db, by, customer_id, notice.purpose_id, method=Method.portal)

    async with smtpd() as relay:
        relay.fails("dot", Fault(until=held))
        ctx: jobs.Ctx = {
            "database": database,
            "settings": settings(relay.port, batch=1, connections=1),
            "sending": asyncio.Lock(),
        }
        async with database.write(business.id) as db:
            await campaigns.start(db, SYSTEM, campaign.id)
        await jobs.fill(ctx, str(business.id), str(campaign.id))
        job = asyncio.create_task(jobs.send(ctx, str(business.id), str(campaign.id)))
        await relay.until_heard(".", 1)
        await leave(first)
        await leave(last)
        held.set()
        await job
    await leave(sorted(ids)[4])
    async with database.read(business.id) as read:
        told = await campaigns.figures(read, campaign.id)
        counted = await campaigns.recount(read, campaign.id)

    assert (told.counts.sent, told.counts.reasons) == (11, {"withdrawn": 1})
    assert told.counts.reasons == counted.reasons
    assert (told.leavers.withdrawals, told.leavers.after_mail, told.leavers.on_the_way) == (3, 1, 1)
    assert 0 < told.leavers.longest <= told.seconds


@pytest.mark.parametrize("seed", range(4))
async def test_sums_over_ranges_are_a_count_of_rows(
    database: Database, business: Business, seed: int
) -> None:
    """Also after withdrawals, freezing, doubt, resolutions and a cancellation in any order."""
    random = Random(seed)
    who = await member(database, business)
    campaign, notice, ids = await drafted(database, business, 30)
    async with database.write(business.id) as db:
        await consent.withdraw(
            db, Actor.customer(ids[0]), ids[0], notice.purpose_id, method=Method.portal
        )
        await campaigns.start(db, SYSTEM, campaign.id)
        while await filling.fill_piece(db, campaign.id, 7):
            pass
    cancelled = random.randrange(8, 20)
    for turn in range(20):
        async with database.write(business.id) as db:
            picked = random.choice(ids[1:])
            waiting = await campaigns.deliveries(db, campaign.id, DeliveryState.waiting)
            uncertain = (await campaigns.counts(db, campaign.id)).uncertain
            if turn == cancelled:
                await campaigns.cancel(db, SYSTEM, campaign.id)
            elif turn > cancelled:
                await cancelling.clear_range(db, campaign.id)
            elif turn % 3 == 0:
                by = Actor.customer(picked)
                await consent.withdraw(db, by, picked, notice.purpose_id, method=Method.portal)
            elif turn % 3 == 1:
                await _doubt(db, campaign.id, random.choice(waiting).customer_id)
            elif uncertain:
                ending = random.choice([DeliveryState.sent, DeliveryState.failed])
                await campaigns.resolve_all(db, who.actor, campaign.id, ending, number=uncertain)
        async with database.read(business.id) as read:
            cheap = await campaigns.counts(read, campaign.id)
            assert cheap == await campaigns.recount(read, campaign.id)
            assert (cheap.audience, sum(cheap.reasons.values())) == (30, cheap.excluded)


async def test_staff_and_programs_read_them(
    database: Database, business: Business, console: Browser, api: Browser
) -> None:
    """The page and the answer say the same; a draft has none."""
    campaign, _, _ = await drafted(database, business, 2)
    early = await console.get(f"/staff/campaigns/{campaign.id}/figures")
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
        await filling.fill_piece(db, campaign.id, 10)
    shown = await console.get(f"/staff/campaigns/{campaign.id}/figures")
    told = (await api.get(f"/v1/campaigns/{campaign.id}/figures")).json()

    assert early.headers["location"].endswith("/review")
    assert "At no withdrawal was a mail on its way" in shown.text
    assert (told["counts"]["audience"], told["counts"]["waiting"]) == (2, 2)
    assert told["leavers"] == {
        "withdrawals": 0,
        "after_mail": 0,
        "on_the_way": 0,
        "longest": 0.0,
    }


async def test_all_that_is_uncertain_is_resolved_on_its_page(
    database: Database, business: Business, console: Browser
) -> None:
    """The page names what to look for in the relay's log, and the number; a box confirms it."""
    campaign, _, ids = await drafted(database, business, 3)
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
        await filling.fill_piece(db, campaign.id, 10)
        for customer_id in ids[:2]:
            await _doubt(db, campaign.id, customer_id)
    here = f"/staff/campaigns/{campaign.id}/deliveries/uncertain"
    page = await console.get(here)
    async with database.read(business.id) as read:
        known = await customers.of_ids(read, ids[:2])
    sought = [
        message_id(
            campaign.id, KEYS.address_hash(business.id, customers.fold(each.address)), business
        )
        for each in known.values()
    ]
    form = {"csrf": await console.token(here), "number": "2", "ending": "sent"}
    path = f"/staff/campaigns/{campaign.id}/uncertain/resolution"
    unsure = await console.post(path, data=form)
    async with database.read(business.id) as read:
        before = (await campaigns.counts(read, campaign.id)).uncertain
    await console.post(path, data=form | {"sure": "yes"})
    async with database.read(business.id) as read:
        after = await campaigns.counts(read, campaign.id)

    assert page.text.count("In the relay’s log, look for") == 2
    assert all(each in page.text for each in sought)
    assert "I have looked, and say this of all 2" in page.text
    assert (unsure.status_code, before) == (303, 2)
    assert (after.uncertain, after.sent) == (0, 2)


async def test_what_did_not_arrive_is_told_by_domain_and_never_of_a_few(
    own_cluster: Cluster, own_database: Database
) -> None:
    """One provider refuses, a person's own domain too: staff see the first, and the second goes."""
    business = await make.business(own_database)
    async with own_database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        await make.audience(db, notice, 8)
        await make.audience(db, notice, 1, prefix="nora", domain="lindqvist.example")
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, SYSTEM, campaign.id)
    async with smtpd() as relay:
        relay.fails("rcpt", *["550 5.1.1 No such user"] * 9)
        ctx: jobs.Ctx = {
            "database": own_database,
            "settings": settings(relay.port),
            "sending": asyncio.Lock(),
        }
        await jobs.fill(ctx, str(business.id), str(campaign.id))
        await jobs.send(ctx, str(business.id), str(campaign.id))
    async with own_database.read(business.id) as db:
        found = await campaigns.figures(db, campaign.id)
        later = db.now + timedelta(days=31)

    assert [(each.kind, each.reason, each.customers) for each in found.troubles] == [
        ("failed", "no_such_mailbox", 8)
    ]
    assert (found.hard, found.complaints) == (9, 0)
    async with (
        open_database(own_cluster.app_url, KEYS, size=1, clock=lambda: later) as afterwards,
        afterwards.write(business.id) as db,
    ):
        await campaigns.forget_few(db)
    async with own_database.read(business.id) as db:
        kept = await db.many(_DOMAINS, str)
    assert kept == [found.troubles[0].domain]


(_DOMAINS,) = parse(
    """
-- name: domains
-- Every domain of which something is counted.
SELECT domain FROM crm.domain_trouble WHERE business_id = :business_id
"""
)
