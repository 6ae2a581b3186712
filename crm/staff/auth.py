"""Who is asking: request -> Member (session cookie) or Caller (API key), and what they may do.

A handler below this domain cannot import `may` or `needs`; it says `opt={"right": …}` or
`opt={"scope": …}`, and the guards of its router ask for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from crm import events
from crm.businesses import Business
from crm.db import Database, Db, ReadDb
from crm.events import Actor
from crm.staff import credentials, keys, sessions
from crm.staff.actions import reason_for
from crm.staff.model import (
    LISTED,
    LONGEST_REASON,
    SEEN_EVERY,
    BeingErased,
    Caller,
    FactorMissing,
    KeyBound,
    Member,
    NotYourRole,
    ReasonMissing,
    Right,
    Scope,
    SessionEnded,
    UnknownKey,
)
from crm.web.transaction import LookUp, ask_again, let_go

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
Guard: TypeAlias = Callable[[Connection, BaseRouteHandler], Awaitable[None]]

# RFC 6265bis §4.1.3.2: a name with this prefix is set by this very host, by TLS, for all paths.
COOKIE_SECURE = "__Host-sid"
COOKIE_PLAIN = "sid"


async def with_key(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard machines: put the caller of the key into `request.state`, or refuse.

    Whatever is wrong with the key, the sentence is the same; it is looked up each time, so that
    revoking works at once.
    """
    scheme, _, text = connection.headers.get("authorization", "").partition(" ")
    read = credentials.read_key(text.strip()) if scheme.lower() == "bearer" else None
    if read is None:
        raise UnknownKey
    async with LookUp(connection, handler, read.business_id) as db:
        found = await keys.key_of(db, read)
        if found is None:
            raise UnknownKey
    if found.last_used_at is None or db.now - found.last_used_at >= SEEN_EVERY:
        # In a transaction of its own: it is true also of a request that is refused, or a GET.
        await let_go(connection)
        async with _database(connection).write(read.business_id) as writing:
            await keys.use(writing, found.id)

    async def is_known(later: ReadDb) -> None:
        if await keys.key_of(later, read) is None:
            raise UnknownKey

    ask_again(connection, is_known)
    state = connection.scope["state"]
    state["business_id"] = read.business_id
    state["caller"] = found.caller()
    # What does not ask for the purpose is closed to a key that is bound to some.
    if found.purposes and not handler.opt.get("bound"):
        raise KeyBound
    if "scope" in handler.opt:
        _check_scope(connection, Scope(handler.opt["scope"]))


async def check_key(db: ReadDb, request: Request[Any, Any, Any]) -> None:
    """Refuse in the midst of a long answer when its key works no more (UnknownKey)."""
    _, _, text = request.headers.get("authorization", "").partition(" ")
    read = credentials.read_key(text.strip())
    if read is None or await keys.key_of(db, read) is None:
        raise UnknownKey


class _Needs(Struct, frozen=True):
    """A guard that the API's document can ask which scope it wants."""

    scope: Scope

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        _check_scope(connection, self.scope)


def needs(scope: Scope | str) -> Guard:
    """Guard a handler of the API: refuse a key without this scope, naming it."""
    return _Needs(Scope(scope))


