"""Statements from `sql/`, and the only place where a transaction begins and ends."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from crm.errors import NotFound
from crm.keys import Keys

T = TypeVar("T")

_HERE = Path(__file__).resolve().parent
# The wheel carries the statements as crm/sql; a checkout has them beside the package.
SQL = next(path for path in (_HERE / "sql", _HERE.parent / "sql") if path.is_dir())

_HEADER = re.compile(r"^-- name: (.*)$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TOKEN = re.compile(
    r"'(?:[^']|'')*'"  # a string
    r"|--[^\n]*"  # a comment
    r"|::\w+"  # a cast
    r"|:(?P<param>[a-z_][a-z0-9_]*)"
)
_BOUND = ("business_id", "now")

# Any one of these asks for the same transaction again: nothing of it was kept.
RETRIABLE = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)

# PostgreSQL is away, or refuses: nothing was kept, or nobody said whether it was.
BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# Those of them that pass by themselves, when PostgreSQL is back.
AWAY = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)

_TRIES = 3

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Wake = Callable[[str, tuple[str, ...], str], Awaitable[None]]


class Statement(Struct, frozen=True):
    """One named statement: SQL with `$1`, `$2` … and the names that belong there."""

    name: str
    doc: str
    sql: str
    params: tuple[str, ...]

    def args(self, given: dict[str, Any]) -> list[Any]:
        """Order the keywords as the statement wants them; a missing or unknown one is our bug."""
        if given.keys() != set(self.params):
            message = f"{self.name} takes {self.params}, got {tuple(given)}"
            raise TypeError(message)
        return [given[name] for name in self.params]


class Statements:
    """The statements of `sql/<domain>.sql` as attributes."""

    def __init__(self, domain: str) -> None:
        """Read and check the file at import, so that a broken one never serves."""
        self.domain = domain
        text = (SQL / f"{domain}.sql").read_text(encoding="utf-8")
        self._by_name = {statement.name: statement for statement in parse(text)}

    def __getattr__(self, name: str) -> Statement:
        """Find a statement by its name."""
        try:
            return self._by_name[name]
        except KeyError:
            message = f"sql/{self.domain}.sql has no statement {name!r}"
            raise AttributeError(message) from None

    def __iter__(self) -> Iterator[Statement]:
        """Walk all statements, in the order of the file."""
        return iter(self._by_name.values())


def parse(text: str) -> list[Statement]:
    """Cut a file into statements; refuse a bad name, a name given twice and a missing comment."""
    parts = _HEADER.split(text)[1:]
    found: dict[str, Statement] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        statement = _statement(name.strip(), body)
        if statement.name in found:
            message = f"the statement {statement.name} is there twice"
            raise ValueError(message)
        found[statement.name] = statement
    return list(found.values())


def _statement(name: str, body: str) -> Statement:
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not a name for a statement"
        raise ValueError(message)
    lines = body.strip().splitlines()
    doc = []
    while lines and lines[0].startswith("--"):
        doc.append(lines.pop(0).removeprefix("--").strip())
    if not doc:
        message = f"the statement {name} has no comment that says what it answers"
        raise ValueError(message)
    params: list[str] = []

    def number(match: re.Match[str]) -> str:
        param = match["param"]
        if param is None:
            return match[0]
        if param not in params:
            params.append(param)
        return f"${params.index(param) + 1}"

    sql = _TOKEN.sub(number, "\n".join(lines)).strip().removesuffix(";")
    return Statement(name, " ".join(doc), sql, tuple(params))


class ReadDb:
    """A transaction that reads, for one business, at one instant."""

    def __init__(self, conn: Connection, business_id: UUID, now: datetime, keys: Keys) -> None:
        """Wrap a connection inside an open transaction."""
        self._conn = conn
        self.business_id = business_id
        self.now = now
        self.keys = keys

    def _args(self, statement: Statement, params: dict[str, Any]) -> list[Any]:
        for name in _BOUND:
            if name in statement.params:
                params[name] = getattr(self, name)
        return statement.args(params)

    async def one(self, statement: Statement, to: type[T], **params: Any) -> T:
        """Return the one row, or refuse with NotFound."""
        found = await self.maybe(statement, to, **params)
        if found is None:
            raise NotFound
        return found

    async def maybe(self, statement: Statement, to: type[T], **params: Any) -> T | None:
        """Return the row, or None where there is none."""
        row = await self._conn.fetchrow(statement.sql, *self._args(statement, params))
        return None if row is None else _converter(to)(row)

    async def many(self, statement: Statement, to: type[T], **params: Any) -> list[T]:
        """Return all rows; the statement bounds how many."""
        rows = await self._conn.fetch(statement.sql, *self._args(statement, params))
        return [_converter(to)(row) for row in rows]

    async def stream(self, statement: Statement, to: type[T], **params: Any) -> AsyncIterator[T]:
        """Yield rows one by one through a cursor, in constant memory."""
        convert: Callable[[asyncpg.Record], T] = _converter(to)
        args = self._args(statement, params)
        async for row in self._conn.cursor(statement.sql, *args, prefetch=1000):
            yield convert(row)


class Db(ReadDb):
    """A transaction that may write, and wakes workers when it has committed."""

    def __init__(self, conn: Connection, business_id: UUID, now: datetime, keys: Keys) -> None:
        """Begin with no wakes."""
        super().__init__(conn, business_id, now, keys)
        self.wakes: list[tuple[str, tuple[str, ...], str]] = []

    async def run(self, statement: Statement, **params: Any) -> int:
        """Execute a statement and return how many rows it touched."""
        tag = await self._conn.execute(statement.sql, *self._args(statement, params))
        last = tag.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    def wake(self, job: str, *args: str, slot: str = "") -> None:
        """Hint, after commit, that `job` may run now; ten wakes of one slot are one run."""
        self.wakes.append((job, args, slot))


_CONVERTERS: dict[Any, Callable[[asyncpg.Record], Any]] = {}


def _converter(to: type[T]) -> Callable[[asyncpg.Record], T]:
    """Turn rows into `to`: a Struct by column names, or the first column for a plain type."""
    if to not in _CONVERTERS:
        _CONVERTERS[to] = _made(to)
    return _CONVERTERS[to]


def _made(to: Any) -> Callable[[asyncpg.Record], Any]:
    if isinstance(to, type) and issubclass(to, Struct):
        return lambda row: msgspec.convert(dict(row), to, strict=False)
    if to is dict:
        return dict
    return lambda row: row[0]


class Database:
    """The pool, and the only place where a transaction begins and ends."""

    def __init__(
        self, pool: asyncpg.Pool, keys: Keys, wake: Wake, clock: Callable[[], datetime]
    ) -> None:
        """Prefer `open_database`; tests hand in a pool of their own."""
        self._pool = pool
        self._wake = wake
        self.keys = keys
        self.clock = clock

    @asynccontextmanager
    async def read(self, business_id: UUID) -> AsyncIterator[ReadDb]:
        """Read as one business; PostgreSQL refuses any write."""
        async with self._pool.acquire() as conn, _opened(conn, business_id, "BEGIN READ ONLY"):
            yield ReadDb(conn, business_id, self.clock(), self.keys)

    @asynccontextmanager
    async def write(self, business_id: UUID) -> AsyncIterator[Db]:
        """Read and write as one business; commit at the end, or keep nothing."""
        async with self._pool.acquire() as conn, _opened(conn, business_id, "BEGIN"):
            db = Db(conn, business_id, self.clock(), self.keys)
            yield db
        for job, args, slot in db.wakes:
            await self._wake(job, args, slot)

    async def attempt(self, business_id: UUID, act: Callable[[Db], Awaitable[T]]) -> T:
        """Write, and begin anew where PostgreSQL chose this one to end a deadlock."""
        for _ in range(_TRIES - 1):
            try:
                async with self.write(business_id) as db:
                    return await act(db)
            except RETRIABLE:
                continue
        async with self.write(business_id) as db:
            return await act(db)

    async def above(self, statement: Statement, to: type[T], **params: Any) -> list[T]:
        """Ask one of the few statements above one business (`sql/above.sql`).

        Each calls a function of the sweep role, which has explicit policies and sees ids only.
        """
        if "now" in statement.params:
            params["now"] = self.clock()
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(statement.sql, *statement.args(params))
        return [_converter(to)(row) for row in rows]


@asynccontextmanager
async def _opened(conn: Connection, business_id: UUID, begin: str) -> AsyncIterator[None]:
    # One round trip. A plpgsql function sets the business, not bare set_config, which a table
    # distributed over several machines would not see.
    await conn.execute(f"{begin}; SELECT crm.begin_business('{UUID(str(business_id))}')")
    try:
        yield
    except BaseException:
        await _roll_back(conn)
        raise
    else:
        await conn.execute("COMMIT")


async def _roll_back(conn: Connection) -> None:
    """Keep nothing; a connection that broke is given up, and its first error is what is told."""
    try:
        if not conn.is_closed():
            await conn.execute("ROLLBACK")
    except BROKEN:
        with suppress(asyncpg.InterfaceError):
            conn.terminate()


def utc_now() -> datetime:
    """Read the clock; only `Database` and processes call this, rules get `now` as a value."""
    return datetime.now(UTC)


async def no_wake(_job: str, _args: tuple[str, ...], _slot: str) -> None:
    """Wake nobody: the row is the truth, and the sweep finds it."""


@asynccontextmanager
async def open_database(
    url: str,
    keys: Keys,
    *,
    wake: Wake = no_wake,
    clock: Callable[[], datetime] = utc_now,
    size: int = 10,
) -> AsyncIterator[Database]:
    """Open a pool whose connections keep nothing between transactions."""
    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=_prepared,
        reset=_keep,
        command_timeout=60,
        server_settings={
            "application_name": "firsthand",
            "search_path": "crm",
            # An answered withdrawal and a recorded hand-over outlive a crash of the server.
            "synchronous_commit": "on",
        },
    )
    try:
        yield Database(pool, keys, wake, clock)
    finally:
        await pool.close()


async def _prepared(conn: asyncpg.Connection) -> None:
    # jsonb travels as the bytes msgspec reads; version 1 is the only binary format there is.
    await conn.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )


async def _keep(_conn: asyncpg.Connection) -> None:
    # All session state is SET LOCAL, so there is nothing to reset (a fifth of a small write).
    return
