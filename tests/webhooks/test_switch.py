"""An endpoint that is switched on, or has moved, begins anew with what has waited."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from crm import events, webhooks
from crm.businesses import Business
from crm.db import Database
from crm.events import Kind
from crm.statements import parse
from crm.webhooks import Endpoint, NewEndpoint, jobs, telling
from crm.webhooks.model import Answer
from tests.webhooks.conftest import Clock
from tests.webhooks.receiver import Receiver, Reply
from tests.webhooks.site import SYSTEM, added, ctx, happened, reload, turn

NORA, ZOE = uuid4(), uuid4()
(_WRITTEN,) = parse("""-- name: written
-- How often this connection has written a post, since it last reported that.
SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables WHERE relname = 'post';""")


async def test_what_has_waited_is_due_and_has_its_whole_schedule_before_it(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    """In her order, and without a row of it being written."""
    endpoint, _ = await added(clocked, business, there, Kind.interaction_recorded)
    async with clocked.write(business.id) as db:
        await happened(db, NORA, "first", "second")
        await happened(db, ZOE, "told")
    there.answer = lambda heard: Reply(
        500 if heard.told["data"]["customer_id"] == str(NORA) else 200
    )
    for _ in range(4):
        clock.move(timedelta(hours=1))
        await turn(clocked, business, endpoint)
    async with clocked.write(business.id) as db:
        found = {each.number: each for each in await webhooks.posts(db, endpoint.id)}
        first, second, told = (found[each] for each in sorted(found))
        assert (first.state, first.attempts) == ("waiting", 4)
        assert first.next_at is not None
        assert first.next_at - clock.now >= timedelta(hours=2)
        written = await db.one(_WRITTEN, int)
        await webhooks.switch(db, SYSTEM, endpoint.id, on=False)
        await webhooks.switch(db, SYSTEM, endpoint.id, on=True)
        assert await db.one(_WRITTEN, int) == written
        anew = {each.number: each for each in await webhooks.posts(db, endpoint.id)}
    for each in (first, second):
        assert (anew[each.number].attempts, anew[each.number].state) == (0, "waiting")
        assert (anew[each.number].next_at or clock.now) <= clock.now
    assert anew[told.number] == told
    there.heard.clear()
    # Also where a worker hands it over before it has told anything.
    async with clocked.write(business.id) as db:
        held = await telling.take(db, endpoint.id)
        assert held is not None
        await telling.let_go(db, held)
    await jobs.tell(ctx(clocked), str(business.id), str(endpoint.id))
    async with clocked.read(business.id) as db:
        again = {each.number: each for each in await webhooks.posts(db, endpoint.id)}
    assert [each.id for each in there.heard] == [str(first.event_id)]
    tried = again[first.number]
    assert tried.attempts == 1
    assert tried.next_at is not None
    # As after the first time: seconds, and not hours.
    assert tried.next_at - clock.now < timedelta(seconds=6)

    there.answer = lambda _: Reply(200)
    clock.move(timedelta(seconds=6))
    await turn(clocked, business, endpoint)
    assert [each.id for each in there.heard[1:]] == [str(first.event_id), str(second.event_id)]


async def test_it_is_given_up_only_after_another_whole_schedule(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    """Two days off count for nothing: what failed before is no reason any more."""
    endpoint, _ = await added(clocked, business, there, Kind.interaction_recorded)
    async with clocked.write(business.id) as db:
        await happened(db, NORA, "waits")
    there.answer = lambda _: Reply(500)
    for _ in range(9):
        await turn(clocked, business, endpoint)
        clock.move(timedelta(hours=27))
    async with clocked.write(business.id) as db:
        await webhooks.switch(db, SYSTEM, endpoint.id, on=False)
        await webhooks.switch(db, SYSTEM, endpoint.id, on=True)
    for times in range(1, 11):
        await turn(clocked, business, endpoint)
        async with clocked.read(business.id) as db:
            found = await webhooks.endpoint(db, endpoint.id)
        assert found.is_on == (times < 10)
        clock.move(timedelta(hours=27))
    assert len(there.heard) == 19


async def test_a_new_address_has_the_whole_schedule_before_it(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    endpoint, _ = await added(clocked, business, there, Kind.interaction_recorded)
    async with clocked.write(business.id) as db:
        await happened(db, NORA, "waits")
    there.answer = lambda _: Reply(500)
    for _ in range(9):
        await turn(clocked, business, endpoint)
        clock.move(timedelta(hours=27))
    await _move(clocked, business, endpoint, there.url)
    async with clocked.read(business.id) as db:
        (post,) = await webhooks.posts(db, endpoint.id)
    assert post.attempts == 9
    await _move(clocked, business, endpoint, f"{there.url}/new")
    for times in range(1, 11):
        await turn(clocked, business, endpoint)
        assert (await reload(clocked, business, endpoint)).is_on == (times < 10)
        clock.move(timedelta(hours=27))
    assert len(there.heard) == 19


@pytest.mark.parametrize("status", [410, 429, 500])
async def test_what_a_former_address_answers_says_nothing_of_the_new_one(
    database: Database, business: Business, there: Receiver, status: int
) -> None:
    """What arrived there arrived, and whatever else was under way goes to the new address."""
    endpoint, _ = await added(database, business, there, Kind.interaction_recorded)
    async with database.write(business.id) as db:
        await happened(db, NORA, "first")
        await happened(db, ZOE, "hers")
        await events.number(db)
        await db.run(jobs.sql.wake_endpoints)
    async with database.write(business.id) as db:
        held = await telling.take(db, endpoint.id)
        assert held is not None
        batch = await telling.go_on(db, held, [])
        assert batch is not None
    await _move(database, business, endpoint, f"{there.url}/new")
    no = Answer(status=status, retry_after=timedelta(hours=1))
    went = [
        telling.Went(each, no if each.customer_id == NORA else Answer(status=200))
        for each in batch.posts
    ]
    async with database.write(business.id) as db:
        rest = await telling.go_on(db, held, went)
        tries = await webhooks.tries(db, endpoint.id)
    assert rest is not None
    assert rest.url == f"{there.url}/new"
    assert [(each.customer_id, each.attempts) for each in rest.posts] == [(NORA, 0)]
    assert sorted(each.status or 0 for each in tries) == [200, status]
    found = await reload(database, business, endpoint)
    assert (found.state, found.failures, found.rest_until) == ("on", 0, None)
    assert found.succeeded_at is None


async def _move(database: Database, business: Business, endpoint: Endpoint, url: str) -> None:
    async with database.write(business.id) as db:
        new = NewEndpoint(name="Shop", url=url, kinds=endpoint.kinds)
        await webhooks.change(db, SYSTEM, endpoint.id, new, local=True)
