"""A list that waits for a worker is read by nobody else, and does not wait for ever."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import asyncpg

from crm import imports
from crm.businesses import Business
from crm.db import Database, no_wake
from crm.imports import State, jobs
from crm.settings import Settings
from tests import make
from tests.imports import lists
from tests.imports.lists import SLUG, letter


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
