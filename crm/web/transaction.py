"""One transaction per request: a GET reads, everything else writes.

A guard begins it to look up who asks, and the handler goes on in it, so that a request costs one
BEGIN and one COMMIT. No transaction waits for the network: it stays open between the two only
where the client has sent all it will send, and a guard that asks somebody else lets go of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from crm.db import RETRIABLE, Database, Db, ReadDb, Transaction
from crm.errors import NotFound

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

# In the state of a request: the open transaction, and whether it may stay open between guards.
_BEGUN = "transaction"
_MAY_STAY = "transaction_may_stay"
# What a guard asks once more where the client kept us waiting since: minutes may have passed.
_AGAIN = "asked_again"
# What has to be asked first in the transaction of a handler that changes something.
_FIRST = "asked_first"
_TRIES = 3

T = TypeVar("T")
Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
Begun: TypeAlias = "Transaction[Any]"


class NoBusiness(NotFound):
    """No business answers at this address."""


def in_one_transaction(app: ASGIApp) -> ASGIApp:
    """Wrap the application: whatever was begun in a request and not ended is rolled back with it.

    Outside of Litestar, so that no refusal of a guard, no body that cannot be read and no error
    of ours leads around it. Without this wrapper every guard ends what it began.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        if scope["method"] in SAFE:
            state[_MAY_STAY] = True
        else:
            state[_MAY_STAY], receive = await _looked_ahead(scope, receive)
        try:
            await app(scope, receive, send)
        finally:
            await _roll_back(state)

    return answer


class LookUp:
    """A guard's look into the business: `async with LookUp(connection, handler, id) as db`."""

    def __init__(
        self, connection: Connection, handler: BaseRouteHandler, business_id: UUID
    ) -> None:
        """Begin nothing yet."""
        self._connection = connection
        self._handler = handler
        self._business_id = business_id

    async def __aenter__(self) -> ReadDb:
        """Go on in the transaction of a guard before, or begin it."""
        begun = await _begun(self._connection, self._business_id)
        found: ReadDb = begun.db
        return found

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Leave it open for the handler, if that asks for `db` and will not have to wait."""
        stays = self._connection.scope["state"].get(_MAY_STAY, False)
        if (
            kind is not None
            or not stays
            or "db" not in self._handler.parsed_fn_signature.parameters
        ):
            await let_go(self._connection)


async def let_go(connection: Connection) -> None:
    """End what a guard before began: for guards that wait for others, or write on their own.

    One request must never hold two connections of one pool: all of them could do so at once, and
    wait for each other for ever.
    """
    await _roll_back(connection.scope["state"])


def ask_again(connection: Connection, question: Callable[[ReadDb], Awaitable[None]]) -> None:
    """Have a guard's question asked once more when the body is here, if that was slow to come.

    A key that is revoked meanwhile, or a session that is ended, does nothing any more.
    """
    connection.scope["state"][_AGAIN] = question


def ask_first(connection: Connection, question: Callable[[Db], Awaitable[None]]) -> None:
    """Have a guard's question asked before a handler changes anything, in its transaction.

    It may hold a row: whoever changes that meanwhile is waited for, or waits until the commit.
    """
    connection.scope["state"][_FIRST] = question


async def attempt(request: Request[Any, Any, Any], db: Db, act: Callable[[Db], Awaitable[T]]) -> T:
    """Do what a handler is for in its transaction `db`; after a deadlock anew, in another one.

    For a no of a customer: whoever else is at work on her must not cost the wish. What the guards
    asked is asked again then. Whatever the handler looked at before, `act` looks at for itself.
    """
    for _ in range(_TRIES - 1):
        try:
            return await act(db)
        except RETRIABLE:
            db = await _begun_anew(request)
    return await act(db)


@asynccontextmanager
async def writing(connection: Connection) -> AsyncIterator[Db]:
    """Open a transaction of a handler that takes no `db`, because it thinks for long in between.

    What its guard asked is asked again first: whoever may not any more does nothing.
    """
    state = connection.scope["state"]
    database: Database = connection.app.state.database
    async with database.write(state["business_id"]) as db:
        await _ask_again(state, db)
        await _ask_first(state, db)
        yield db


@asynccontextmanager
async def reading(connection: Connection) -> AsyncIterator[ReadDb]:
    """Open the same only to read."""
    state = connection.scope["state"]
    database: Database = connection.app.state.database
    async with database.read(state["business_id"]) as db:
        await _ask_again(state, db)
        yield db


async def ask_now(connection: Connection) -> None:
    """Ask it before what opens its transactions by itself, because it asks the network."""
    async with reading(connection):
        pass


async def transaction(request: Request[Any, Any, Any]) -> AsyncIterator[ReadDb]:
    """Open what the method allows, for the business in `request.state.business_id`.

    The host or a guard has put that id there before dependencies run. The commit happens before
    the answer leaves. This is the only generator dependency: Litestar cleans up several of them
    at once and wraps what they raise in an ExceptionGroup.
    """
    state = request.scope["state"]
    business_id = state.get("business_id")
    if business_id is None:
        raise NoBusiness
    if request.method not in SAFE and request.is_connected:
        # A handler that reads the body itself gets it from memory.
        await request.body()
    begun = await _begun(request, business_id)
    try:
        if not state.get(_MAY_STAY, False):
            await _ask_again(state, begun.db)
        if request.method not in SAFE:
            await _ask_first(state, begun.db)
        yield begun.db
    except BaseException:
        await _roll_back(state)
        raise
    # Not always the one that was handed out: `attempt` may have begun another.
    begun = state.pop(_BEGUN)
    await begun.commit()


async def _ask_again(state: dict[str, Any], db: ReadDb) -> None:
    if _AGAIN in state:
        await state[_AGAIN](db)


async def _ask_first(state: dict[str, Any], db: Db) -> None:
    if _FIRST in state:
        await state[_FIRST](db)


async def _begun(connection: Connection, business_id: UUID) -> Begun:
    state = connection.scope["state"]
    begun: Begun | None = state.get(_BEGUN)
    if begun is not None:
        if begun.db.business_id == business_id:
            return begun
        await _roll_back(state)
    database: Database = connection.app.state.database
    scope: Any = connection.scope
    reads = scope["method"] in SAFE
    begun = database.read(business_id) if reads else database.write(business_id)
    await begun.begin()
    state[_BEGUN] = begun
    return begun


async def _begun_anew(connection: Connection) -> Db:
    state = connection.scope["state"]
    await _roll_back(state)
    begun = await _begun(connection, state["business_id"])
    db: Db = begun.db
    await _ask_again(state, db)
    await _ask_first(state, db)
    return db


async def _roll_back(state: dict[str, Any]) -> None:
    begun: Begun | None = state.pop(_BEGUN, None)
    if begun is not None:
        await begun.roll_back()


async def _looked_ahead(scope: Scope, receive: Receive) -> tuple[bool, Receive]:
    """Say whether the body is here already, as a small one is; it is read again from the start."""
    headers = dict(scope["headers"])
    if b"expect" in headers:
        # Asking for the body is what would tell the client to send it (RFC 9110 §10.1.1).
        return False, receive
    first: Any = await receive()

    async def again() -> Any:
        nonlocal first
        if first is None:
            return await receive()
        message, first = first, None
        return message

    return _whole(first, headers.get(b"content-length", b"")), again


def _whole(first: Any, announced: bytes) -> bool:
    if first["type"] != "http.request":
        return False
    # Some servers send an empty piece behind the last one.
    complete = announced.isdigit() and int(announced) == len(first.get("body", b""))
    return complete or not first.get("more_body", False)