async def signed_in(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard the console: put the member of the session into `request.state`, or refuse.

    `of_host` has come before. `csrf.same_session` comes after, with the secret put here.
    """
    state = connection.scope["state"]
    business: Business = state["business"]
    token = connection.cookies.get(cookie_name(business), "")
    # A token of another business is no token here, whatever that business knows of it.
    if credentials.session_business(token) != business.id:
        raise SessionEnded
    async with LookUp(connection, handler, business.id) as db:
        found = await sessions.session(db, token)
        if found is None:
            raise SessionEnded
    if db.now - found.seen_at >= SEEN_EVERY:
        await let_go(connection)
        async with _database(connection).write(business.id) as writing:
            await sessions.see(writing, token)

    async def is_open(later: ReadDb) -> None:
        now = await sessions.session(later, token)
        if now is None:
            raise SessionEnded
        if now.role is not found.role:
            raise NotYourRole
        _check_factor(now, handler)

    ask_again(connection, is_open)
    state["who"] = found.member()
    state["session_token"] = token
    state["session_secret"] = credentials.session_secret(token)
    state["lacks_factor"] = found.lacks_factor
    _check_factor(found, handler)
    if "right" in handler.opt:
        _check_right(connection, Right(handler.opt["right"]))


def may(right: Right) -> Guard:
    """Guard a handler of the console: refuse a member whose role does not include this."""

    async def has_right(connection: Connection, _: BaseRouteHandler) -> None:
        _check_right(connection, right)

    return has_right


class Looks:
    """Record looks at customers' records, each committed before the answer leaves (promise 11).

    In a transaction of its own: what the handler's transaction does afterwards changes nothing.
    The connection must not come from the pool that requests hold one of already, or all of them
    could wait for each other; the app gives a small pool of its own as `state.looks_database`.
    """

    def __init__(self, database: Database, business_id: UUID, by: Caller | Member) -> None:
        self._database = database
        self._business_id = business_id
        self._by = by

    async def record(self, customer_ids: Sequence[UUID], *, reason: str = "") -> None:
        """Record a look at each customer: `LISTED` for the rows of a list, else by the reason kept.

        A key looks for the reason declared with it. A member gives one, or has said one for that
        customer a short while ago; without it ReasonMissing is raised, and nothing may be shown.
        To a key nothing is shown of one who only waits for her erasure: BeingErased, whoever else
        is among them. What only names customers is `listed` instead.
        """
        if not customer_ids:
            return
        async with self._database.write(self._business_id) as db:
            if isinstance(self._by, Caller):
                reason = self._declared(self._by, reason)
            whys: dict[UUID, str | None] = dict.fromkeys(customer_ids, reason)
            if not reason and isinstance(self._by, Member):
                whys = {each: await reason_for(db, self._by, each) for each in customer_ids}
            if None in whys.values():
                raise ReasonMissing
            for why in set(filter(None, whys.values())):
                seen = [each for each in whys if whys[each] == why]
                leaving = await events.look(db, self._by.actor, seen, why)
                if leaving and isinstance(self._by, Caller):
                    # Nothing is shown, so there was no look: it is not committed.
                    raise BeingErased

    async def listed(self, customer_ids: Sequence[UUID]) -> None:
        """Record that a list named these customers by number; it is refused for none of them."""
        if not customer_ids:
            return
        by = self._by
        reason = self._declared(by, LISTED) if isinstance(by, Caller) else LISTED
        async with self._database.write(self._business_id) as db:
            await events.look(db, by.actor, list(dict.fromkeys(customer_ids)), reason)

    async def within(self, db: Db, customer_ids: Sequence[UUID], *, reason: str) -> bool:
        """Record in this transaction that a program looks at these, and commits before they leave.

        Returns whether any of them only waits for her erasure: then nothing may be shown or kept.
        """
        by = self._by
        why = self._declared(by, reason) if isinstance(by, Caller) else reason
        return await events.look(db, by.actor, customer_ids, why)

    def _declared(self, by: Caller, reason: str) -> str:
        if reason in {"", LISTED}:
            return by.reason
        return f"{by.reason} ({reason})"[:LONGEST_REASON]


def cookie_name(business: Business) -> str:
    """Name the session cookie: only by TLS can it insist on its host."""
    return COOKIE_SECURE if business.secure else COOKIE_PLAIN


def session_cookie(business: Business, token: str) -> Cookie:
    """Make the cookie of a session; an empty token takes it away."""
    return Cookie(
        key=cookie_name(business),
        value=token,
        max_age=None if token else 0,
        path="/",
        secure=business.secure,
        httponly=True,
        samesite="lax",
    )


def _check_scope(connection: Connection, scope: Scope) -> None:
    caller: Caller = connection.scope["state"]["caller"]
    caller.check_scope(scope)


def _check_factor(found: sessions.SignedIn, handler: BaseRouteHandler) -> None:
    if found.lacks_factor and not handler.opt.get("without_factor"):
        raise FactorMissing


def _check_right(connection: Connection, right: Right) -> None:
    who: Member = connection.scope["state"]["who"]
    if not who.may(right):
        raise NotYourRole


def _database(connection: Connection) -> Database:
    database: Database = connection.app.state.database
    return database


def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """Inject the program that asks."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def provide_who(request: Request[Any, Any, Any]) -> Member:
    """Inject the member who asks."""
    who: Member = request.scope["state"]["who"]
    return who


def provide_by(request: Request[Any, Any, Any]) -> Actor:
    """Inject who does what the request asks for, key or member."""
    return _asking(request).actor


def provide_looks(request: Request[Any, Any, Any]) -> Looks:
    """Inject what records looks, in the name of whoever asks."""
    state = request.app.state
    database: Database = state.get("looks_database") or state.database
    return Looks(database, request.scope["state"]["business_id"], _asking(request))


def _asking(request: Request[Any, Any, Any]) -> Caller | Member:
    state = request.scope["state"]
    asking: Caller | Member = state["caller"] if "caller" in state else state["who"]
    return asking


dependencies: dict[str, Provide] = {
    "caller": Provide(provide_caller, sync_to_thread=False),
    "who": Provide(provide_who, sync_to_thread=False),
    "by": Provide(provide_by, sync_to_thread=False),
    "looks": Provide(provide_looks, sync_to_thread=False),
}
