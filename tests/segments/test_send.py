"""A campaign to a segment goes to whom its rule selected at the start, and to nobody else."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from crm import campaigns, consent, customers, privacy, rhythm, segments
from crm.campaigns import NewPlan, aim, checking, filling
from crm.campaigns.model import KeptSegment
from crm.consent import Method
from crm.db import Database, ReadDb
from crm.errors import Invalid
from crm.events import Actor
from crm.segments import NewSegment, SegmentInUse
from crm.tokens import Why, why_token
from tests import make
from tests.browser import Browser
from tests.segments.conftest import Shop

_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
BAKERS = NewSegment(name="Bakers", rule={"test": "tag", "name": "bakes"})


async def _draft(database: Database, shop: Shop) -> UUID:
    async with database.write(shop.business.id) as db:
        segment = await segments.add(db, make.SYSTEM, BAKERS)
        purpose_id = shop.notice.purpose_id
        return (await make.campaign(db, purpose_id, segment_id=segment.id)).id


async def _filled(database: Database, shop: Shop, campaign_id: UUID, size: int = 3) -> None:
    going = True
    while going:
        async with database.write(shop.business.id) as db:
            going = await filling.fill_piece(db, campaign_id, size)


async def test_the_review_counts_the_segment(database: Database, shop: Shop) -> None:
    campaign_id = await _draft(database, shop)
    left = shop.tagged[0]
    async with database.write(shop.business.id) as db:
        purpose_id = shop.notice.purpose_id
        await consent.withdraw(db, Actor.customer(left), left, purpose_id, method=Method.portal)
    async with database.read(shop.business.id) as read:
        review = await campaigns.review(read, campaign_id)

    assert (review.will_get, review.left_out, review.outside) == (3, {"withdrawn": 1}, 8)
    assert review.audience == 4


async def test_it_goes_to_whom_the_rule_selected_at_the_start(
    database: Database, shop: Shop
) -> None:
    """Whatever becomes of the segment, and of who has the tag, while the audience is written."""
    campaign_id = await _draft(database, shop)
    frozen, left = shop.tagged[:2]
    async with database.write(shop.business.id) as db:
        await customers.restrict(db, make.SYSTEM, frozen)
        purpose_id = shop.notice.purpose_id
        await consent.withdraw(db, Actor.customer(left), left, purpose_id, method=Method.portal)
        await campaigns.start(db, make.SYSTEM, campaign_id)
    async with database.write(shop.business.id) as db:
        segment = await segments.by_name(db, "Bakers")
        await segments.drop(db, make.SYSTEM, segment.id)
    await _filled(database, shop, campaign_id)
    async with database.read(shop.business.id) as read:
        campaign = await campaigns.get(read, campaign_id)
        counts = await campaigns.counts(read, campaign_id)
        waiting = await campaigns.deliveries(read, campaign_id, campaigns.DeliveryState.waiting)

    assert campaign.segment_id is None
    assert campaign.segment_kept is not None
    assert campaign.segment_kept.rule == BAKERS.rule
    assert [each.customer_id for each in waiting] == shop.tagged[2:]
    assert (counts.audience, counts.reasons) == (3, {"withdrawn": 1})


async def test_whoever_got_it_is_told_that_some_were_chosen(
    database: Database, shop: Shop, web: Browser
) -> None:
    """Behind the link of the mail nobody reads that it went to everybody (promise 1)."""
    campaign_id = await _draft(database, shop)
    her = shop.tagged[0]
    async with database.write(shop.business.id) as db:
        await campaigns.start(db, make.SYSTEM, campaign_id)
    await _filled(database, shop, campaign_id)
    async with database.read(shop.business.id) as read:
        address = (await customers.get(read, her)).address
    fingerprint = database.keys.address_hash(shop.business.id, customers.fold(address))
    why = why_token(database.keys, Why(shop.business.id, fingerprint, campaign_id))
    text = (await web.get(f"/why/{why}")).text

    assert "we chose whom it concerns by what we hold about them" in text
    assert "You were not picked" not in text


async def test_an_erasure_between_asking_and_writing_leaves_out_nobody_else(
    database: Database, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The piece ends where it was asked to, not a customer further on (promise 3)."""
    async with database.write(shop.business.id) as db:
        everybody = NewSegment(name="Everybody", rule={"test": "all", "of": []})
        segment = await segments.add(db, make.SYSTEM, everybody)
        purpose_id = shop.notice.purpose_id
        campaign = await make.campaign(db, purpose_id, segment_id=segment.id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    gone, *others = sorted(shop.ids, key=str)

    async def slowly(db: ReadDb, kept: KeptSegment, at: datetime, ids: list[UUID]) -> list[UUID]:
        if gone in ids:
            async with database.write(shop.business.id) as other:
                await privacy.erase(other, make.SYSTEM, gone)
        return await aim.of_segment(db, kept, at, ids)

    monkeypatch.setattr(filling, "of_segment", slowly)
    await _filled(database, shop, campaign.id)
    async with database.read(shop.business.id) as read:
        found = await campaigns.deliveries(read, campaign.id, campaigns.DeliveryState.waiting)

    assert [each.customer_id for each in found] == others


async def test_what_is_forecast_of_a_digest_that_was_stopped(
    database: Database, shop: Shop
) -> None:
    """Whoever chose it gets each issue again; the review of a segment knows it too."""
    campaign_id = await _draft(database, shop)
    purpose_id = shop.notice.purpose_id
    async with database.write(shop.business.id) as db:
        olga = (await make.owner(db)).actor
        await campaigns.offer_digest(db, olga, purpose_id, NewPlan(5, 9, "The week", ""))
        await rhythm.choose_digest(db, shop.tagged[0], purpose_id, weekly=True)
        offered = await campaigns.review(db, campaign_id)
        await campaigns.stop_digest(db, olga, purpose_id)
        stopped = await campaigns.review(db, campaign_id)

    assert (offered.will_get, offered.left_out) == (3, {"digest": 1})
    assert (stopped.will_get, stopped.left_out) == (4, {})


async def test_a_segment_of_nobody_ends_at_once(database: Database, shop: Shop) -> None:
    async with database.write(shop.business.id) as db:
        nobody = NewSegment(name="Nobody", rule={"test": "any", "of": []})
        segment = await segments.add(db, make.SYSTEM, nobody)
        purpose_id = shop.notice.purpose_id
        campaign = await make.campaign(db, purpose_id, segment_id=segment.id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    await _filled(database, shop, campaign.id, 5)
    async with database.read(shop.business.id) as read:
        assert (await campaigns.counts(read, campaign.id)).audience == 0


async def test_a_segment_of_another_business_is_none(
    database: Database, shop: Shop, stranger_api: Browser
) -> None:
    async with database.write(shop.business.id) as db:
        with pytest.raises(Invalid) as refused:
            await make.campaign(db, shop.notice.purpose_id, segment_id=uuid4())
        segment = await segments.add(db, make.SYSTEM, BAKERS)
    theirs = await stranger_api.get(f"/v1/segments/{segment.id}")

    assert refused.value.problems[0].field == "segment_id"
    assert theirs.status_code == 404


async def test_a_changed_segment_has_its_values_checked_anew(
    database: Database, shop: Shop
) -> None:
    """The check of a draft looked at whom its segment selected then."""
    campaign_id = await _draft(database, shop)
    async with database.write(shop.business.id) as db:
        campaign = await campaigns.get(db, campaign_id)
        before = await checking.newest(db, campaign)
        segment = await segments.by_name(db, "Bakers")
    async with database.write(shop.business.id) as db:
        wider = NewSegment(name="Bakers", rule={"test": "all", "of": []})
        await segments.change(db, make.SYSTEM, segment.id, wider)
        after = await checking.newest(db, campaign)

    assert before is not None
    assert after is None


async def test_a_segment_is_not_changed_beside_an_approval(
    database: Database, shop: Shop, root: asyncpg.Connection
) -> None:
    """Who gets it was looked at; a change at the same moment waits, and is refused."""
    campaign_id = await _draft(database, shop)

    async def change() -> None:
        async with database.write(shop.business.id) as db:
            segment = await segments.by_name(db, "Bakers")
            wider = NewSegment(name="Bakers", rule={"test": "all", "of": []})
            await segments.change(db, make.SYSTEM, segment.id, wider)

    async with database.write(shop.business.id) as db:
        await campaigns.schedule(db, make.SYSTEM, campaign_id, db.now + timedelta(days=1))
        changing = asyncio.create_task(change())
        while not changing.done() and not await root.fetchval(_WAITS):
            pass
    with pytest.raises(SegmentInUse):
        await changing
