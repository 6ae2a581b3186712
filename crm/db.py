"""The only place where a transaction begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from crm.clock import Clock
from crm.connections import AWAY, BROKEN, GONE, Connection, Connections, connected, is_broken
from crm.errors import NotFound
from crm.keys import Keys
from crm.statements import SQL, Statement, Statements, parse

__all__ = [
    "AWAY",
    "BROKEN",
    "RETRIABLE",
    "SQL",
    "Database",
    "Db",
    "Keep",
    "Kept",
    "NotCommitted",
    "ReadDb",
    "Statement",
    "Statements",
    "Transaction",
    "Wake",
    "no_wake",
    "open_database",
    "parse",
]

T = TypeVar("T")
D = TypeVar("D", bound="ReadDb")

_BOUND = ("business_id", "now")

# Any one of these asks for the same transaction again: nothing of it was kept.
RETRIABLE = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)

_TRIES = 3

Wake = Callable[[str, tuple[str, ...], str], Awaitable[None]]
# Asked just before a commit, of a transaction that noted something; what it returns is told after
# it whether that was kept, unless nobody knows.
Kept = Callable[[bool], Awaitable[None]]
Keep = Callable[["Db"], Awaitable[Kept | None]]


class ReadDb:
    """A transaction that reads, for one business, at one instant."""

    def __init__(self, conn: Connection, business_id: UUID, now: datetime, keys: Keys) -> None:
        """Wrap a connection inside an open transaction."""
        self._conn = conn
        self.business_id = business_id
        self.now = now
        self.keys = keys

    def _args(self, statement: Statement, params: dict[str, Any]) -> list[Any]:
        params |= {name: getattr(self, name) for name in _BOUND if name in statement.params}
        return statement.args(params)

    async def one(self, statement: Statement, to: type[T], **params: Any) -> T:
        """Return the one row, or refuse with NotFound."""
        found = await self.maybe(statement, to, **params)
        if found is None:
            raise NotFound
        return found

    async def maybe(self, statement: Statement, to: type[T], **params: Any) -> T | None:
        """Return the row, or None where there is none."""
        conn = self._conn
        conn.asks()
        row = await conn.fetchrow(statement.sql, *self._args(statement, params))
        conn.asked_at = None
        return None if row is None else _converter(to)(row)

    async def many(self, statement: Statement, to: type[T], **params: Any) -> list[T]:
        """Return all rows; the statement bounds how many."""
        conn = self._conn
        conn.asks()
        rows = await conn.fetch(statement.sql, *self._args(statement, params))
        conn.asked_at = None
        return _all(rows, to)

    async def total(self, statement: Statement, **params: Any) -> int:
        """Return the number that a statement makes of many rows, read by several processes.

        PostgreSQL lets them help whoever asks for all rows, and `one` asks for one.
        """
        (number,) = await self.many(statement, int, **params)
        return number

    async def sent(self) -> None:
        """Wait until a statement that another task asks has left, and its answer is waited for."""
        await self._conn.sent()

    async def stream(self, statement: Statement, to: type[T], **params: Any) -> AsyncIterator[T]:
        """Yield rows one by one through a cursor, in constant memory."""
        convert: Callable[[asyncpg.Record], T] = _converter(to)
        args = self._args(statement, params)
        conn = self._conn
        conn.asks()
        async for row in conn.cursor(statement.sql, *args, prefetch=1000):
            conn.asked_at = None
            yield convert(row)
            conn.asked_at = monotonic()
        conn.asked_at = None


class Db(ReadDb):
    """A transaction that may write, and wakes workers when it has committed."""

    def __init__(self, conn: Connection, business_id: UUID, now: datetime, keys: Keys) -> None:
        """Begin with no wakes and nothing noted."""
        super().__init__(conn, business_id, now, keys)
        self.wakes: list[tuple[str, tuple[str, ...], str]] = []
        self.noted: list[Any] = []

    async def run(self, statement: Statement, **params: Any) -> int:
        """Execute a statement and return how many rows it touched."""
        conn = self._conn
        conn.asks()
        tag = await conn.execute(statement.sql, *self._args(statement, params))
        conn.asked_at = None
        last = tag.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    @asynccontextmanager
    async def together(self, *, only_try: bool = False) -> AsyncIterator[None]:
        """Keep all of a block or, where it fails, nothing of it; what came before it stays.

        For a form that is shown again: the transaction of the request is committed all the same.
        To `only_try` nothing of it is kept in any case.
        """
        before = len(self.wakes), len(self.noted)
        await self._told("SAVEPOINT together")
        try:
            yield
        except Exception as error:
            if not is_broken(error):
                await self._undo(*before)
            raise
        if only_try:
            await self._undo(*before)
        else:
            await self._told("RELEASE SAVEPOINT together")

    async def _undo(self, wakes: int, noted: int) -> None:
        await self._told("ROLLBACK TO SAVEPOINT together; RELEASE SAVEPOINT together")
        del self.wakes[wakes:], self.noted[noted:]

    async def _told(self, command: str) -> None:
        conn = self._conn
        conn.asks()
        await conn.execute(command)
        conn.asked_at = None

    def wake(self, job: str, *args: str, slot: str = "") -> None:
        """Hint, after commit, that `job` may run now; ten wakes of one slot are one run."""
        self.wakes.append((job, args, slot))

    def note(self, entry: object) -> None:
        """Have an entry of `crm.journal` on disk outside the database before this is committed."""
        self.noted.append(entry)


_CONVERTERS: dict[Any, Callable[[asyncpg.Record], Any]] = {}


def _converter(to: type[T]) -> Callable[[asyncpg.Record], T]:
    """Turn rows into `to`: a Struct by column names, or the first column for a plain type."""
    if to not in _CONVERTERS:
        _CONVERTERS[to] = _made(to)
    return _CONVERTERS[to]


def _made(to: Any) -> Callable[[asyncpg.Record], Any]:
    if isinstance(to, type) and issubclass(to, Struct):
        return lambda row: msgspec.convert(dict(row.items()), to, strict=False)
    if to is dict:
        return dict
    return lambda row: row[0]


def _all(rows: list[asyncpg.Record], to: type[T]) -> list[T]:
    if isinstance(to, type) and issubclass(to, Struct):
        # At once: a third less than one by one.
        return msgspec.convert([dict(row.items()) for row in rows], list[to], strict=False)  # type: ignore[valid-type]
    return list(map(_converter(to), rows))


class NotCommitted(Exception):
    """A statement had failed, and what came after it asked to commit all the same."""


class Transaction(Generic[D]):
    """One transaction of one business: `async with`, or begun here and ended there.

    It is ended once: by `commit`, or by `roll_back`, which may be asked again. However it ends,
    its connection is brought back.
    """

    def __init__(self, database: Database, business_id: UUID, begin: str, kind: type[D]) -> None:
        """Open nothing yet."""
        self._database = database
        self._business_id = business_id
        self._begin = begin
        self._kind = kind
        self._conn: Connection | None = None

    async def begin(self) -> D:
        """Take a connection and open the transaction, in one round trip."""
        database = self._database
        conn = await database.connections.take()
        try:
            # A plpgsql function sets the business, not bare set_config, which a table distributed
            # over several machines would not see.
            business = UUID(str(self._business_id))
            # Nothing may come before BEGIN: PostgreSQL refuses to make that a snapshot.
            begin = f"{self._begin}; {conn.forgetting()}"
            await conn.execute(f"{begin}SELECT crm.begin_business('{business}')")
            conn.asked_at = None
            self.db = self._kind(conn, self._business_id, database.clock(), database.keys)
        except BaseException as error:
            database.connections.bring(conn, error)
            raise
        self._conn = conn
        return self.db

    async def commit(self) -> None:
        """Keep all of it, and then wake whom it asks to wake."""
        kept = await self._noted()
        try:
            told = await self._end("COMMIT")
        except asyncpg.PostgresError as no:
            # Where it only was not heard, nobody knows.
            if kept is not None and not isinstance(no, GONE):
                await kept(False)  # noqa: FBT003  (an answer)
            raise
        if isinstance(self.db, Db):
            if kept is not None:
                await kept(told == "COMMIT")
            # PostgreSQL answers ROLLBACK where a statement had failed; nothing was kept then.
            if told != "COMMIT":
                raise NotCommitted
            for job, args, slot in self.db.wakes:
                await self._database.wake(job, args, slot)

    async def _noted(self) -> Kept | None:
        keep = self._database.keep
        if keep is None or not isinstance(self.db, Db) or not self.db.noted:
            return None
        try:
            return await keep(self.db)
        except BaseException:
            await self.roll_back()
            raise

    async def roll_back(self) -> None:
        """Keep nothing; the first error is what is told, not that of a connection that broke."""
        if self._conn is not None:
            with suppress(*BROKEN):
                await self._end("ROLLBACK")

    async def _end(self, how: str) -> str:
        conn, self._conn = self._conn, None
        if conn is None:
            message = "the transaction has ended"
            raise RuntimeError(message)
        try:
            told = await conn.end(how, wrote=isinstance(self.db, Db))
        except BaseException as error:
            self._database.connections.bring(conn, error)
            raise
        self._database.connections.bring(conn)
        return told

    async def __aenter__(self) -> D:
        """Begin."""
        return await self.begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Commit, or keep nothing where the block has failed."""
        if kind is None:
            await self.commit()
        else:
            await self.roll_back()


