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
from crm.db import Database
from crm.events import Actor
from crm.staff import credentials, keys, passwords, second_factor, sessions
from crm.staff.actions import Credentials, change_password, reason_for
from crm.staff.model import (
    LISTED,
    LONGEST_REASON,
    SEEN_EVERY,
    BeingErased,
    Caller,
    FactorMissing,
    Member,
    NotYourRole,
    PasswordToReplace,
    ReasonMissing,
    Right,
    Scope,
    ScopeMissing,
    SignedOut,
    TooManyTries,
    UnknownKey,
    WrongPassword,
)
from crm.staff.passwords import STRONG, Cost
from crm.staff.second_factor import Begun, FactorNeeded, TicketOver, WrongFactor
from crm.web.ratelimit import by_address
from crm.web.transaction import LookUp, let_go

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
    state = connection.scope["state"]
    state["business_id"] = read.business_id
    state["caller"] = found.caller()
    if "scope" in handler.opt:
        _check_scope(connection, Scope(handler.opt["scope"]))


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
        raise SignedOut
    async with LookUp(connection, handler, business.id) as db:
        found = await sessions.session(db, token)
        if found is None:
            raise SignedOut
    if db.now - found.seen_at >= SEEN_EVERY:
        await let_go(connection)
        async with _database(connection).write(business.id) as writing:
            await sessions.see(writing, token)
    state["who"] = found.member()
    state["session_token"] = token
    state["session_secret"] = credentials.session_secret(token)
    state["lacks_factor"] = found.lacks_factor
    if found.lacks_factor and not handler.opt.get("without_factor"):
        raise FactorMissing
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
        To a key nothing is shown of one who only waits for her erasure: BeingErased.
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
                if leaving and isinstance(self._by, Caller) and len(customer_ids) == 1:
                    # Nothing is shown, so there was no look: it is not committed.
                    raise BeingErased

    def _declared(self, by: Caller, reason: str) -> str:
        if reason in {"", LISTED}:
            return by.reason
        return f"{by.reason} ({reason})"[:LONGEST_REASON]


async def sign_in(
    connection: Connection, address: str, password: str, *, cost: Cost | None = None
) -> tuple[Member, str]:
    """Check a password and open a session; return who it is and the new token.

    The try is committed before the check, an unknown address costs the same work and reads the
    same, and no transaction is open while Argon2 works. A password made for one use is refused
    with PasswordToReplace; where a second factor is set up, FactorNeeded carries the ticket for it.
    """
    cost = cost or _cost(connection)
    checked = await _checked(connection, address, password, cost)
    if passwords.for_one_use(checked.password_hash):
        raise PasswordToReplace
    await _ask_for_factor(connection, checked)
    rehashed = None
    if passwords.needs_rehash(checked.password_hash, cost=cost):
        rehashed = await passwords.hashed(password, cost=cost)
    return await _opened(connection, checked, rehashed=rehashed)


async def prove_factor(connection: Connection, ticket: str, code: str) -> tuple[Member, str]:
    """Check the second factor of whoever gave the right password, and open a session.

    The try is committed before the check. TicketOver where the password must be given again,
    WrongFactor where the code is not one.
    """
    database, business = _database(connection), _business(connection)
    async with database.write(business.id) as db:
        member_id = second_factor.ticket_owner(db, ticket)
        wait = await sessions.count_code(db, member_id, by_address(connection))
    if wait:
        raise TooManyTries(retry_after=wait)
    async with database.read(business.id) as read:
        checked = await sessions.credentials_by_id(read, member_id)
        if checked is None or checked.secret is None:
            raise TicketOver
        second_factor.check_ticket(read, ticket, checked)
    try:
        async with database.write(business.id) as db:
            await second_factor.use_code(db, checked, code)
    except WrongFactor:
        async with database.write(business.id) as db:
            await sessions.refuse_sign_in(db, member_id, "wrong second factor")
        raise
    return await _opened(connection, checked, proved=True)


async def replace_password(
    connection: Connection, address: str, password: str, new: str
) -> tuple[Member, str]:
    """Check a password, put a new one in its place, and open a session with that.

    Who is not signed in and has a second factor is asked for it then, by FactorNeeded.
    """
    business = _business(connection)
    prepared = passwords.checked(new, address, business)
    if new == password:
        raise passwords.weak("Choose one that is not the present one.")
    checked = await _checked(connection, address, password, _cost(connection))
    kept = await passwords.hashed(prepared, cost=_cost(connection))
    async with _database(connection).write(business.id) as db:
        await change_password(db, checked.id, kept, checked=checked.password_hash)
    renewed = Credentials(checked.id, checked.address, kept, checked.secret)
    here: Member | None = connection.scope["state"].get("who")
    proved = here is not None and here.id == checked.id
    if not proved:
        await _ask_for_factor(connection, renewed)
    return await _opened(connection, renewed, proved=proved)


async def begin_factor(connection: Connection, who: Member, password: str) -> Begun:
    """Show a member a new secret, once she has given her password again (ASVS 7.5.1)."""
    await _checked(connection, who.address, password, _cost(connection))
    business = _business(connection)
    async with _database(connection).write(business.id) as db:
        return await second_factor.begin_factor(db, who, business)


async def drop_factor(connection: Connection, who: Member, password: str) -> None:
    """Take a member's own second factor away, once she has given her password again."""
    await _checked(connection, who.address, password, _cost(connection))
    async with _database(connection).write(_business(connection).id) as db:
        await second_factor.drop_factor(db, who.actor, who.id)


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


async def _checked(connection: Connection, address: str, password: str, cost: Cost) -> Credentials:
    database, business = _database(connection), _business(connection)
    async with database.write(business.id) as db:
        wait = await sessions.count_try(db, address, by_address(connection))
    if wait:
        raise TooManyTries(retry_after=wait)
    async with database.read(business.id) as read:
        found = await sessions.credentials_of(read, address)
    kept = found.password_hash if found else None
    if await passwords.matches(password, kept, cost=cost) and found is not None:
        return found
    async with database.write(business.id) as db:
        await sessions.refuse_sign_in(db, found.id if found else None)
    raise WrongPassword


async def _ask_for_factor(connection: Connection, checked: Credentials) -> None:
    if checked.secret is not None:
        async with _database(connection).read(_business(connection).id) as read:
            raise FactorNeeded(second_factor.ticket(read, checked))


async def _opened(
    connection: Connection,
    checked: Credentials,
    *,
    proved: bool = False,
    rehashed: str | None = None,
) -> tuple[Member, str]:
    business = _business(connection)
    async with _database(connection).write(business.id) as db:
        # A session never survives a sign-in in the same browser, nor does a token made elsewhere.
        await sessions.close(db, connection.cookies.get(cookie_name(business), ""))
        return await sessions.open_session(db, checked, proved=proved, rehashed=rehashed)


def _check_scope(connection: Connection, scope: Scope) -> None:
    caller: Caller = connection.scope["state"]["caller"]
    if not caller.allows(scope):
        raise ScopeMissing(f"This needs the scope {scope}, which the key {caller.name!r} lacks.")


def _check_right(connection: Connection, right: Right) -> None:
    who: Member = connection.scope["state"]["who"]
    if not who.may(right):
        raise NotYourRole


def _database(connection: Connection) -> Database:
    database: Database = connection.app.state.database
    return database


def _business(connection: Connection) -> Business:
    business: Business = connection.scope["state"]["business"]
    return business


def _cost(connection: Connection) -> Cost:
    cost: Cost = connection.app.state.get("password_cost", STRONG)
    return cost


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
