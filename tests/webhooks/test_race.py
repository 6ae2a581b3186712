"""What is done with an endpoint at the same moment: one waits for the other, and none is lost."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from crm import above, webhooks
from crm.businesses import Business
from crm.db import Database, Db
from crm.webhooks import jobs, signature, telling
from crm.webhooks.actions import live_secrets
from crm.webhooks.model import Answer, UnknownPost
from tests import make, races
from tests.webhooks.receiver import Receiver
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
