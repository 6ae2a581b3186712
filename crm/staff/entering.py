"""How a member proves who she is: password, second factor, a new password; and a session opens.

Tries are committed before anything is checked, and no transaction is open while Argon2 works. A
member is told by mail what happened to her way in; the application says how (`tell_member`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from litestar.datastructures import Cookie

from crm.businesses import Business
from crm.db import Database, Db
from crm.staff import factor, passwords, second_factor, sessions
from crm.staff.actions import change_password, member
from crm.staff.auth import Connection, cookie_name
from crm.staff.factor import FactorNeeded, TicketOver, WrongFactor
from crm.staff.known_browser import mark_of
from crm.staff.model import (
    KNOWN_LASTS,
    Credentials,
    Member,
    News,
    PasswordToReplace,
    TooManyTries,
    WrongPassword,
    folded,
)
from crm.staff.passwords import STRONG, Cost
from crm.staff.sessions import Asker
from crm.web.ratelimit import Unavailable, by_address
from crm.web.transaction import writing

Tell: TypeAlias = Callable[[Db, Member, News], Awaitable[None]]

_KNOWN = "known"
# So many wrong codes in a day, and she is told that somebody has her password.
_TOLD_AT = 10


async def sign_in(
    connection: Connection, address: str, password: str, *, cost: Cost | None = None
) -> tuple[Member, str]:
    """Check a password and open a session; return who it is and the new token.

    An unknown address costs the same work and reads the same. A password made for one use is
    refused with PasswordToReplace; where a second factor is set up, FactorNeeded carries the ticket
    for it.
    """
    cost = cost or cost_of(connection)
    checked = await _checked(connection, address, password, cost)
    if passwords.for_one_use(checked.password_hash):
        raise PasswordToReplace
    if checked.secret is not None:
        raise _factor_needed(connection, checked)
    rehashed = None
    if passwords.needs_rehash(checked.password_hash, cost=cost):
        rehashed = await passwords.hashed(password, cost=cost)
    async with database_of(connection).write(business_of(connection).id) as db:
        return await _opened(connection, db, checked, rehashed=rehashed)


async def prove_factor(connection: Connection, text: str, code: str) -> tuple[Member, str, bool]:
    """Check the second factor of whoever gave the right password, and open a session.

    A new password that was chosen before takes effect now: the last thing returned says so.
    TicketOver where the password must be given again, WrongFactor where the code is not one.
    """
    database, business = database_of(connection), business_of(connection)
    async with database.write(business.id) as db:
        ticket = factor.read_ticket(db.keys, business.id, db.now, text)
        checked = await sessions.credentials_by_id(db, ticket.member_id)
        if checked is None or checked.secret is None or not ticket.is_for(checked.password_hash):
            raise TicketOver
        wait = await sessions.count_code(db, checked, asker_of(connection))
    if wait:
        raise TooManyTries(retry_after=wait)
    try:
        async with database.write(business.id) as db:
            if await second_factor.use_code(db, checked, code):
                await tell(connection, db, checked, News.recovery_used)
            chosen = ticket.chosen(db.keys, business.id)
            if chosen:
                checked = await _replaced(connection, db, checked, chosen)
            who, token = await _opened(connection, db, checked, proved=True)
    except WrongFactor:
        async with database.write(business.id) as db:
            if await sessions.count_wrong_code(db, checked.id) == _TOLD_AT:
                await tell(connection, db, checked, News.codes_tried)
        raise
    return who, token, bool(chosen)


async def replace_password(
    connection: Connection, address: str, password: str, new: str
) -> tuple[Member, str]:
    """Check a password, put a new one in its place, and open a session with that.

    Who is not signed in and has a second factor is asked for it first, by FactorNeeded, and nothing
    is replaced before: whoever has the password alone keeps nobody out.
    """
    business = business_of(connection)
    prepared = passwords.checked(new, address, business)
    if new == password:
        raise passwords.weak("Choose one that is not the present one.")
    checked = await _checked(connection, address, password, cost_of(connection))
    kept = await passwords.hashed(prepared, cost=cost_of(connection))
    here: Member | None = connection.scope["state"].get("who")
    proved = here is not None and here.id == checked.id
    if checked.secret is not None and not proved:
        raise _factor_needed(connection, checked, chosen=kept)
    async with writing(connection) as db:
        renewed = await _replaced(connection, db, checked, kept)
        return await _opened(connection, db, renewed, proved=proved)


async def check_again(connection: Connection, who: Member, password: str) -> None:
    """Check the password of a member who is signed in, before something far-reaching (ASVS 7.5.1).

    Refuses with WrongPassword. Her tries count as those at signing in do.
    """
    await _checked(connection, who.address, password, cost_of(connection))


async def tell(connection: Connection, db: Db, whom: Credentials | Member, news: News) -> None:
    """Tell a member what happened to her way in, with the transaction in which it did."""
    say: Tell = connection.app.state.tell_member
    await say(db, whom if isinstance(whom, Member) else await member(db, whom.id), news)


def known_cookie(connection: Connection, address: str) -> Cookie:
    """Make the cookie by which this browser is known as one of that member."""
    database, business = database_of(connection), business_of(connection)
    address_hash = database.keys.address_hash(business.id, folded(address))
    return Cookie(
        key=_known_name(business),
        value=mark_of(database.keys, business.id, database.clock(), address_hash),
        max_age=int(KNOWN_LASTS.total_seconds()),
        path="/",
        secure=business.secure,
        httponly=True,
        samesite="lax",
    )


def asker_of(connection: Connection) -> Asker:
    """Say where a try comes from."""
    mark = connection.cookies.get(_known_name(business_of(connection)), "")
    return Asker(by_address(connection), mark)


def database_of(connection: Connection) -> Database:
    """Return the database of the application."""
    database: Database = connection.app.state.database
    return database


def business_of(connection: Connection) -> Business:
    """Return the business whose console this is."""
    business: Business = connection.scope["state"]["business"]
    return business


def cost_of(connection: Connection) -> Cost:
    """Say how much work a hash is here."""
    cost: Cost = connection.app.state.get("password_cost", STRONG)
    return cost


async def _checked(connection: Connection, address: str, password: str, cost: Cost) -> Credentials:
    if not passwords.room():
        raise Unavailable
    database, business = database_of(connection), business_of(connection)
    async with writing(connection) as db:
        wait = await sessions.count_try(db, address, asker_of(connection))
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


def _factor_needed(
    connection: Connection, checked: Credentials, *, chosen: str = ""
) -> FactorNeeded:
    database, business = database_of(connection), business_of(connection)
    ticket = factor.ticket(
        database.keys, business.id, database.clock(), checked.id, checked.password_hash, chosen
    )
    return FactorNeeded(ticket)


async def _replaced(connection: Connection, db: Db, checked: Credentials, kept: str) -> Credentials:
    await change_password(db, checked.id, kept, checked=checked.password_hash)
    await tell(connection, db, checked, News.password_changed)
    return Credentials(checked.id, checked.address, kept, checked.secret)


async def _opened(
    connection: Connection,
    db: Db,
    checked: Credentials,
    *,
    proved: bool = False,
    rehashed: str | None = None,
) -> tuple[Member, str]:
    opened = await sessions.open_session(
        db, checked, proved=proved, rehashed=rehashed, asker=asker_of(connection)
    )
    # A session never survives a sign-in in the same browser, nor does a token made elsewhere. After
    # her row, as whoever ends all of hers holds them.
    await sessions.close(db, connection.cookies.get(cookie_name(business_of(connection)), ""))
    return opened


def _known_name(business: Business) -> str:
    return f"__Host-{_KNOWN}" if business.secure else _KNOWN