class Database:
    """The only place where a transaction begins and ends."""

    def __init__(
        self,
        connections: Connections,
        keys: Keys,
        wake: Wake,
        clock: Callable[[], datetime],
        keep: Keep | None = None,
    ) -> None:
        """Prefer `open_database`; tests share the connections of another."""
        self.connections = connections
        self.wake = wake
        self.keys = keys
        self.clock = clock
        self.keep = keep

    def read(self, business_id: UUID) -> Transaction[ReadDb]:
        """Read as one business; PostgreSQL refuses any write."""
        return Transaction(self, business_id, "BEGIN READ ONLY", ReadDb)

    def snapshot(self, business_id: UUID) -> Transaction[ReadDb]:
        """Read as one business, all of it as it was at one instant, however long it takes."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        return Transaction(self, business_id, begin, ReadDb)

    def write(self, business_id: UUID) -> Transaction[Db]:
        """Read and write as one business; commit at the end, or keep nothing."""
        return Transaction(self, business_id, "BEGIN", Db)

    async def attempt(self, business_id: UUID, act: Callable[[Db], Awaitable[T]]) -> T:
        """Write, and begin anew after a deadlock or a lost connection: twice does no harm."""
        for _ in range(_TRIES - 1):
            try:
                async with self.write(business_id) as db:
                    return await act(db)
            except (*RETRIABLE, *GONE):
                continue
        async with self.write(business_id) as db:
            return await act(db)

    async def above(self, statement: Statement, to: type[T], **params: Any) -> list[T]:
        """Ask one of the few statements above one business (`sql/above.sql`).

        Each calls a function of the sweep role, which has explicit policies and sees ids only.
        """
        if "now" in statement.params:
            params["now"] = self.clock()
        conn = await self.connections.take()
        try:
            rows = await conn.fetch(statement.sql, *statement.args(params))
        except BaseException as error:
            self.connections.bring(conn, error)
            raise
        self.connections.bring(conn)
        return _all(rows, to)


async def no_wake(_job: str, _args: tuple[str, ...], _slot: str) -> None:
    """Wake nobody: the row is the truth, and the sweep finds it."""


@asynccontextmanager
async def open_database(
    url: str,
    keys: Keys,
    *,
    wake: Wake = no_wake,
    clock: Callable[[], datetime] | None = None,
    keep: Keep | None = None,
    size: int = 10,
) -> AsyncIterator[Database]:
    """Open connections that keep nothing between transactions; the time is PostgreSQL's too."""
    connections = Connections(lambda: connected(url), size)
    theirs = Clock(connections)
    await theirs.read()
    watching = [asyncio.create_task(each) for each in (connections.watch(), theirs.follow())]
    try:
        yield Database(connections, keys, wake, clock or theirs, keep)
    finally:
        try:
            await connections.close()
        finally:
            for each in watching:
                each.cancel()
