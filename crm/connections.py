"""The connections of a process to PostgreSQL: bounded, opened when needed, lent in turn.

asyncpg's own pool wraps each connection anew and starts a task to take it back, which costs as
much as a small statement; here the connection itself is lent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import asyncpg
import msgspec

# What has been idle for so long is closed: a firewall may have forgotten it, and PostgreSQL
# needs the memory of its statements more than we do.
IDLE_SECONDS = 300.0
# PostgreSQL ends a statement after so long, and we a connection on which PostgreSQL itself does not
# answer. asyncpg would set a timer for each statement, which is a tenth of what a request costs.
COMMAND_SECONDS = 60.0
SILENT_SECONDS = 75.0
_LOOK_SECONDS = 5.0
# PostgreSQL keeps the plans of statements, of foreign keys' checks and of functions' queries. One
# made when a table was small reads all of it, also when it has become large, until the table's
# statistics are new. Sizes are looked at when a plan is made, so they are made anew this often.
PLAN_SECONDS = 30.0
_CLOSE_SECONDS = 10.0
_PIECE_SECONDS = 0.001
# More than there are: one that is evicted is parsed and planned anew.
_STATEMENTS = 500


# PostgreSQL has not answered, and will not.
GONE = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # It has said that it ends, while nothing was asked, and its end has not been heard yet.
    asyncpg.InternalClientError,
)
# What passes by itself, when PostgreSQL is back.
AWAY = (*GONE, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)
# PostgreSQL is away, or refuses: nothing was kept, or nobody said whether it was.
BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# The connection or the transaction cannot go on, or what was asked may pass another time. All else
# that PostgreSQL refuses, also by a trigger of ours, was wrong, and would be refused again.
_GIVEN_UP = (
    OSError,
    *AWAY,
    asyncpg.FatalPostgresError,
    asyncpg.InterfaceError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.LockNotAvailableError,
    # A disk that fails, or pages that are damaged: the database, whatever it is asked.
    asyncpg.InternalServerError,
    asyncpg.PostgresSystemError,
    asyncpg.SavepointError,
    asyncpg.TransactionRollbackError,
)
# What keeps anybody from connecting: it is away or refuses, or its address is none.
UNCONNECTED = (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError)


def is_broken(error: Exception) -> bool:
    """Say whether the transaction can only be given up: it is not one request that was wrong."""
    return isinstance(error, _GIVEN_UP)


def is_lacking(error: Exception) -> bool:
    """Say whether a role has no grant, or the schema is not ours: whatever is asked, and stays so.

    Triggers of ours refuse one row under the code of a missing grant; where PostgreSQL says which
    of its functions spoke, the two can be told apart, and else it was the row.
    """
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        spoke: str = error.server_source_function or ""
        return spoke.startswith("aclcheck_error")
    return isinstance(error, asyncpg.SyntaxOrAccessError | asyncpg.InvalidSchemaNameError)


class Lost(ConnectionError):
    """PostgreSQL ended the connection before it was asked to commit: nothing was kept."""


class InDoubt(ConnectionError):
    """The connection ended while PostgreSQL was to commit: whether it did, nobody said."""


class Connection(asyncpg.Connection):
    """A connection that knows since when it waits for an answer, and how old its plans may be."""

    __slots__ = ("asked_at", "planned_at")

    # Set by whoever asks, and None again when the answer is there.
    asked_at: float | None
    planned_at: float

    def forgetting(self) -> str:
        """Return what makes PostgreSQL forget plans that are too old, or nothing, mostly."""
        now = monotonic()
        if now - self.planned_at < PLAN_SECONDS:
            return ""
        self.planned_at = now
        return "DISCARD PLANS; "

    def asks(self) -> None:
        """Begin to wait for an answer. Raises Lost where PostgreSQL is not there any more."""
        if self.is_closed():
            raise Lost
        self.asked_at = monotonic()

    async def sent(self) -> None:
        """Wait until what another task asks has left for PostgreSQL, all of it.

        A large statement goes in pieces, each when the loop comes round: a thread that computes
        meanwhile keeps the interpreter from it before each. Of one that has to be prepared first,
        as once on each connection, only the question is waited for.
        """
        # First the other task asks.
        await asyncio.sleep(0)
        transport: asyncio.WriteTransport = self._transport  # type: ignore[attr-defined]
        # asyncpg tells nobody when it has emptied.
        while transport.get_write_buffer_size():  # noqa: ASYNC110
            await asyncio.sleep(_PIECE_SECONDS)

    async def end(self, how: str, *, wrote: bool) -> str:
        """End a transaction and return what PostgreSQL says became of it.

        Raises InDoubt where it wrote, and the answer to its commit never came.
        """
        self.asks()
        try:
            return await self.execute(how)
        except GONE as error:
            if wrote and how == "COMMIT":
                raise InDoubt from error
            raise


Opens = Callable[[], Awaitable[Connection]]


class Connections:
    """At most `size` connections; whoever takes one brings it back, once, whatever happened.

    The one used last is lent first, and those who wait are served in the order they came.
    """

    def __init__(self, opens: Opens, size: int) -> None:
        """Open nothing yet."""
        self._opens = opens
        # How many more may be opened.
        self._room = size
        self._lent = 0
        self._out: set[Connection] = set()
        self._free: deque[tuple[Connection, float]] = deque()
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._closing = False
        # How many were opened so far: a database is put back behind closed connections only.
        self.opened = 0
        self._all_back = asyncio.Event()

    async def take(self) -> Connection:
        """Lend a connection that nobody else has, to be asked at once; wait where all are lent."""
        conn = self._kept() or await self._new()
        conn.asked_at = monotonic()
        self._out.add(conn)
        return conn

    def bring(self, conn: Connection, failed: BaseException | None = None) -> None:
        """Take a connection back, and lend it again only if it is certain how it stands.

        After `failed` that is so where PostgreSQL itself answered with an error. A connection on
        which a statement was cut off, or whose transaction has not ended, is given up.
        """
        self._out.discard(conn)
        conn.asked_at = None
        answered = failed is None or isinstance(failed, asyncpg.PostgresError)
        if answered and not conn.is_closed() and not conn.is_in_transaction():
            self._pass_on(conn)
            return
        conn.terminate()
        self._pass_on(None)

    async def watch(self) -> None:
        """Give up, again and again, what does not answer or is not used; runs until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.give_up_silent()
            self.give_up_idle()

    def give_up_silent(self) -> None:
        """Cut off connections that have been waiting for an answer too long; their users are told.

        One that is lent and asked nothing may be so for long: an import reads its file.
        """
        before = monotonic() - SILENT_SECONDS
        for conn in self._out:
            if conn.asked_at is not None and conn.asked_at < before:
                conn.terminate()

    def give_up_idle(self) -> None:
        """Close what nobody has wanted for long, also the last: none is lent that may be dead."""
        before = monotonic() - IDLE_SECONDS
        while self._free and self._free[0][1] < before:
            conn, _ = self._free.popleft()
            conn.terminate()
            self._room += 1

    async def close(self) -> None:
        """Lend no more to newcomers, wait until all are back, and close them."""
        self._closing = True
        if self._lent:
            await self._all_back.wait()
        while self._free:
            conn, _ = self._free.pop()
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await conn.close(timeout=_CLOSE_SECONDS)

    def _kept(self) -> Connection | None:
        if self._closing:
            message = "the connections are being closed"
            raise asyncpg.InterfaceError(message)
        while self._free:
            conn, _ = self._free.pop()
            if not conn.is_closed():
                self._lent += 1
                return conn
            self._room += 1
        return None

    async def _new(self) -> Connection:
        if not self._room:
            return await self._next()
        self._room -= 1
        self._lent += 1
        return await self._opened()

    async def _next(self) -> Connection:
        turn: asyncio.Future[Connection | None]
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            conn = await turn
        except asyncio.CancelledError:
            # Whoever was called up and left in the same moment passes on what it was given.
            if not turn.cancelled():
                self._pass_on(turn.result())
            raise
        return await self._opened() if conn is None else conn

    async def _opened(self) -> Connection:
        """Open one in a place that is counted as lent already."""
        try:
            conn = await self._opens()
        except BaseException:
            self._pass_on(None)
            raise
        self.opened += 1
        return conn

    def _pass_on(self, conn: Connection | None) -> None:
        """Give a connection, or the place of one that is gone, to who waits, or keep it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(conn)
                return
        self._lent -= 1
        if conn is None:
            self._room += 1
        else:
            self._free.append((conn, monotonic()))
        if self._closing and not self._lent:
            self._all_back.set()


def passes(wrong: BaseException) -> bool:
    """Say whether what kept us from connecting may end by itself, as no wrong address does."""
    away = isinstance(wrong, (*AWAY, OSError, asyncpg.InterfaceError))
    return away and not isinstance(wrong, ValueError)


async def connected(url: str) -> Connection:
    """Open a connection as this service uses it: all it sets later is SET LOCAL.

    Raises ConnectionError where nobody answers, also for a socket or a host that is not there.
    """
    try:
        conn = await _connected(url)
    except ConnectionError:
        raise
    except OSError as error:
        raise ConnectionError(str(error)) from error
    conn.asked_at = None
    conn.planned_at = monotonic()
    await with_json(conn)
    return conn


async def _connected(url: str) -> Connection:
    conn: Connection = await asyncpg.connect(
        url,
        connection_class=Connection,
        statement_cache_size=_STATEMENTS,
        server_settings={
            "application_name": "firsthand",
            "search_path": "crm",
            "statement_timeout": f"{COMMAND_SECONDS:.0f}s",
            # An answered withdrawal and a recorded hand-over outlive a crash of the server.
            "synchronous_commit": "on",
            # Whoever has got a lock sees what its holder before has committed.
            "default_transaction_isolation": "read committed",
            # What is asked often is in memory or on flash: an index is not four times as dear as
            # a scan there, and to compile a query takes longer than to answer it.
            "random_page_cost": "1.1",
            "jit": "off",
        },
    )
    return conn


async def with_json(conn: asyncpg.Connection) -> None:
    """Let jsonb travel as the bytes msgspec reads; version 1 is the only binary format there is."""
    await conn.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )
