"""A campaign that rests because all relays are at their caps: it goes on as soon as one is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from crm import above, campaigns, consent
from crm.campaigns import State, jobs, sending
from crm.campaigns.claiming import leave
from crm.consent import Method
from crm.db import Database, Db
from crm.events import Actor
from crm.mail import relays
from crm.mail.relays import Relay
from crm.mail.routes import Routes, open_routes
from crm.mail.wire import Limits
from tests import make
from tests.campaigns.test_relays import context, relay, sent
from tests.rhythm.test_obey import Shop, at, opened
from tests.smtpd import Smtpd, smtpd

NOON = datetime(2030, 6, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def at_its_cap(database: Database, server: Smtpd) -> tuple[Shop, UUID, UUID]:
    """Start a campaign to five for six hours, and send the two that its relay takes on a day."""
    now = at(database, NOON)
    shop = await opened(now, 5)
    async with now.write(shop.business.id) as db:
        campaign = await make.campaign(db, shop.purposes[0])
        await campaigns.expire_after(db, campaign.id, 6)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    first = await relay(now, shop.business, server.port, name="new", daily_cap=2)
    counts = await sent(context(now, range=1000), shop.business, campaign.id)
    assert (counts.sent, counts.waiting) == (2, 3)
    return shop, campaign.id, first


async def raised(database: Database, shop: Shop, relay_id: UUID, port: int) -> None:
    async with database.write(shop.business.id) as db:
        await _raise(db, relay_id, port)


async def _raise(db: Db, relay_id: UUID, port: int) -> None:
    new = relays.NewRelay(name="new", host="127.0.0.1", port=port, tls="none")
    await relays.change(db, make.SYSTEM, relay_id, new, db.now.date())


@pytest.mark.parametrize("how", ["raised", "another", "in use again"])
async def test_a_cap_that_is_gone_holds_nobody(database: Database, how: str) -> None:
    """The sweep finds what rested for it, at once."""
    async with smtpd() as server, smtpd() as spare:
        shop, campaign_id, first = await at_its_cap(database, server)
        soon = at(database, NOON + HOUR)
        if how == "raised":
            await raised(soon, shop, first, server.port)
        elif how == "another":
            await relay(soon, shop.business, spare.port, name="other")
        else:
            other = await relay(soon, shop.business, spare.port, name="other")
            async with soon.write(shop.business.id) as db:
                await relays.use(db, make.SYSTEM, other, active=False)
            assert (await sent(context(soon, range=1000), shop.business, campaign_id)).sent == 2
            async with soon.write(shop.business.id) as db:
                await relays.use(db, make.SYSTEM, other, active=True)
        counts = await sent(context(soon, range=1000), shop.business, campaign_id)
    assert counts.sent == 5
    assert len(server.messages) + len(spare.messages) == 5


async def test_it_ends_at_its_time_though_no_relay_is_free(database: Database) -> None:
    """Not only when the next day of the relay begins."""
    async with smtpd() as server:
        shop, campaign_id, _ = await at_its_cap(database, server)
        early = at(database, NOON + 5 * HOUR)
        assert (await sent(context(early, range=1000), shop.business, campaign_id)).waiting == 3
        late = at(database, NOON + 6 * HOUR)
        counts = await sent(context(late, range=1000), shop.business, campaign_id)
    async with late.read(shop.business.id) as db:
        assert (await campaigns.get(db, campaign_id)).state is State.done
    assert (counts.sent, counts.failed) == (2, 3)


async def begun(now: Database, server: Smtpd) -> tuple[Shop, UUID, UUID]:
    """Start a campaign to five, of whom the relay takes two on a day."""
    shop = await opened(now, 5)
    async with now.write(shop.business.id) as db:
        campaign = await make.campaign(db, shop.purposes[0])
        await campaigns.start(db, make.SYSTEM, campaign.id)
    first = await relay(now, shop.business, server.port, name="new", daily_cap=2)
    return shop, campaign.id, first


async def test_a_cap_is_raised_while_a_range_is_sent_by_the_old_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not rest for that, and whoever takes it next knows the new one."""
    now, soon = at(database, NOON), at(database, NOON + timedelta(seconds=1))
    async with smtpd() as server:
        shop, campaign_id, first = await begun(now, server)
        once = [first]

        async def opened_then(awake: list[Relay], limits: Limits, *, others: bool) -> Routes:
            routes = await open_routes(awake, limits, others=others)
            while once:
                await raised(soon, shop, once.pop(), server.port)
            return routes

        monkeypatch.setattr(jobs, "open_routes", opened_then)
        counts = await sent(context(now, range=1000), shop.business, campaign_id)
    assert counts.sent == 5


async def test_a_cap_is_raised_while_a_range_comes_to_rest_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither hears of the other, and it is seen afterwards that the range need not rest."""
    once: list[UUID] = []

    async with smtpd() as server:
        now, soon = at(database, NOON), at(database, NOON + timedelta(seconds=1))
        shop, campaign_id, first = await begun(now, server)
        once.append(first)

        async def left(db: Db, *given: Any, **also: Any) -> None:
            await leave(db, *given, **also)
            while once:
                await raised(soon, shop, once.pop(), server.port)

        monkeypatch.setattr(sending, "leave", left)
        counts = await sent(context(now, range=1000), shop.business, campaign_id)
    assert counts.sent == len(server.messages) == 5


async def test_whoever_changes_a_relay_waits_for_nobody_who_holds_ranges(
    database: Database,
) -> None:
    """As an import holds those of all whose withdrawals it took; afterwards they go on."""
    async with smtpd() as server:
        shop, campaign_id, first = await at_its_cap(database, server)
        soon = at(database, NOON + HOUR)
        async with soon.write(shop.business.id) as holding:
            for reader in shop.readers:
                me, purpose_id = Actor.customer(reader), shop.purposes[0]
                await consent.withdraw(holding, me, reader, purpose_id, method=Method.portal)
            await raised(soon, shop, first, server.port)
            due = [each.campaign_id for each in await above.leases_due(soon)]
            assert campaign_id in due
            assert (await sent(context(soon), shop.business, campaign_id)).sent == 2
        counts = await sent(context(soon, range=1000), shop.business, campaign_id)
    assert (counts.sent, counts.waiting) == (2, 0)
