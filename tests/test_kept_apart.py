"""A connection keeps nothing of those it was lent to, however they ended, and survives the server.

A statement that saw the business of a request before would be the worst that can happen here.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from msgspec import Struct, field

import crm
from crm.businesses import Business
from crm.connections import Connection, Connections, connected
from crm.db import BROKEN, RETRIABLE, SQL, Database, Statement, open_database
from crm.db import Db as Writing
from tests import make
from tests.conftest import KEYS, Cluster

KEEP = Statement(
    "keep",
    "A row that is easy to make.",
    "INSERT INTO idempotency_key (business_id, scope, key, fingerprint, created_at, expires_at)"
    " VALUES ($1, 'x', $2, '', $3, $3)",
    ("business_id", "key", "now"),
)
SEEN = Statement(
    "seen",
    "Whose rows are seen where nothing but row-level security keeps them apart.",
    "SELECT business_id, key FROM idempotency_key",
    (),
)
WHOSE = Statement(
    "whose",
    "The business the connection is set to, if it is.",
    "SELECT coalesce(current_setting('crm.business_id', true), '')",
    (),
)
SLEEP = Statement("sleep", "A statement that is cut off.", "SELECT pg_sleep(60)::text", ())
WRONG = Statement("wrong", "A statement that fails.", "SELECT 1 / 0", ())
HELD = Statement(
    "held",
    "What a session can keep beyond a transaction, without what it was opened with.",
    "SELECT 'setting ' || name FROM pg_settings"
    " WHERE source = 'session' AND name <> 'crm.business_id'"
    " UNION ALL SELECT 'lock' FROM pg_locks"
    " WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
    " UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable"
    " UNION ALL SELECT 'channel ' || c FROM pg_listening_channels() AS c"
    " UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()",
    (),
)
_ENDS = {
    "commit": type(None),
    "refusal": LookupError,
    "error": asyncpg.DivisionByZeroError,
    "cancelled": asyncio.CancelledError,
}
# SET of a session, and all else that would outlive a transaction.
_LASTING = re.compile(
    r"set_config\s*\([^()]*,\s*false\s*\)|\bSET\s+SESSION\b|\bpg_(?:try_)?advisory_lock(?:_shared)?\b"
    r"|^\s*(?:LISTEN|PREPARE)\s|\bCREATE\s+TEMP|\bWITH\s+HOLD\b|\bSET\s+crm\.|\bSET\s+ROLE\b",
    re.MULTILINE,
)
# What has connections of its own: servers, migrations, and the benchmark.
_OWN = {"embedded", "migrate.py", "bench"}


class Seen(Struct):
    """A row, and whose it is."""

    business_id: UUID
    key: str


@pytest.fixture
async def single(shared_cluster: Cluster) -> AsyncIterator[Database]:
    """A database with one connection, which all take after each other."""
    async with open_database(shared_cluster.app_url, KEYS, size=1) as opened:
        yield opened


async def _ended(database: Database, business: Business, end: str) -> None:
    """Write something and come to this end."""
    asked = asyncio.Event()

    async def act() -> None:
        async with database.write(business.id) as db:
            await db.run(KEEP, key=uuid4().hex)
            if end == "refusal":
                raise LookupError
            if end == "error":
                await db.run(WRONG)
            if end == "cancelled":
                asked.set()
                await db.run(SLEEP)

    task = asyncio.create_task(act())
    if end == "cancelled":
        await asked.wait()
        task.cancel()
    (found,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(found, _ENDS[end])


@pytest.mark.parametrize("end", _ENDS)
async def test_nothing_is_left_of_the_business_before(
    single: Database, business: Business, other_business: Business, end: str
) -> None:
    """The setting is that of the transaction, and without one no row is seen at all."""
    async with single.write(other_business.id) as db:
        await db.run(KEEP, key="hers")
    await _ended(single, business, end)
    assert await single.above(WHOSE, str) == [""]
    assert await single.above(HELD, str) == []
    with pytest.raises(asyncpg.DataError):
        await single.above(SEEN, Seen)
    async with single.read(other_business.id) as reading:
        assert await reading.many(SEEN, Seen) == [Seen(other_business.id, "hers")]


async def test_a_connection_never_asked_for_a_business_shows_nothing(
    shared_cluster: Cluster,
) -> None:
    async with open_database(shared_cluster.app_url, KEYS, size=1) as fresh:
        with pytest.raises(asyncpg.UndefinedObjectError):
            await fresh.above(SEEN, Seen)


def test_nothing_outlives_a_transaction() -> None:
    """Connections are not reset when they are lent anew: there must be nothing to reset."""
    texts = {
        path: path.read_text()
        for path in [*SQL.rglob("*.sql"), *Path(crm.__file__).parent.rglob("*.py")]
        if not _OWN & set(path.parts)
    }

    assert texts
    assert [path for path, text in texts.items() if _LASTING.search(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT set_config('crm.business_id', $1, false)",
        "SET crm.business_id = 'x'",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock_shared(1)",
        "LISTEN wakes",
        "CREATE TEMPORARY TABLE t (a int)",
    ],
)
def test_what_would_is_recognised(text: str) -> None:
    assert _LASTING.search(text)


class Storm(Struct):
    """What came of many transactions: which asked to be kept, and which were told that they are."""

    asked: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)


async def _write(
    database: Database, business: Business, key: str, storm: Storm, *, fails: bool
) -> None:
    async with database.write(business.id) as db:
        assert await db.one(WHOSE, str) == str(business.id)
        await db.run(KEEP, key=key)
        if fails:
            await db.run(WRONG)
        await _only_own(db)
        storm.asked.add(key)
    storm.told.add(key)


async def _cut_off(task: asyncio.Task[None], chance: random.Random) -> None:
    """Let a transaction come to its end, or end it at any moment, also in its rollback."""
    if chance.random() < 0.6:
        await asyncio.sleep(chance.random() * 0.05)
        task.cancel()
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    if ended is not None:
        assert isinstance(ended, asyncpg.DivisionByZeroError | asyncio.CancelledError)


async def _only_own(db: Writing) -> None:
    rows = await db.many(SEEN, Seen)
    assert {row.business_id for row in rows} == {db.business_id}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_ends_whenever_nobody_sees_another(
    shared_cluster: Cluster, database: Database, seed: int
) -> None:
    """Hundreds of transactions of three businesses, on three connections, cut off at random.

    What was told to be kept is there, what was cut off before is not, no connection is lost, and
    there were never more than three.
    """
    chance = random.Random(seed)
    businesses = [await make.business(database) for _ in range(3)]
    storm, opened = Storm(), Counted(shared_cluster.app_url)
    connections = Connections(opened, 3)
    few = Database(connections, KEYS, database.wake, database.clock)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number, business in enumerate(islice(cycle(businesses), 400)):
            fails = chance.random() < 0.2
            task = asyncio.create_task(_write(few, business, f"{number}", storm, fails=fails))
            group.create_task(_cut_off(task, chance))
    async with asyncio.timeout(10):
        # All three can be had at once, by whoever comes next.
        held = [await connections.take() for _ in range(3)]
        for conn in held:
            connections.bring(conn)
        await connections.close()
    assert opened.most <= 3
    assert storm.told
    kept: set[str] = set()
    for business in businesses:
        async with database.read(business.id) as db:
            kept |= {row.key for row in await db.many(SEEN, Seen)}
    assert storm.told <= kept <= storm.asked


class Counted:
    """Opens connections, and tells how many were open at once at most."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._all: list[Connection] = []
        self.most = 0

    async def __call__(self) -> Connection:
        conn = await connected(self._url)
        self._all = [each for each in self._all if not each.is_closed()] + [conn]
        self.most = max(self.most, len(self._all))
        return conn


