"""Which customer is asking: request -> Customer by the portal's session; and tries at codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias
from uuid import UUID

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from crm import businesses, customers, staff
from crm.access import credentials, sessions
from crm.access.model import (
    LINK_LASTS,
    LONGEST_TYPED,
    SEEN_EVERY,
    TRIES_PER_ADDRESS,
    TRIES_PER_NETWORK,
    SignedOut,
    TooManyCodes,
)
from crm.businesses import Business
from crm.businesses.host import of_host_if_any
from crm.customers import Customer
from crm.db import Database, Db
from crm.errors import NotFound
from crm.keys import HASH_SIZE
from crm.tokens import BadLink, open_stop
from crm.web.forms import Form, read_form
from crm.web.ratelimit import by_address
from crm.web.reader import prefer_ours, prefer_own
from crm.web.transaction import SAFE, LookUp, ask_first, let_go

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

# RFC 6265bis §4.1.3.2: a name with this prefix is set by this very host, by TLS, for all paths.
_SECURE = "__Host-"
SESSION = "me"
# Marks the browser that asked for a way in.
BROWSER = "way"


async def signed_in_customer(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard the portal: put the customer of the session into `request.state`, or refuse.

    Whatever changes something holds her row first, so that nothing is done from one mailbox once
    another has her record. What says `opt={"beside": True}` does so beside an import that is at her
    record, without waiting for its end: what she stops is stopped at once (promise 2). `of_host`
    has come before. `csrf.same_session` comes after, with the secret put here.
    """
    state = connection.scope["state"]
    business: Business = state["business"]
    token = cookie_of(connection, business, SESSION)
    found = me = None
    # A token of another business is no token here, whatever that business knows of it.
    with suppress(NotFound):
        credentials.check_token(business.id, token)
        async with LookUp(connection, handler, business.id) as db:
            found = await sessions.session(db, token)
            me = await customers.get(db, found.customer_id) if found else None
    if found is None or me is None:
        await _read(connection)
        raise SignedOut
    if db.now - found.seen_at >= SEEN_EVERY:
        await let_go(connection)
        async with _database(connection).write(business.id) as writing:
            await sessions.see(writing, token)
    # Who confirms an address holds her row with the change, which is over once hers has changed.
    if not handler.opt.get("holds_her"):
        ask_first(connection, _still_hers(me, beside=bool(handler.opt.get("beside"))))
    state["me"] = me
    prefer_own(connection, me.locale)
    # How long ago she came from her mailbox: deleting everything asks for it.
    state["signed_in_at"] = found.created_at
    # What a yes of hers rests on.
    state["mailbox"] = found.mailbox
    state["session_token"] = token
    state["session_secret"] = credentials.session_secret(token)


async def of_stop(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard what a mail's stop link opens: the business is the link's, whatever the host.

    Refuses with BadLink what was not signed by us; that is all that is ever refused here. The
    refusal is then the page of the business whose host it is, which shows another way to leave.
    """
    state = connection.scope["state"]
    try:
        stop = open_stop(_database(connection).keys, connection.path_params["token"])
        async with LookUp(connection, handler, stop.business_id) as db:
            business = await businesses.get(db)
    except NotFound:
        await of_host_if_any(connection, handler)
        raise BadLink from None
    state["business"] = business
    state["business_id"] = stop.business_id
    state["stop"] = stop
    prefer_ours(connection, business.locale)


class Tries(Struct, frozen=True):
    """Guard what takes a code: count the try and commit it, before anything is checked.

    Counted per customer where she is signed in, else per link where the link stands in the path,
    else per address typed; and per network.
    """

    kind: str

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Count this try, or refuse with TooManyCodes."""
        if not isinstance(connection, Request):
            raise TypeError(type(connection).__name__)
        form = await read_form(connection)
        if not form.typed("code"):
            return
        database = _database(connection)
        business_id: UUID = connection.scope["state"]["business_id"]
        # A mark before it, so that no address has the fingerprint of a network.
        network = database.keys.address_hash(business_id, f"\0network {by_address(connection)}")
        subject = _subject(connection, form, database, business_id)
        await let_go(connection)
        async with database.write(business_id) as db:
            wait = await staff.count_attempt(
                db, f"{self.kind}_network", network, most=TRIES_PER_NETWORK
            )
            if subject is not None:
                wait = wait or await staff.count_attempt(
                    db, self.kind, subject, most=TRIES_PER_ADDRESS
                )
        if wait:
            raise TooManyCodes(retry_after=wait)


def cookie_of(connection: Connection, business: Business, name: str) -> str:
    """Read one of our cookies; empty if the browser has none."""
    return connection.cookies.get(cookie_name(business, name), "")


def cookie_name(business: Business, name: str) -> str:
    """Name a cookie: only by TLS can it insist on its host."""
    return f"{_SECURE}{name}" if business.secure else name


def session_cookie(business: Business, token: str) -> Cookie:
    """Make the cookie of a session; an empty token takes it away."""
    return _cookie(business, SESSION, token, seconds=None if token else 0)


def browser_cookie(business: Business, mark: str) -> Cookie:
    """Make the cookie that marks a browser; Lax, because the click comes from a mail (ASVS)."""
    return _cookie(business, BROWSER, mark, int(LINK_LASTS.total_seconds()) if mark else 0)


def provide_me(request: Request[Any, Any, Any]) -> Customer:
    """Inject the customer who is signed in."""
    me: Customer = request.scope["state"]["me"]
    return me


dependencies: dict[str, Provide] = {"me": Provide(provide_me, sync_to_thread=False)}


def _cookie(business: Business, name: str, value: str, seconds: int | None) -> Cookie:
    return Cookie(
        key=cookie_name(business, name),
        value=value,
        max_age=seconds,
        path="/",
        secure=business.secure,
        httponly=True,
        samesite="lax",
    )


def _still_hers(me: Customer, *, beside: bool) -> Callable[[Db], Awaitable[None]]:
    async def ask(db: Db) -> None:
        await (sessions.insist_hers if beside else sessions.hold_herself)(db, me)

    return ask


async def _read(connection: Connection) -> None:
    """Read what she sent, so that the refusal can give back what she had typed."""
    if isinstance(connection, Request) and connection.method not in SAFE:
        await read_form(connection)


def _subject(
    connection: Connection, form: Form, database: Database, business_id: UUID
) -> bytes | None:
    me: Customer | None = connection.scope["state"].get("me")
    if me is not None:
        return database.keys.address_hash(business_id, customers.fold(me.address))
    token = connection.path_params.get("token")
    if token is not None:
        return credentials.fingerprint(token)[:HASH_SIZE]
    # Read as the handler reads it: where this is no address, no code is looked at there either.
    typed = Form(form.values).parsed("address", customers.parse, max=LONGEST_TYPED)
    return database.keys.address_hash(business_id, typed.folded) if typed else None


def _database(connection: Connection) -> Database:
    database: Database = connection.app.state.database
    return database
