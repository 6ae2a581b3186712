"""A cap is one of a day, wherever it begins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from crm.businesses import Business
from crm.db import Database
from crm.mail import relays
from crm.mail.allowing import allow, settle
from crm.mail.pacing import RelayUse
from crm.mail.relays import sql
from crm.mail.routes import Routes
from crm.mail.session import Limits
from tests.campaigns.test_relays import relay
from tests.campaigns.test_send import settings
from tests.rhythm.test_obey import at
from tests.smtpd import smtpd

_EVENING = datetime(2030, 6, 5, 23, 59, 59, tzinfo=UTC)
_CAP = 30


@pytest.fixture
async def routes(database: Database, business: Business) -> AsyncIterator[Routes]:
    """One relay with a cap of thirty a day, which was allowed a batch of twenty before midnight."""
    late = at(database, _EVENING)
    async with smtpd() as server:
        await relay(late, business, server.port, daily_cap=_CAP)
        async with late.read(business.id) as db:
            usable = await relays.usable(db, settings(1))
        opened = Routes(usable, Limits())
        async with late.write(business.id) as db:
            await allow(db, opened, 20, "UTC")
        assert opened.ways[0].allowed == 20
        yield opened
        await opened.close(0)


async def test_what_was_allowed_yesterday_is_not_taken_today(
    database: Database, business: Business, routes: Routes
) -> None:
    early, allowed = at(database, _EVENING + timedelta(seconds=2)), 0
    for _ in range(5):
        async with early.write(business.id) as db:
            await allow(db, routes, 20, "UTC")
        allowed += routes.ways[0].allowed or 0
        routes.ways[0].allowed = 0
    assert allowed == _CAP


async def test_what_was_allowed_yesterday_is_not_given_back_to_today(
    database: Database, business: Business, routes: Routes
) -> None:
    """Another worker has begun the day; this one leaves with what it had of the day before."""
    early = at(database, _EVENING + timedelta(seconds=2))
    other = Routes([way.relay for way in routes.ways], Limits())
    async with early.write(business.id) as db:
        await allow(db, other, 20, "UTC")
    async with early.write(business.id) as db:
        await settle(db, routes)
        ids = [way.relay.id for way in routes.ways]
        [use] = await db.many(sql.hold_relay_uses, RelayUse, relay_ids=ids)
    await other.close(0)
    assert use.taken == 20
