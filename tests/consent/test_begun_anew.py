"""A no of a customer is taken, whoever PostgreSQL ends for the sake of another that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest

from crm import campaigns, consent, customers
from crm.businesses import Business
from crm.campaigns import filling
from crm.consent import Notice, Status
from crm.db import Database, parse
from tests import make, races
from tests.conftest import Cluster
from tests.consent.site import caller, client, form, member

(_HOLD_RANGES,) = parse(
    """-- name: hold_ranges_of
-- The ranges of a campaign, as whoever fills or sends it holds them.
SELECT number FROM crm.lease
 WHERE business_id = :business_id AND campaign_id = :campaign_id FOR UPDATE;
"""
)
_RANGES = "SELECT FROM crm.lease WHERE campaign_id = $1 FOR UPDATE"
_STATES = "SELECT FROM crm.consent WHERE customer_id = $1 FOR UPDATE"

Leave = Callable[[httpx2.AsyncClient, UUID, Notice], Awaitable[httpx2.Response]]


def _page(path: str, **fields: Any) -> Leave:
    async def leave(web: httpx2.AsyncClient, her: UUID, notice: Notice) -> httpx2.Response:
        where = path.format(her=her, purpose=notice.purpose_id)
        return await web.post(where, data=form(**fields))

    return leave


async def _program(web: httpx2.AsyncClient, her: UUID, notice: Notice) -> httpx2.Response:
    said = {"purpose": str(notice.purpose_id), "status": "withdrawn"}
    key = {"idempotency-key": '"once"'}
    return await web.post(f"/v1/customers/{her}/consent-events", json=said, headers=key)


_WAYS = {
    "portal": _page("/me/consent/{purpose}/withdrawal"),
    "portal, all": _page("/me/consent/withdrawal", which="mails"),
    "staff": _page("/staff/customers/{her}/consent/{purpose}/withdrawal"),
    "staff, all": _page("/staff/customers/{her}/consent/withdrawal"),
    "staff, complaint": _page("/staff/customers/{her}/consent/{purpose}/complaint"),
    "program": _program,
}


@pytest.mark.parametrize("way", _WAYS)
async def test_after_a_deadlock(
    database: Database, business: Business, shared_cluster: Cluster, way: str
) -> None:
    """Of two campaigns she waits in, somebody has the second and then asks for what she decided."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        (her,) = await make.audience(db, notice, 1)
        me = await customers.get(db, her)
        first, last = sorted([(await make.campaign(db, notice.purpose_id)).id for _ in range(2)])
        for each in (first, last):
            await campaigns.start(db, make.SYSTEM, each)
    for each in (first, last):
        async with database.write(business.id) as db:
            await filling.fill_piece(db, each, 100)
    who = await member(database, business)

    async with client(database, business, key=caller(), who=who, me=me) as web:
        async with races.stubborn(shared_cluster) as other, database.write(business.id) as watch:
            await other.execute(_RANGES, last)
            async with database.write(business.id) as gate:
                await gate.many(_HOLD_RANGES, int, campaign_id=first)
                leaving = asyncio.ensure_future(_WAYS[way](web, her, notice))
                await races.waited_for(watch, await races.pid(gate), leaving)
                theirs = asyncio.ensure_future(other.execute(_STATES, her))
                await races.blocked(watch, other.get_server_pid(), theirs)
            await theirs
        answer = await leaving

    assert answer.status_code in {201, 303}, answer.text
    async with database.read(business.id) as read:
        (event, given) = await consent.history(read, her)
    assert (event.status, given.status) == (Status.withdrawn, Status.given)