async def test_a_server_that_ends_all_connections_costs_what_was_open(
    own_cluster: Cluster, own_database: Database
) -> None:
    """As a restart does. Nothing of an open transaction is kept, and all go on afterwards."""
    business = await make.business(own_database)
    idle = [await own_database.connections.take() for _ in range(4)]
    for conn in idle:
        own_database.connections.bring(conn)
    owner = await asyncpg.connect(own_cluster.superuser_url)

    async def cut() -> None:
        async with own_database.write(business.id) as db:
            await db.run(KEEP, key="cut off")
            await owner.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'firsthand'"
            )
            await db.run(KEEP, key="too late")

    with pytest.raises(BROKEN):
        await cut()
    await owner.close()
    # What has not heard of it yet says so once; PostgreSQL's farewell comes in any order.
    async with asyncio.timeout(10):
        while not all(conn.is_closed() for conn in idle):  # noqa: ASYNC110  (asyncpg tells nobody)
            await asyncio.sleep(0)
        for _ in range(10):
            async with own_database.read(business.id) as reading:
                assert await reading.many(SEEN, Seen) == []


async def test_a_migration_under_a_running_process_costs_one_try_a_connection(
    own_cluster: Cluster, own_database: Database
) -> None:
    """A prepared statement whose columns change is refused, keeps nothing, and is made anew.

    A job begins anew by itself; a request is answered with 503, which says to try again.
    """
    business = await make.business(own_database)
    async with own_database.write(business.id) as db:
        await db.run(KEEP, key="before")
    async with open_database(own_cluster.app_url, KEYS, size=1) as single:
        status = Statement("status", "A column.", "SELECT status FROM idempotency_key", ())

        async def asked(db: Any) -> list[int | None]:
            found: list[int | None] = await db.many(status, int)
            return found

        async with single.read(business.id) as reading:
            assert await asked(reading) == [None]
        await _widened(own_cluster, "bigint")

        async def refused() -> None:
            async with single.write(business.id) as writing:
                await writing.run(KEEP, key="lost")
                await asked(writing)

        with pytest.raises(asyncpg.InvalidCachedStatementError) as told:
            await refused()
        assert isinstance(told.value, RETRIABLE)
        async with single.read(business.id) as reading:
            assert await asked(reading) == [None]
        await _widened(own_cluster, "numeric")
        assert await single.attempt(business.id, asked) == [None]


async def _widened(cluster: Cluster, kind: str) -> None:
    owner = await asyncpg.connect(cluster.owner_url)
    await owner.execute(f"ALTER TABLE crm.idempotency_key ALTER COLUMN status TYPE {kind}")
    await owner.close()
