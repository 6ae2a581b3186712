"""A list that waits for a worker is read by nobody else, and does not wait for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import asyncpg
import pytest

from crm import customers, imports
from crm.businesses import Business
from crm.db import Database, Db, no_wake
from crm.errors import Refused
from crm.imports import Import, State, jobs, working
from crm.settings import Settings
from tests import make
from tests.conftest import Cluster
from tests.imports import lists
from tests.imports.lists import SLUG, letter
from tests.races import second


async def test_it_is_encrypted_while_it_waits(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """Neither the table nor a dump of it names anybody; about how many rows it has is said."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        waits = await make.received(db, SLUG, lists.many(3))
        assert await imports.expected(db, waits.id) == lists.many(3).count("\n")
    kept = await root.fetchval(
        "SELECT content FROM crm.import_file WHERE business_id = $1", business.id
    )
    assert b"example" not in kept
    done = await imports.work_waiting(database, business.id, waits.id)
    assert done is not None
    assert (done.state, done.added) == (State.done, 3)


async def test_after_a_week_it_is_given_up(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """It fails with the reason, and its list goes; before, it is woken for."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        waits = await make.received(db, SLUG, lists.many(3))
        now = db.now
    settings = Settings(link_keys="1:" + "31" * 32, storage_keys="1:" + "73" * 32, pepper="70" * 32)
    states = []
    for days in (6, 8):
        at = now + timedelta(days=days)
        later = Database(database.connections, database.keys, no_wake, partial(max, at, at))
        await jobs.sweep({"database": later, "settings": settings})
        async with database.read(business.id) as read:
            states.append(await imports.get(read, waits.id))
    left = await root.fetchval(
        "SELECT count(*) FROM crm.import_file WHERE business_id = $1", business.id
    )
    assert [each.state for each in states] == [State.waiting, State.failed]
    assert "seven days" in states[1].problem
    assert left == 0


async def test_a_worker_that_takes_it_just_then_has_it(
    database: Database, business: Business
) -> None:
    """Whoever gives it up has looked before, and waits for the worker."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        waits = await make.received(db, SLUG, lists.many(3))
        late = db.now + timedelta(days=8)
    later = Database(database.connections, database.keys, no_wake, lambda: late)
    given_up = []

    async def takes(db: Db) -> None:
        await db.one(working.sql.begin_import, Import, import_id=waits.id, quiet_since=late)

    async def gives_up(db: Db) -> None:
        given_up.append(await imports.give_up(db, waits.id))

    await second(later, business, takes, gives_up)

    assert given_up == [False]
    async with database.read(business.id) as read:
        assert (await imports.get(read, waits.id)).state is State.running


async def test_of_one_that_is_ended_under_a_worker_nothing_is_kept(
    database: Database, business: Business, shared_cluster: Cluster
) -> None:
    """As its end says, whatever the worker has done by then."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        waits = await make.received(db, SLUG, lists.many(3))
    async with database.write(business.id) as db:
        # The worker has read its list, and comes upon somebody who signs up.
        her = await make.customer(db, address="reader1@example.com")
        work = asyncio.ensure_future(imports.work_waiting(database, business.id, waits.id))
        await lists.somebody_waits(shared_cluster)
        async with database.write(business.id) as beside:
            assert await imports.fail_open(beside, "Put back.") == 1
    with pytest.raises(Refused, match="Nothing of it was kept"):
        await work

    async with database.read(business.id) as read:
        found = await imports.get(read, waits.id)
        assert [each.id for each in await customers.page(read)] == [her.id]
    assert (found.state, found.problem) == (State.failed, "Put back.")
