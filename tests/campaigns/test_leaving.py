"""Leaving beats sending: whoever has been answered that she left is not claimed afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from crm import campaigns, consent, mail
from crm.businesses import Business
from crm.campaigns import DeliveryState, Received, jobs
from crm.consent import Method
from crm.customers import restrict
from crm.db import Database, Db
from crm.events import Actor
from crm.mail import Scope, Why
from tests import make
from tests.campaigns.test_send import settings
from tests.smtpd import Fault, Smtpd, smtpd

CUSTOMERS = 120
LEAVERS = 20

Leave = Callable[[Db, UUID, UUID], Awaitable[object]]


async def _by_one_click(db: Db, customer_id: UUID, purpose_id: UUID) -> object:
    by = Actor.customer(customer_id)
    return await consent.withdraw(db, by, customer_id, purpose_id, method=Method.one_click)


async def _by_portal(db: Db, customer_id: UUID, purpose_id: UUID) -> object:
    by = Actor.customer(customer_id)
    return await consent.withdraw(db, by, customer_id, purpose_id, method=Method.portal)


async def _by_api(db: Db, customer_id: UUID, purpose_id: UUID) -> object:
    by = Actor.key(UUID(int=1), "Shop")
    return await consent.withdraw(db, by, customer_id, purpose_id, method=Method.api)


async def _by_suppression(db: Db, customer_id: UUID, _: UUID) -> object:
    hashes = await db._conn.fetchval(  # noqa: SLF001  (no action tells a fingerprint)
        "SELECT address_hash FROM crm.customer WHERE customer_id = $1", customer_id
    )
    await mail.suppress(db, Actor.system(), hashes, Scope.marketing, Why.staff)
    return None


async def _by_restriction(db: Db, customer_id: UUID, _: UUID) -> object:
    return await restrict(db, Actor.system(), customer_id)


WAYS: list[Leave] = [_by_one_click, _by_portal, _by_api, _by_suppression, _by_restriction]


async def _started(database: Database, business: Business) -> tuple[UUID, UUID, list[UUID]]:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        ids = await make.audience(db, await make.notice(db, purpose.id), CUSTOMERS)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, Actor.system(), campaign.id)
    return campaign.id, purpose.id, sorted(ids)


async def _leave(  # noqa: PLR0917  (who leaves what, how)
    database: Database,
    business: Business,
    campaign_id: UUID,
    purpose_id: UUID,
    leaver: UUID,
    way: Leave,
) -> Received:
    """Leave; when that is answered, see how the delivery stands."""
    async with database.write(business.id) as db:
        await way(db, leaver, purpose_id)
    async with database.read(business.id) as read:
        found = await campaigns.received_one(read, campaign_id, leaver)
    assert found is not None
    return found


async def test_nobody_is_claimed_after_leaving_was_answered(
    database: Database, business: Business
) -> None:
    """Customers not yet served leave by every way there is, while the campaign is sent."""
    campaign_id, purpose_id, ids = await _started(database, business)
    # The last of the order in which it is sent: they have not been served when they leave.
    leavers = ids[-LEAVERS:]
    released = asyncio.Event()
    async with smtpd() as relay:
        # The relay takes a few and then holds the rest back until all have left.
        for recipient in await _addresses(database, business, ids[10:14]):
            relay.fails_for(recipient, "dot", Fault(until=released))
        ctx: jobs.Ctx = {
            "database": database,
            "settings": settings(relay.port, batch=5, connections=2, range=1000),
            "sending": asyncio.Lock(),
        }
        await jobs.fill(ctx, str(business.id), str(campaign_id))
        sending = asyncio.create_task(jobs.send(ctx, str(business.id), str(campaign_id)))
        await relay.until_heard(".", 5)
        answered = await asyncio.gather(
            *(
                _leave(database, business, campaign_id, purpose_id, each, WAYS[n % len(WAYS)])
                for n, each in enumerate(leavers)
            )
        )
        released.set()
        await sending

    assert {each.state for each in answered} == {DeliveryState.excluded}
    await _balanced(database, business, campaign_id, relay, leavers)


async def _balanced(
    database: Database, business: Business, campaign_id: UUID, relay: Smtpd, leavers: list[UUID]
) -> None:
    async with database.read(business.id) as db:
        counts = await campaigns.recount(db, campaign_id)
        cheap = await campaigns.counts(db, campaign_id)
    gone = set(await _addresses(database, business, leavers))

    assert counts.audience == cheap.audience == CUSTOMERS
    assert counts.sent == cheap.sent == CUSTOMERS - LEAVERS
    assert counts.excluded == cheap.excluded == LEAVERS
    assert counts.reasons == {"withdrawn": 12, "suppressed": 4, "frozen": 4}
    assert len(relay.accepted()) == CUSTOMERS - LEAVERS
    assert not gone & set(relay.accepted())


async def _addresses(database: Database, business: Business, ids: list[UUID]) -> list[str]:
    async with database.read(business.id) as db:
        rows = await db._conn.fetch(  # noqa: SLF001
            "SELECT address FROM crm.customer WHERE customer_id = ANY ($1) ORDER BY customer_id",
            ids,
        )
    return [row["address"] for row in rows]


async def test_a_withdrawal_during_the_filling_is_seen(
    own_database: Database,
) -> None:
    """A withdrawal that could not see the deliveries keeps the campaign from opening."""
    business = await make.business(own_database)
    campaign_id, purpose_id, ids = await _started(own_database, business)
    async with smtpd() as relay:
        ctx: jobs.Ctx = {
            "database": own_database,
            "settings": settings(relay.port, range=1000),
            "sending": asyncio.Lock(),
        }
        async with own_database.write(business.id) as withdrawing:
            # Its trigger runs now, and finds no delivery: none is written yet.
            await _by_portal(withdrawing, ids[0], purpose_id)
            filling = asyncio.create_task(jobs.fill(ctx, str(business.id), str(campaign_id)))
            # The rows say when the filling is over; no event does.
            while not await _filled(own_database, business, campaign_id):  # noqa: ASYNC110
                await asyncio.sleep(0)
            async with own_database.read(business.id) as db:
                before = (await campaigns.get(db, campaign_id)).state
        await filling
        await jobs.send(ctx, str(business.id), str(campaign_id))
    async with own_database.read(business.id) as db:
        counts = await campaigns.recount(db, campaign_id)

    assert before == "starting"
    assert counts.reasons == {"withdrawn": 1}
    assert counts.sent == CUSTOMERS - 1


async def _filled(database: Database, business: Business, campaign_id: UUID) -> bool:
    async with database.read(business.id) as db:
        found: bool = await db._conn.fetchval(  # noqa: SLF001
            "SELECT filled_by IS NOT NULL FROM crm.campaign WHERE campaign_id = $1", campaign_id
        )
    return found
