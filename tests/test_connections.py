"""Connections are bounded, lent in turn, and never lent again when it is unsure how they stand."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

import asyncpg
import pytest

from crm import connections
from crm.businesses import Business
from crm.connections import Connection, Connections, connected
from crm.db import AWAY, Database, Db, NotCommitted, Statement, open_database
from tests import make
from tests.conftest import KEYS, Cluster

KEEP = Statement(
    "keep",
    "A row that is easy to make.",
    "INSERT INTO idempotency_key (business_id, scope, key, fingerprint, created_at, expires_at)"
    " VALUES ($1, 'x', $2, '', $3, $3)",
    ("business_id", "key", "now"),
)
COUNT = Statement(
    "count",
    "Rows.",
    "SELECT count(*) FROM idempotency_key WHERE business_id = $1",
    ("business_id",),
)
SLEEP = Statement("sleep", "A statement that is cut off.", "SELECT true FROM pg_sleep(60)", ())
WRONG = Statement("wrong", "A statement that fails.", "SELECT 1 / 0", ())
END = Statement(
    "end", "This connection is ended.", "SELECT pg_terminate_backend(pg_backend_pid())", ()
)
PID = Statement("pid", "Which connection this is.", "SELECT pg_backend_pid()", ())
# Waits for a lock at the very end, in the commit.
SLOW_TO_COMMIT = """
CREATE FUNCTION crm.linger() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON crm.idempotency_key
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crm.linger();
"""


class Counted:
    """Opens connections and counts them; fails as often as it is told to."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.opened = 0
        self.fails = 0

    async def __call__(self) -> Connection:
        if self.fails:
            self.fails -= 1
            raise ConnectionRefusedError
        self.opened += 1
        return await connected(self._url)


@pytest.fixture
def opens(shared_cluster: Cluster) -> Counted:
    return Counted(shared_cluster.app_url)


@asynccontextmanager
async def some(opens: Callable[[], Awaitable[Connection]], size: int) -> AsyncIterator[Connections]:
    """Connections that are closed at the end; a test that lost one would hang there."""
    lent = Connections(opens, size)
    try:
        yield lent
    finally:
        async with asyncio.timeout(10):
            await lent.close()


@pytest.fixture
async def single(shared_cluster: Cluster) -> AsyncIterator[Database]:
    """A database with one connection: whatever is lost with it is missed at once."""
    async with open_database(shared_cluster.app_url, KEYS, size=1) as opened:
        yield opened
    # PostgreSQL does not notice that nobody listens any more while it sleeps.
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    await conn.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE wait_event = 'PgSleep' AND datname = current_database()"
    )
    await conn.close()


async def pid_of(database: Database, business: Business) -> int:
    async with asyncio.timeout(10), database.read(business.id) as db:
        return await db.one(PID, int)


async def rows(database: Database, business: Business) -> int:
    async with asyncio.timeout(10), database.read(business.id) as db:
        return await db.one(COUNT, int)


async def until_waiting(superuser_url: str, event: str) -> None:
    """Wait until somebody in the database waits so; PostgreSQL tells nobody."""
    conn = await asyncpg.connect(superuser_url)
    try:
        async with asyncio.timeout(10):
            while not await conn.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event = $1 AND datname = current_database()",
                event,
            ):
                continue
    finally:
        await conn.close()


async def test_one_connection_serves_one_after_the_other(opens: Counted) -> None:
    async with some(opens, 2) as lent:
        assert opens.opened == 0
        first = await lent.take()
        lent.bring(first)
        second = await lent.take()
        lent.bring(second)
    assert first is second
    assert opens.opened == 1


async def test_a_statement_has_left_when_all_of_it_has(opens: Counted) -> None:
    """PostgreSQL reads it in pieces, here none for a while."""
    conn = await opens()
    statement = await conn.prepare("SELECT length($1::bytea)")
    await conn.sent()
    os.kill(conn.get_server_pid(), signal.SIGSTOP)
    try:
        asking = asyncio.create_task(statement.fetchval(b"x" * 8_000_000))
        leaving = asyncio.create_task(conn.sent())
        done, _ = await asyncio.wait([leaving], timeout=0.05)
        assert not done
    finally:
        os.kill(conn.get_server_pid(), signal.SIGCONT)
    async with asyncio.timeout(10):
        await leaving
        assert await asking == 8_000_000
    await conn.close()


async def test_who_waits_is_served_in_turn(opens: Counted) -> None:
    served: list[int] = []

    async def asked(number: int) -> None:
        conn = await lent.take()
        served.append(number)
        await conn.fetchval("SELECT 1")
        lent.bring(conn)

    async with some(opens, 2) as lent:
        held = [await lent.take() for _ in range(2)]
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(asked(number))
            await asyncio.sleep(0)
            assert served == []
            for conn in held:
                lent.bring(conn)
    assert served == list(range(20))
    assert opens.opened == 2


