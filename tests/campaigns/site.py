"""The API, console, portal and links around the handlers of campaigns, with somebody signed in."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import httpx2
from litestar import Litestar, Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler

from crm import campaigns, staff
from crm.businesses import Business
from crm.campaigns import Campaign, api, archive, console, filling, portal
from crm.consent import Notice
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor
from crm.staff import Caller, Member, NewMember, Role, Scope
from crm.staff.auth import dependencies
from crm.web import assets
from crm.web.csrf import FIELD, csrf_token, same_session
from crm.web.headers import secured
from crm.web.pages import Tab
from crm.web.refusals import EITHER, PAGES, PROBLEMS
from crm.web.transaction import transaction
from tests import applications, make

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

SECRET = b"s" * 32
ROOMS = [
    Tab("/staff/campaigns", "Campaigns"),
    Tab("/staff/customers", "Customers"),
    Tab("/staff/purposes", "Purposes"),
    Tab("/staff/settings", "Settings"),
]
TABS = [
    Tab("/me", "What we hold"),
    Tab("/me/consent", "What we may do"),
    Tab("/me/mails", "What we sent"),
]


def caller(scopes: Sequence[Scope] = tuple(Scope)) -> Caller:
    """A program with a reason to look."""
    return Caller(id=UUID(int=7), name="Shop", scopes=frozenset(scopes), reason="to send the news")


async def member(
    database: Database,
    business: Business,
    role: Role = Role.owner,
    address: str = "bob@bakery.example",
) -> Member:
    """Somebody who works here."""
    new = NewMember(name="Bob Okafor", address=address, role=role)
    async with database.write(business.id) as db:
        return await staff.invite(db, Actor.system(), new, "not a hash")


async def drafted(
    database: Database, business: Business, count: int = 3, **changes: Any
) -> tuple[Campaign, Notice, list[UUID]]:
    """A draft to so many customers, the text they agreed to, and who they are."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        ids = await make.audience(db, notice, count) if count else []
        campaign = await make.campaign(db, purpose.id, **changes)
    return campaign, notice, ids


async def present(database: Database, business: Business, campaign: Campaign) -> Campaign:
    """The campaign as it is now."""
    async with database.read(business.id) as db:
        return await campaigns.get(db, campaign.id)


async def begun(database: Database, business: Business, campaign_id: UUID) -> None:
    """Open a filled campaign, as soon as nobody is at work who may not have seen its deliveries.

    Anybody may be: another database of the same server counts too, and so does a statistics run.
    """
    opened = False
    while not opened:
        async with database.write(business.id) as db:
            opened = await filling.begin_sending(db, campaign_id)


def client(
    database: Database,
    business: Business,
    *,
    key: Caller | None = None,
    who: Member | None = None,
    me: Customer | None = None,
) -> httpx2.AsyncClient:
    """Send requests as a program, a member, a customer, or nobody known."""
    asgi: Any = application(database, business, key=key, who=who, me=me)
    transport = httpx2.ASGITransport(app=asgi)
    return httpx2.AsyncClient(transport=transport, base_url=business.origin)


def application(
    database: Database,
    business: Business,
    *,
    key: Caller | None = None,
    who: Member | None = None,
    me: Customer | None = None,
) -> Litestar:
    """Serve as if all requests came from one of them."""
    put = {"business_id": business.id, "business": business}
    asking = {"caller": key, "who": who, "me": me}
    known = {name: value for name, value in asking.items() if value is not None}
    return applications.around(
        _application(), database=database, put=put, known=known, rooms=ROOMS, tabs=TABS
    )


async def here(connection: Connection, _: BaseRouteHandler) -> None:
    """Find the business where `application` put it."""
    connection.scope["state"].update(connection.app.state.put)


async def signed_in(connection: Connection, handler: BaseRouteHandler) -> None:
    """Find who asks where `application` put it."""
    state = connection.app.state
    connection.scope["state"].update(state.put | state.known | {"session_secret": SECRET})
    applications.check_right(connection, handler)


@functools.cache
def _application() -> Litestar:
    """Put the routers together as crm/app.py does."""
    pages: dict[str, Any] = {"exception_handlers": PAGES, "include_in_schema": False}
    inside = [signed_in, same_session]
    return Litestar(
        [
            Router(
                "/v1",
                route_handlers=api.handlers,
                guards=[signed_in],
                exception_handlers=PROBLEMS,
            ),
            Router("/staff", route_handlers=console.handlers, guards=inside, **pages),
            Router("/me", route_handlers=portal.handlers, guards=inside, **pages),
            Router(
                "/", route_handlers=[*portal.by_link, *archive.handlers], guards=[here], **pages
            ),
            *assets.handlers,
        ],
        dependencies={
            **dependencies,
            "db": Provide(transaction),
            "me": _given("me"),
            "business": _given("business"),
        },
        exception_handlers=EITHER,
        before_send=[secured(https=False)],
        logging_config=None,
    )


def _given(name: str) -> Provide:
    def provide(request: Request[Any, Any, Any]) -> Any:
        return request.scope["state"][name]

    return Provide(provide, sync_to_thread=False)


def form(**fields: Any) -> dict[str, Any]:
    """What a browser sends from one of our pages."""
    return {**fields, FIELD: csrf_token(SECRET)}


def approving(campaign: Campaign, **fields: Any) -> dict[str, Any]:
    """What it sends from the review of a campaign."""
    return form(version=str(campaign.version), **fields)


def wall(at: datetime) -> str:
    """What a browser sends from a field for a date and a time."""
    return at.strftime("%Y-%m-%dT%H:%M")
