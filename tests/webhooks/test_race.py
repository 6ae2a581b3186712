"""What is done with an endpoint at the same moment: one waits for the other, and none is lost."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from crm import above, privacy, webhooks
from crm.businesses import Business
from crm.db import Database, Db, parse
from crm.events import Kind
from crm.privacy import merging
from crm.webhooks import jobs, signature, telling
from crm.webhooks.actions import live_secrets
from crm.webhooks.model import Answer, UnknownPost
from tests import make, races
from tests.conftest import Cluster
from tests.webhooks.receiver import Receiver, Reply
from tests.webhooks.site import SYSTEM, added, ctx, happened, reload, turn

NORA, ZOE = uuid4(), uuid4()


@pytest.mark.parametrize("status", [204, 500])
async def test_it_is_numbered_while_a_worker_lets_the_endpoint_go(
    own_database: Database, there: Receiver, status: int
) -> None:
    """Neither sees what the other does; what is tried again in an hour holds nothing else back."""
    business = await make.business(own_database)
    endpoint, _ = await added(own_database, business, there)
    await turn(own_database, business, endpoint)
    async with own_database.write(business.id) as db:
        await happened(db, NORA, "Rang")
    async with own_database.write(business.id) as db:
        await jobs._numbered(db)  # noqa: SLF001  (as the sweep does)
    async with own_database.write(business.id) as db:
        held = await telling.take(db, endpoint.id)
        assert held is not None
        batch = await telling.go_on(db, held, [])
        assert batch is not None
    went = [telling.Went(each, Answer(status=status)) for each in batch.posts]
    async with own_database.write(business.id) as db:
        await happened(db, ZOE, "Rang too")
    there.heard.clear()

    async with own_database.write(business.id) as sweep:
        await jobs._numbered(sweep)  # noqa: SLF001
        async with own_database.write(business.id) as db:
            assert await telling.go_on(db, held, went) is None
    await jobs.sweep(ctx(own_database))
    await jobs.tell(ctx(own_database), str(business.id), str(endpoint.id))

    assert [each.told["data"]["customer_id"] for each in there.heard] == [str(ZOE)]
    assert await above.feeds_due(own_database) == []


async def test_an_event_is_told_once_more_while_its_endpoint_is_held(
    own_database: Database, there: Receiver
) -> None:
    """It waits for whoever has the endpoint, and keeps none of its posts from them."""
    business = await make.business(own_database)
    endpoint, _ = await added(own_database, business, there)
    async with own_database.write(business.id) as db:
        await happened(db, NORA, "Rang")
    await turn(own_database, business, endpoint)
    told = UUID(there.heard[-1].id)

    async def again() -> None:
        async with own_database.write(business.id) as db:
            waits.set_result(await races.pid(db))
            await webhooks.replay(db, SYSTEM, endpoint.id, told)

    waits: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with own_database.write(business.id) as db:
        await db.run(jobs.sql.wake_endpoint, endpoint_id=endpoint.id)
        task = asyncio.ensure_future(again())
        await races.blocked(db, await waits, task)
        await webhooks.remove(db, SYSTEM, endpoint.id)
    with pytest.raises(UnknownPost):
        await task


async def test_two_make_a_new_secret_at_once(
    database: Database, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there)
    made = []

    async def rotate(db: Db) -> None:
        made.append((await webhooks.rotate(db, SYSTEM, endpoint.id))[1])

    await races.second(database, business, rotate, rotate)
    async with database.read(business.id) as db:
        live = await live_secrets(db, endpoint.id)
    assert [signature.written(each) for each in live[:2]] == made[::-1]
    assert len(live) == 3


@pytest.mark.parametrize("on", [True, False])
async def test_two_switch_it_the_same_way_at_once(
    *, database: Database, business: Business, there: Receiver, on: bool
) -> None:
    endpoint, _ = await added(database, business, there)
    async with database.write(business.id) as db:
        before = await webhooks.switch(db, SYSTEM, endpoint.id, on=not on)

    async def switch(db: Db) -> None:
        found = await webhooks.switch(db, SYSTEM, endpoint.id, on=on)
        assert found.is_on == on

    await races.second(database, business, switch, switch)
    assert (await reload(database, business, endpoint)).version == before.version + 1


_POSTS = "SELECT number FROM crm.post WHERE endpoint_id = $1 ORDER BY number"
_POST = "SELECT FROM crm.post WHERE endpoint_id = $1 AND number = $2 FOR UPDATE"
(_HOLD_POST,) = parse(
    """-- name: hold_post
