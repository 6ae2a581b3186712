"""Walking through a range: each once, in order, retries first, and few questions asked."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from crm import campaigns, consent
from crm.businesses import Business
from crm.campaigns import jobs, walking
from crm.campaigns.actions import sql
from crm.campaigns.claiming import Lease
from crm.campaigns.walking import Walk
from crm.clock import utc_now
from crm.connections import Connection, Connections, connected
from crm.consent import Method
from crm.db import Database, Db, no_wake
from crm.events import Actor
from tests.campaigns.test_cut_short import balanced
from tests.campaigns.test_send import settings, started
from tests.conftest import KEYS, Cluster
from tests.smtpd import smtpd

COUNT = 25


async def walk_of(
    database: Database, business: Business, *, due: int = 0
) -> tuple[Walk, list[UUID]]:
    """A walk through the one range of a campaign, and who is in it; so many are due once more."""
    campaign_id, ids = await started(database, business, COUNT)
    ctx: jobs.Ctx = {"database": database, "settings": settings(1), "sending": asyncio.Lock()}
    await jobs.fill(ctx, str(business.id), str(campaign_id))
    ids.sort()
    async with database.write(business.id) as db:
        lease = await db.one(
            sql.take_lease,
            Lease,
            campaign_id=campaign_id,
            holder="test",
            expires_at=db.now + timedelta(minutes=1),
        )
        for each in ids[:due]:
            await put_off(db, campaign_id, each, db.now)
    return Walk(campaign_id, lease), ids


async def put_off(
    db: Db, campaign_id: UUID, customer_id: UUID, due_at: datetime, waits_for: str = ""
) -> None:
    await db.run(
        sql.retry_later,
        campaign_id=campaign_id,
        customer_ids=[customer_id],
        due_ats=[due_at],
        waits_for=[waits_for],
    )


@pytest.mark.parametrize("ahead", [1, 4, 10, 500])
async def test_each_is_found_once_and_in_order(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    monkeypatch.setattr(walking, "_AHEAD", ahead)
    walk, ids = await walk_of(database, business)
    found: list[UUID] = []
    while not walk.exhausted:
        async with database.write(business.id) as db:
            step = await walk.further(db, 4)
        found += step.ids
        assert len(step.ids) <= 4
        if step.ids:
            assert walk.cursor == step.ids[-1]

    assert found == ids
    assert walk.cursor >= ids[-1]


async def test_retries_that_are_due_come_first(database: Database, business: Business) -> None:
    """And take the room of others; what kept one off is told where it was her rhythm."""
    walk, ids = await walk_of(database, business)
    async with database.write(business.id) as db:
        campaign_id = walk._campaign_id  # noqa: SLF001  (its own)
        await put_off(db, campaign_id, ids[20], db.now, "budget")
        await put_off(db, campaign_id, ids[21], db.now, "domain example.org")
        await put_off(db, campaign_id, ids[22], db.now + timedelta(hours=1))
        step = await walk.further(db, 4)

    assert set(step.ids[:2]) == {ids[20], ids[21]}
    assert step.ids[2:] == ids[:2]
    assert step.kept_off == {ids[20]: "budget"}
    assert walk.cursor == ids[1]


async def test_a_retry_that_falls_due_is_found_in_time(
    database: Database, business: Business
) -> None:
    """Though others were read ahead: by the first turn after a quarter of a second."""
    walk, ids = await walk_of(database, business)
    now = utc_now()

    def after(seconds: float) -> Database:
        at = now + timedelta(seconds=seconds)
        return Database(database.connections, KEYS, no_wake, lambda: at)

    async with after(0).write(business.id) as db:
        assert (await walk.further(db, 4)).ids == ids[:4]
        await put_off(db, walk._campaign_id, ids[0], db.now)  # noqa: SLF001  (its own)
    async with after(0.2).write(business.id) as db:
        assert (await walk.further(db, 4)).ids == ids[4:8]
    async with after(0.25).write(business.id) as db:
        assert (await walk.further(db, 4)).ids == [ids[0], *ids[8:11]]


async def test_more_retries_than_there_is_room_for_are_found_at_once(
    database: Database, business: Business
) -> None:
    """The next turn goes on with them, before the others."""
    walk, ids = await walk_of(database, business, due=6)
    async with database.write(business.id) as db:
        first = await walk.further(db, 4)
        second = await walk.further(db, 4)

    assert len(set(first.ids) | set(second.ids[:2])) == 6
    assert set(first.ids) | set(second.ids[:2]) == set(ids[:6])


async def test_as_many_are_read_as_are_asked_for(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "_AHEAD", 2)
    walk, ids = await walk_of(database, business)
    async with database.write(business.id) as db:
        assert (await walk.further(db, 20)).ids == ids[:20]


async def test_a_full_house_of_retries_moves_no_cursor(
    database: Database, business: Business
) -> None:
    walk, ids = await walk_of(database, business, due=3)
    async with database.write(business.id) as db:
        before = walk.cursor
        step = await walk.further(db, 3)

    assert sorted(step.ids) == ids[:3]
    assert walk.cursor == before
    assert not walk.exhausted


async def test_what_a_lost_transaction_took_is_found_again(
    database: Database, business: Business
) -> None:
    walk, ids = await walk_of(database, business)
    async with database.write(business.id) as db:
        await walk.further(db, 4)
        cursor = walk.cursor
    for _ in range(2):
        async with database.write(business.id) as db:
            await walk.further(db, 30)
            again = await walk.further(db, 4)
        assert (again.ids, walk.exhausted) == ([], True)
        walk.back(cursor)
        assert not walk.exhausted
    async with database.write(business.id) as db:
        assert (await walk.further(db, 4)).ids == ids[4:8]


async def test_who_has_left_since_is_not_put_off(database: Database, business: Business) -> None:
    walk, ids = await walk_of(database, business)
    async with database.write(business.id) as db:
        campaign_id = walk._campaign_id  # noqa: SLF001  (its own)
        step = await walk.further(db, 4)
        purpose_id = (await campaigns.get(db, campaign_id)).purpose_id
    async with database.write(business.id) as db:
        await consent.withdraw(db, Actor.customer(ids[1]), ids[1], purpose_id, method=Method.portal)
    async with database.write(business.id) as db:
        for each in step.ids:
            await put_off(db, campaign_id, each, db.now)
        again = await Walk(campaign_id, walk._lease).further(db, 4)  # noqa: SLF001

    assert set(again.ids) == {ids[0], ids[2], ids[3]}


async def test_few_turns_ask_who_is_next(
    shared_cluster: Cluster, database: Database, business: Business
) -> None:
    """A turn asks for the lock, writes outcomes and claims; who is next was read long before."""
    asked: list[str] = []

    async def opened() -> Connection:
        conn = await connected(shared_cluster.app_url)
        conn.add_query_logger(lambda record: asked.append(record.query))
        return conn

    now = utc_now()
    connections = Connections(opened, 2)
    heard = Database(connections, KEYS, no_wake, lambda: now)
    campaign_id, _ = await started(database, business, 100)
    async with smtpd() as relay:
        ctx: jobs.Ctx = {
            "database": heard,
            "settings": settings(relay.port, batch=4, range=1000),
            "sending": asyncio.Lock(),
        }
        await jobs.fill(ctx, str(business.id), str(campaign_id))
        await jobs.send(ctx, str(business.id), str(campaign_id))
    await connections.close()

    assert (await balanced(database, business, campaign_id)).sent == 100
    claims = asked.count(sql.claim_deliveries.sql)
    looks = asked.count(sql.next_to_try.sql)
    assert claims > 8
    # One finds all; when all are tried, one or two more look for retries.
    assert looks <= claims // 2
