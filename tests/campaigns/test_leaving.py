"""Leaving beats sending: whoever has been answered that she left is not claimed afterwards."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from litestar.types import ASGIApp
from msgspec import Struct

from crm import campaigns, consent, customers, privacy
from crm.businesses import Business
from crm.campaigns import DeliveryState, Received, State, filling, jobs
from crm.consent import Method, Purpose
from crm.customers import Customer
from crm.db import Database
from crm.errors import Refused
from crm.events import Actor
from crm.imports import Import
from crm.imports.lists import Lists
from crm.imports.working import Work, sql
from crm.tokens import Stop, stop_token
from tests import make
from tests.browser import Browser
from tests.campaigns.site import begun
from tests.campaigns.test_send import settings, started
from tests.conftest import KEYS
from tests.rhythm.test_obey import at
from tests.smtpd import Fault, Smtpd, smtpd

CUSTOMERS = 120
LEAVERS = 20


class Leaving(Struct, frozen=True):
    """Everything it takes to leave by any of the ways there are."""

    database: Database
    business: Business
    site: ASGIApp
    web: Browser
    api: Browser
    campaign_id: UUID
    purpose: Purpose

    async def by_one_click(self, customer: Customer) -> int:
        """As a mail program does (RFC 8058)."""
        hashed = KEYS.address_hash(self.business.id, customers.fold(customer.address))
        token = stop_token(KEYS, Stop(self.business.id, hashed, self.purpose.code))
        answer = await self.web.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"})
        return answer.status_code

    async def by_portal(self, customer: Customer) -> int:
        """Signed in, by the button beside the text."""
        async with Browser(self.site, self.business.origin) as portal:
            await make.let_in_as_customer(self.database, self.business, customer, portal)
            form = {"csrf": await portal.token("/me/consent")}
            path = f"/me/consent/{self.purpose.id}/withdrawal"
            return (await portal.post(path, data=form)).status_code

    async def by_api(self, customer: Customer) -> int:
        """Told to the shop, which passes it on."""
        path = f"/v1/customers/{customer.id}/consent-events"
        body = {"purpose": str(self.purpose.id), "status": "withdrawn"}
        return (await self.api.post(path, json=body)).status_code

    async def by_suppression(self, customer: Customer) -> int:
        """Told by address."""
        body = {"address": customer.address}
        return (await self.api.post("/v1/suppressions", json=body)).status_code

    async def by_restriction(self, customer: Customer) -> int:
        """Have the record frozen."""
        path = f"/v1/customers/{customer.id}/restriction"
        return (await self.api.post(path)).status_code

    async def leave(self, customer: Customer, number: int) -> Received:
        """Leave by one of the ways; when that is answered, see how the delivery stands."""
        ways = (
            self.by_one_click,
            self.by_portal,
            self.by_api,
            self.by_suppression,
            self.by_restriction,
        )
        status = await ways[number % len(ways)](customer)
        assert status < 400, ways[number % len(ways)].__name__
        async with self.database.read(self.business.id) as read:
            found = await campaigns.received_one(read, self.campaign_id, customer.id)
        assert found is not None
        return found


async def _started(database: Database, business: Business) -> tuple[UUID, Purpose, list[Customer]]:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        ids = await make.audience(db, await make.notice(db, purpose.id), CUSTOMERS)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, Actor.system(), campaign.id)
        known = await customers.of_ids(db, ids)
    return campaign.id, purpose, [known[each] for each in sorted(ids)]


async def test_nobody_is_claimed_after_leaving_was_answered(
    database: Database, business: Business, site: ASGIApp, web: Browser, api: Browser
) -> None:
    """Customers not yet served leave by every way there is, while the campaign is sent."""
    campaign_id, purpose, people = await _started(database, business)
    # The last of the order in which it is sent: they have not been served when they leave.
    leavers = people[-LEAVERS:]
    released = asyncio.Event()
    leaving = Leaving(database, business, site, web, api, campaign_id, purpose)
    async with smtpd() as relay:
        # The relay takes a few and then holds the rest back until all have left.
        for customer in people[10:14]:
            relay.fails_for(customer.address, "dot", Fault(until=released))
        ctx: jobs.Ctx = {
            "database": database,
            "settings": settings(relay.port, batch=5, connections=2, range=1000),
            "sending": asyncio.Lock(),
        }
        await jobs.fill(ctx, str(business.id), str(campaign_id))
        sending = asyncio.create_task(jobs.send(ctx, str(business.id), str(campaign_id)))
        await relay.until_heard(".", 5)
        answered = await asyncio.gather(
            *(leaving.leave(each, number) for number, each in enumerate(leavers))
        )
        released.set()
        await sending

    assert {each.state for each in answered} == {DeliveryState.excluded}
    await _balanced(database, business, campaign_id, relay, leavers)


async def _balanced(
    database: Database, business: Business, campaign_id: UUID, relay: Smtpd, leavers: list[Customer]
) -> None:
    async with database.read(business.id) as db:
        counts = await campaigns.recount(db, campaign_id)
        cheap = await campaigns.counts(db, campaign_id)
    gone = {each.address for each in leavers}

    assert counts.audience == cheap.audience == CUSTOMERS
    assert counts.sent == cheap.sent == CUSTOMERS - LEAVERS
    assert counts.excluded == cheap.excluded == LEAVERS
    assert counts.reasons == {"withdrawn": 12, "suppressed": 4, "frozen": 4}
    assert len(relay.accepted()) == CUSTOMERS - LEAVERS
    assert not gone & set(relay.accepted())


async def test_a_withdrawal_during_the_filling_is_seen(
    own_database: Database,
) -> None:
    """A withdrawal that could not see the deliveries keeps the campaign from opening."""
    business = await make.business(own_database)
    campaign_id, purpose, people = await _started(own_database, business)
    async with smtpd() as relay:
        ctx: jobs.Ctx = {
            "database": own_database,
            "settings": settings(relay.port, range=1000),
            "sending": asyncio.Lock(),
        }
        async with own_database.write(business.id) as withdrawing:
            # Its trigger runs now, and finds no delivery: none is written yet.
            leaver = people[0].id
            by = Actor.customer(leaver)
            await consent.withdraw(withdrawing, by, leaver, purpose.id, method=Method.portal)
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


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_only_an_import_of_ones_own_is_waited_for(
    own_database: Database, *, elsewhere: bool
) -> None:
    """It may decide about customers of the campaign; that of another business about none."""
    business = await make.business(own_database)
    campaign_id, purpose, _ = await _started(own_database, business)
    importing = business
    if elsewhere:
        importing = await make.business(own_database)
        async with own_database.write(importing.id) as db:
            purpose = await make.purpose(db)
            await make.notice(db, purpose.id)
    async with own_database.write(importing.id) as db:
        waiting = await make.received(db, purpose.slug, "email\n")
    at_work, may_end = asyncio.Event(), asyncio.Event()

    async def begin() -> Import | None:
        async with own_database.write(importing.id) as db:
            return await db.maybe(
                sql.begin_import, Import, import_id=waiting.id, quiet_since=db.now
            )

    async def opened(_: Import) -> Lists:
        at_work.set()
        await may_end.wait()
        raise Refused("Enough was seen.")

    work = asyncio.create_task(Work(own_database, importing.id).through(begin, opened))
    await at_work.wait()
    more = True
    while more:
        async with own_database.write(business.id) as db:
            more = await filling.fill_piece(db, campaign_id, 1000)
    if elsewhere:
        await begun(own_database, business, campaign_id)
    async with own_database.write(business.id) as db:
        assert not await filling.begin_sending(db, campaign_id)
        waited = await campaigns.waits_for_import(db, campaign_id)
        state = (await campaigns.get(db, campaign_id)).state
    may_end.set()
    with pytest.raises(Refused):
        await work

    # The console says so.
    assert (state, waited) == ((State.sending, False) if elsewhere else (State.starting, True))
    if not elsewhere:
        await begun(own_database, business, campaign_id)


async def _filled(database: Database, business: Business, campaign_id: UUID) -> bool:
    async with database.read(business.id) as db:
        found: bool = await db._conn.fetchval(  # noqa: SLF001
            "SELECT filled_by IS NOT NULL FROM crm.campaign WHERE campaign_id = $1", campaign_id
        )
    return found


async def test_who_is_erased_while_her_mail_is_put_off_holds_up_nobody(
    database: Database, business: Business
) -> None:
    """What comes back of hers is left out when its turn comes; the others get theirs."""
    campaign_id, ids = await started(database, business, 5)
    own, campaign, answer = str(business.id), str(campaign_id), asyncio.Event()
    async with smtpd() as relay:
        ctx: jobs.Ctx = {
            "database": database,
            "settings": settings(relay.port),
            "sending": asyncio.Lock(),
        }
        await jobs.fill(ctx, own, campaign)
        relay.fails("dot", *[Fault(until=answer, reply="451 4.7.1 Later, please")] * len(ids))
        sending = asyncio.create_task(jobs.send(ctx, own, campaign))
        await relay.until_heard(".", ctx["settings"].sending.connections)
        async with database.write(business.id) as db:
            await privacy.erase(db, make.SYSTEM, ids[0])
            now = db.now
        answer.set()
        await sending
        for hours in range(1, 5):
            later = at(database, now + timedelta(hours=hours))
            await jobs.send(ctx | {"database": later}, own, campaign)
        async with database.read(business.id) as db:
            counts = await campaigns.recount(db, campaign_id)
            state = (await campaigns.get(db, campaign_id)).state

    assert (state, counts.sent, counts.reasons) == (State.done, len(ids) - 1, {"erased": 1})