async def test_who_comes_late_does_not_overtake(opens: Counted) -> None:
    async with some(opens, 1) as lent:
        held = await lent.take()
        early = asyncio.create_task(lent.take())
        await asyncio.sleep(0)
        lent.bring(held)
        late = asyncio.create_task(lent.take())
        assert await early is held
        assert not late.done()
        lent.bring(held)
        lent.bring(await late)


async def test_who_no_longer_waits_is_passed_over(opens: Counted) -> None:
    async with some(opens, 1) as lent:
        held = await lent.take()
        gone, there = (asyncio.create_task(lent.take()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        lent.bring(held)
        assert await there is held
        lent.bring(held)
        with pytest.raises(asyncio.CancelledError):
            await gone


async def test_who_leaves_when_called_up_passes_it_on(opens: Counted) -> None:
    async with some(opens, 1) as lent:
        held = await lent.take()
        gone, there = (asyncio.create_task(lent.take()) for _ in range(2))
        await asyncio.sleep(0)
        lent.bring(held)
        gone.cancel()
        async with asyncio.timeout(10):
            assert await there is held
        lent.bring(held)
        with pytest.raises(asyncio.CancelledError):
            await gone


async def test_a_broken_connection_is_replaced(opens: Counted) -> None:
    async with some(opens, 1) as lent:
        broken = await lent.take()
        broken.terminate()
        waiting = asyncio.create_task(lent.take())
        await asyncio.sleep(0)
        lent.bring(broken)
        async with asyncio.timeout(10):
            fresh = await waiting
        assert await fresh.fetchval("SELECT 1") == 1
        lent.bring(fresh)
        fresh.terminate()
        another = await lent.take()
        lent.bring(another)
    assert opens.opened == 3


async def test_one_that_cannot_be_opened_costs_no_place(opens: Counted) -> None:
    opens.fails = 3
    async with some(opens, 1) as lent:
        first, second = (asyncio.create_task(lent.take()) for _ in range(2))
        for task in (first, second):
            with pytest.raises(ConnectionRefusedError):
                await task
        with pytest.raises(ConnectionRefusedError):
            await lent.take()
        lent.bring(await lent.take())


@pytest.mark.parametrize("statement", ["BEGIN", "BEGIN; SAVEPOINT a"])
async def test_one_inside_a_transaction_is_given_up(opens: Counted, statement: str) -> None:
    async with some(opens, 1) as lent:
        open_still = await lent.take()
        await open_still.execute(statement)
        lent.bring(open_still)
        assert open_still.is_closed()
        lent.bring(await lent.take())
    assert opens.opened == 2


async def test_an_error_of_the_server_gives_up_nothing(opens: Counted) -> None:
    async with some(opens, 1) as lent:
        conn = await lent.take()
        with pytest.raises(asyncpg.DivisionByZeroError) as told:
            await conn.fetchval("SELECT 1 / 0")
        lent.bring(conn, told.value)
        assert await lent.take() is conn
        lent.bring(conn)


async def test_closing_waits_for_those_that_are_lent(opens: Counted) -> None:
    lent = Connections(opens, 1)
    held = await lent.take()
    waiting = asyncio.create_task(lent.take())
    await asyncio.sleep(0)
    closing = asyncio.create_task(lent.close())
    await asyncio.sleep(0)
    with pytest.raises(asyncpg.InterfaceError):
        await lent.take()
    lent.bring(held)
    async with asyncio.timeout(10):
        assert await waiting is held
        assert not closing.done()
        lent.bring(held)
        await closing
    assert held.is_closed()


async def test_what_was_idle_for_long_is_closed(
    opens: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the last one, after a quiet night; and never one that is lent."""
    async with some(opens, 2) as lent:
        idle, busy = await lent.take(), await lent.take()
        lent.bring(idle)
        lent.give_up_idle()
        assert not idle.is_closed()
        monkeypatch.setattr(connections, "IDLE_SECONDS", -1.0)
        lent.give_up_idle()
        assert idle.is_closed()
        assert await busy.fetchval("SELECT 1") == 1
        lent.bring(busy)
        lent.give_up_idle()
        assert busy.is_closed()
        for conn in [await lent.take() for _ in range(2)]:
            lent.bring(conn)
    assert opens.opened == 4


async def test_a_server_that_does_not_answer_is_given_up(
    single: Database,
    shared_cluster: Cluster,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its user is told, what it did is not kept, and the next one gets another connection."""
    before = await pid_of(single, business)

    async def stuck() -> None:
        async with single.write(business.id) as db:
            await db.run(KEEP, key="half")
            await db.run(SLEEP)

    task = asyncio.create_task(stuck())
    await until_waiting(shared_cluster.superuser_url, "PgSleep")
    single.connections.give_up_silent()
    assert not task.done()
    monkeypatch.setattr(connections, "SILENT_SECONDS", -1.0)
    single.connections.give_up_silent()
    monkeypatch.undo()
    with pytest.raises(asyncpg.PostgresConnectionError):
        await task
    assert await rows(single, business) == 0
    assert await pid_of(single, business) != before


@pytest.mark.parametrize("ask", ["many", "maybe", "run", "stream", "above"])
async def test_whatever_is_asked_is_watched(
    single: Database,
    shared_cluster: Cluster,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
    ask: str,
) -> None:
    async def stuck() -> None:
        if ask == "above":
            await single.above(SLEEP, bool)
        async with single.write(business.id) as db:
            if ask == "stream":
                async for _ in db.stream(SLEEP, bool):
                    continue
            elif ask == "run":
                await db.run(SLEEP)
            else:
                await getattr(db, ask)(SLEEP, bool)

    task = asyncio.create_task(stuck())
    await until_waiting(shared_cluster.superuser_url, "PgSleep")
    monkeypatch.setattr(connections, "SILENT_SECONDS", -1.0)
    single.connections.give_up_silent()
    with pytest.raises(asyncpg.PostgresConnectionError):
        await task


async def test_only_what_waits_for_an_answer_is_given_up(
    single: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction may be open and ask nothing for long, as that of an import is."""
    before = await pid_of(single, business)
    monkeypatch.setattr(connections, "SILENT_SECONDS", -1.0)
    single.connections.give_up_silent()
    async with single.write(business.id) as db:
        single.connections.give_up_silent()
        for ask in (db.one, db.maybe, db.many):
            await ask(PID, int)
            single.connections.give_up_silent()
        await db.run(KEEP, key="slow")
        async for _ in db.stream(PID, int):
            single.connections.give_up_silent()
        single.connections.give_up_silent()
    single.connections.give_up_silent()
    assert await rows(single, business) == 1
    assert await pid_of(single, business) == before


async def test_the_watch_looks_again_and_again(
    opens: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_LOOK_SECONDS", 0.0)
    async with some(opens, 1) as lent:
        watching = asyncio.create_task(lent.watch())
        conn = await lent.take()
        for _ in range(3):
            assert await conn.fetchval("SELECT 1") == 1
        monkeypatch.setattr(connections, "SILENT_SECONDS", -1.0)
        conn.asked_at = monotonic()
        with pytest.raises(asyncpg.PostgresConnectionError) as told:
            await conn.execute("SELECT pg_sleep(10)")
        lent.bring(conn, told.value)
        idle = await lent.take()
        monkeypatch.setattr(connections, "IDLE_SECONDS", -1.0)
        lent.bring(idle)
        async with asyncio.timeout(10):
            while not idle.is_closed():  # noqa: ASYNC110  (asyncpg tells nobody)
                await asyncio.sleep(0)
        watching.cancel()
        lent.bring(await lent.take())
    assert opens.opened == 3


async def test_postgresql_ends_what_takes_too_long(opens: Counted) -> None:
    """The bound of the watch is behind that of the server, which ends a statement by itself."""
    assert connections.COMMAND_SECONDS < connections.SILENT_SECONDS
    async with some(opens, 1) as lent:
        conn = await lent.take()
        bound = await conn.fetchval(
            "SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'"
        )
        assert bound == connections.COMMAND_SECONDS * 1000
        await conn.execute("SET statement_timeout = 10")
        with pytest.raises(asyncpg.QueryCanceledError) as told:
            await conn.fetchval("SELECT pg_sleep(60)")
        lent.bring(conn, told.value)
        assert await lent.take() is conn
        lent.bring(conn)


async def test_many_share_few(shared_cluster: Cluster, business: Business) -> None:
    async with open_database(shared_cluster.app_url, KEYS, size=2) as two, asyncio.timeout(30):
        found = await asyncio.gather(*(pid_of(two, business) for _ in range(100)))
    assert len(set(found)) <= 2


async def test_a_server_that_ends_a_connection_costs_one_request_at_most(
    single: Database, shared_cluster: Cluster, business: Business
) -> None:
    before = await pid_of(single, business)
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    await conn.fetchval("SELECT pg_terminate_backend($1, 10000)", before)
    await conn.close()
    try:
        after = await pid_of(single, business)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        after = await pid_of(single, business)
    assert after != before


async def test_a_statement_cut_off_leaves_nothing_behind(
    single: Database, shared_cluster: Cluster, business: Business, other_business: Business
) -> None:
    async def cut() -> None:
        async with single.write(business.id) as db:
            await db.run(KEEP, key="half")
            await db.run(SLEEP)

    for _ in range(3):
        task = asyncio.create_task(cut())
        await until_waiting(shared_cluster.superuser_url, "PgSleep")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await rows(single, business) == 0
        assert await rows(single, other_business) == 0


async def test_a_rollback_cut_off_gives_the_connection_up(
    single: Database, shared_cluster: Cluster, business: Business
) -> None:
    before = await pid_of(single, business)

    async def cut() -> None:
        async with single.write(business.id) as db:
            await db.run(SLEEP)

    task = asyncio.create_task(cut())
    await until_waiting(shared_cluster.superuser_url, "PgSleep")
    task.cancel()
    await asyncio.sleep(0)
    # The rollback waits for the server to end the statement now.
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pid_of(single, business) != before


async def test_a_commit_cut_off_gives_the_connection_up(own_cluster: Cluster) -> None:
    """Nobody knows whether it was kept, so nobody may go on with that connection."""
    owner = await asyncpg.connect(own_cluster.owner_url)
    await owner.execute(SLOW_TO_COMMIT)
    await owner.execute("SELECT pg_advisory_lock(42)")
    async with open_database(own_cluster.app_url, KEYS, size=1) as single:
        business = await make.business(single)
        before = await pid_of(single, business)

        async def cut() -> None:
            async with single.write(business.id) as db:
                await db.run(KEEP, key="unsure")

        task = asyncio.create_task(cut())
        await until_waiting(own_cluster.superuser_url, "advisory")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await owner.close()
        assert await pid_of(single, business) != before


async def test_what_had_failed_is_not_taken_for_committed(
    single: Database, business: Business
) -> None:
    """PostgreSQL answers a COMMIT of a failed transaction, too: with ROLLBACK."""
    before = await pid_of(single, business)
    begun = single.write(business.id)
    db = await begun.begin()
    await db.run(KEEP, key="lost")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await db.run(WRONG)
    with pytest.raises(NotCommitted):
        await begun.commit()
    assert await rows(single, business) == 0
    assert await pid_of(single, business) == before


async def test_what_has_only_read_has_nothing_to_lose(single: Database, business: Business) -> None:
    before = await pid_of(single, business)
    begun = single.read(business.id)
    db = await begun.begin()
    with pytest.raises(asyncpg.DivisionByZeroError):
        await db.maybe(WRONG, int)
    await begun.commit()
    assert await pid_of(single, business) == before


async def test_a_business_that_is_none_costs_no_connection(
    single: Database, business: Business
) -> None:
    for _ in range(3):
        with pytest.raises(ValueError, match="UUID"):
            async with single.read("'; DROP TABLE crm.business"):  # type: ignore[arg-type]
                pass
        with pytest.raises(asyncpg.UndefinedFunctionError):
            await single.above(Statement("none", "None.", "SELECT crm.nothing()", ()), UUID)
    assert await rows(single, business) == 0


async def test_an_ended_transaction_does_not_end_again(
    single: Database, business: Business
) -> None:
    begun = single.write(business.id)
    await begun.begin()
    await begun.commit()
    await begun.roll_back()
    with pytest.raises(RuntimeError):
        await begun.commit()
    async with asyncio.timeout(10):
        assert len({await pid_of(single, business) for _ in range(3)}) == 1


async def test_what_may_be_done_twice_begins_anew_on_another_connection(
    single: Database, business: Business
) -> None:
    """PostgreSQL ended the first one: nobody is told, and it is done."""
    tries = 0

    async def act(db: Db) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            await db.one(END, bool)
        return await db.one(PID, int)

    async with asyncio.timeout(30):
        assert await single.attempt(business.id, act) > 0
    assert tries == 2


async def test_a_server_that_has_said_it_ends_is_away(single: Database, business: Business) -> None:
    """It says so before its end is heard: whoever comes between is told to come again."""
    before = await pid_of(single, business)
    await _told_to_end(single, business)
    with pytest.raises(AWAY):
        await pid_of(single, business)
    assert await pid_of(single, business) != before

    await _told_to_end(single, business)
    async with asyncio.timeout(30):
        assert await single.attempt(business.id, lambda db: db.one(PID, int)) > 0


async def _told_to_end(single: Database, business: Business) -> None:
    """Let the one connection hear that PostgreSQL ends it, as in a restart, and no more yet."""
    async with single.read(business.id) as db:
        protocol = db._conn._protocol  # type: ignore[attr-defined]  # noqa: SLF001
    fields = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
    protocol.data_received(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