-- One post.
SELECT number FROM crm.post
 WHERE business_id = :business_id AND endpoint_id = :endpoint_id AND number = :number FOR UPDATE;
"""
)


async def test_what_came_back_is_recorded_after_a_deadlock(
    database: Database, business: Business, there: Receiver, shared_cluster: Cluster
) -> None:
    """Somebody has the last post and asks for the first, which the worker has; nothing is lost."""
    endpoint, _ = await added(database, business, there)
    await turn(database, business, endpoint)
    async with database.write(business.id) as db:
        for each in (NORA, ZOE, uuid4()):
            await happened(db, each, "Rang")
    answers = asyncio.Event()
    there.heard.clear()
    there.came.clear()
    there.answer = lambda _: Reply(holds=answers)
    telling_it = asyncio.ensure_future(turn(database, business, endpoint))
    await there.came.wait()
    async with (
        races.stubborn(shared_cluster) as somebody,
        database.write(business.id) as watch,
    ):
        *_, first, second, last = [row[0] for row in await somebody.fetch(_POSTS, endpoint.id)]
        await somebody.execute(_POST, endpoint.id, last)
        async with database.write(business.id) as gate:
            await gate.one(_HOLD_POST, int, endpoint_id=endpoint.id, number=second)
            answers.set()
            await races.waited_for(watch, await races.pid(gate), telling_it)
            asks = asyncio.ensure_future(somebody.execute(_POST, endpoint.id, first))
            await races.blocked(watch, somebody.get_server_pid(), asks)
        await asks
    await telling_it
    await turn(database, business, endpoint)

    async with database.read(business.id) as read:
        told = await webhooks.posts(read, endpoint.id, limit=3)
        tries = await webhooks.tries(read, endpoint.id)
    assert [each.state for each in told] == ["told"] * 3
    assert len(there.heard) == 3
    rang = {each.event_id for each in told}
    assert len([each for each in tries if each.event_id in rang]) == 3


async def test_an_erasure_holds_the_posts_of_all_her_records_in_their_order(
    database: Database, business: Business, there: Receiver, shared_cluster: Cluster
) -> None:
    """It waits for a worker that has what is about the record that was merged, and keeps none."""
    endpoint, _ = await added(database, business, there)
    async with database.write(business.id) as db:
        gone, kept = await make.customer(db), await make.customer(db)
    async with database.write(business.id) as db:
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    await turn(database, business, endpoint)

    async def erase() -> None:
        async with database.write(business.id) as db:
            await privacy.erase(db, SYSTEM, kept.id)

    of_hers = "SELECT number FROM crm.post WHERE customer_id = $1 FOR UPDATE NOWAIT"
    async with (
        races.stubborn(shared_cluster) as somebody,
        database.write(business.id) as watch,
    ):
        (earlier, *_) = await somebody.fetch(of_hers, gone.id)
        erasing = asyncio.ensure_future(erase())
        await races.waited_for(watch, somebody.get_server_pid(), erasing)
        (later, *_) = await somebody.fetch(of_hers, kept.id)
    assert earlier["number"] < later["number"]
    await erasing
    async with database.read(business.id) as read:
        left = {each.kind for each in await webhooks.posts(read, endpoint.id)}
    assert left.isdisjoint({Kind.customer_added, Kind.customer_merged})
