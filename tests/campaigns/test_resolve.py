"""What nobody knows is resolved by a person, once, with the name on it; what is forgotten."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from crm import campaigns, events
from crm.businesses import Business
from crm.campaigns import DeliveryState, NothingUncertain, OtherNumber, filling
from crm.db import Database, parse
from crm.events import Actor
from tests.campaigns.site import drafted, member

SYSTEM = Actor.system()
DOUBT = parse(
    """-- name: doubt
-- As a worker leaves it that was killed after handing over.
WITH d AS (
  UPDATE crm.delivery SET state = 'uncertain', reply = '451 reader0@example.com', done_at = :now
   WHERE business_id = :business_id AND campaign_id = :campaign_id AND customer_id = :customer_id
)
UPDATE crm.lease SET waiting = waiting - 1, uncertain = uncertain + 1
 WHERE business_id = :business_id AND campaign_id = :campaign_id
   AND low < :customer_id AND high >= :customer_id
"""
)[0]


async def doubted(database: Database, business: Business) -> tuple[UUID, UUID]:
    """A campaign of three, one of which is uncertain."""
    campaign, _, ids = await drafted(database, business)
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
        await filling.fill_piece(db, campaign.id, 10)
        await db.run(DOUBT, campaign_id=campaign.id, customer_id=ids[0])
    return campaign.id, ids[0]


@pytest.mark.parametrize("ending", [DeliveryState.sent, DeliveryState.failed])
async def test_a_member_says_what_became_of_it(
    database: Database, business: Business, ending: DeliveryState
) -> None:
    """The row, its count and the name change together."""
    who = await member(database, business)
    campaign_id, customer_id = await doubted(database, business)
    async with database.write(business.id) as db:
        await campaigns.resolve(db, who.actor, campaign_id, customer_id, ending)
        cheap = await campaigns.counts(db, campaign_id)
        (row,) = await campaigns.deliveries(db, campaign_id, ending)

    assert (row.customer_id, row.resolved_by) == (customer_id, who.id)
    assert (getattr(cheap, ending), cheap.uncertain, cheap.audience) == (1, 0, 3)


async def test_once_and_only_by_a_member_and_only_to_an_end(
    database: Database, business: Business
) -> None:
    """A program, a second time, and a return to the queue are refused."""
    who = await member(database, business)
    campaign_id, customer_id = await doubted(database, business)
    key = Actor.key(uuid4(), "Shop")
    async with database.write(business.id) as db:
        with pytest.raises(NothingUncertain):
            await campaigns.resolve(db, key, campaign_id, customer_id, DeliveryState.sent)
        with pytest.raises(NothingUncertain):
            await campaigns.resolve(db, who.actor, campaign_id, customer_id, DeliveryState.waiting)
        await campaigns.resolve(db, who.actor, campaign_id, customer_id, DeliveryState.sent)
        with pytest.raises(NothingUncertain):
            await campaigns.resolve(db, who.actor, campaign_id, customer_id, DeliveryState.failed)


async def test_all_at_once(database: Database, business: Business) -> None:
    """Only the number that was looked at, by a member; the name is on each, one event says it."""
    who = await member(database, business)
    campaign_id, _ = await doubted(database, business)
    async with database.write(business.id) as db:
        waiting = await campaigns.deliveries(db, campaign_id, DeliveryState.waiting)
        await db.run(DOUBT, campaign_id=campaign_id, customer_id=waiting[0].customer_id)
        key = Actor.key(uuid4(), "Shop")
        for by, number, refusal in [
            (who.actor, 1, OtherNumber),
            (who.actor, 3, OtherNumber),
            (key, 2, NothingUncertain),
        ]:
            with pytest.raises(refusal):
                await campaigns.resolve_all(
                    db, by, campaign_id, DeliveryState.failed, number=number
                )
        before = await campaigns.counts(db, campaign_id)
        await campaigns.resolve_all(db, who.actor, campaign_id, DeliveryState.failed, number=2)
        after = await campaigns.counts(db, campaign_id)
        rows = await campaigns.deliveries(db, campaign_id, DeliveryState.failed)
        with pytest.raises(NothingUncertain):
            await campaigns.resolve_all(db, who.actor, campaign_id, DeliveryState.sent, number=2)
        counted = await campaigns.recount(db, campaign_id)
        told = [each for each in await events.page(db) if each.ref == campaign_id]

    assert (before.uncertain, before.failed) == (2, 0)
    assert after == counted
    assert (after.uncertain, after.failed, after.audience) == (0, 2, 3)
    assert {row.resolved_by for row in rows} == {who.id}
    assert [each.reason for each in told if each.kind == "delivery.resolved"] == ["failed: 2"]


async def test_what_is_exported_and_what_is_forgotten(
    database: Database, business: Business
) -> None:
    """The text is in the export; the relay's words about an address go, the delivery stays."""
    campaign_id, customer_id = await doubted(database, business)
    async with database.write(business.id) as db:
        (before,) = [each async for each in campaigns.export(db, customer_id)]
        forgotten = await campaigns.forget(db, customer_id)
        (after,) = [each async for each in campaigns.export(db, customer_id)]
        again = await campaigns.forget(db, customer_id)
        (text,) = [each async for each in campaigns.texts(db, customer_id)]
        counts = await campaigns.recount(db, campaign_id)

    assert "# Rye" in text.source
    assert before.reply == "451 reader0@example.com"
    assert (forgotten["delivery"], after.reply, again["delivery"]) == (1, None, 0)
    assert after.state is DeliveryState.uncertain
    assert counts.audience == 3
