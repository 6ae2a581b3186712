"""The API, console and portal around the handlers of this domain, with somebody signed in."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

import httpx2
from litestar import Litestar, Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler

from crm import staff
from crm.businesses import Business
from crm.consent import (
    OptIn,
    api,
    console,
    customer_tab,
    portal,
    purpose_editor,
    purposes_api,
)
from crm.customers import Customer, declared_api
from crm.customers import api as customers_api
from crm.customers import console as customers_console
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
from tests import applications

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

SECRET = b"s" * 32
ROOMS = [Tab("/staff/customers", "Customers"), Tab("/staff/purposes", "Purposes")]
TABS = [Tab("/me", "What we hold"), Tab("/me/consent", "What we may do")]


def caller(scopes: Sequence[Scope] = tuple(Scope)) -> Caller:
    """A program with a reason to look."""
    return Caller(
        id=UUID(int=5), name="Till", scopes=frozenset(scopes), reason="to ask nobody twice"
    )


async def member(database: Database, business: Business, role: Role = Role.owner) -> Member:
    """Somebody who works here."""
    new = NewMember(name="Bob Okafor", address="bob@bakery.example", role=role)
    async with database.write(business.id) as db:
        return await staff.invite(db, Actor.system(), new, "not a hash")


def client(
    database: Database,
    business: Business,
    *,
    key: Caller | None = None,
    who: Member | None = None,
    me: Customer | None = None,
    mailbox: OptIn | None = None,
) -> httpx2.AsyncClient:
    """Send requests as a program, a member or a customer of this business.

    `mailbox` is the proof by which the customer signed in.
    """
    put = {"business_id": business.id, "business": business, "session_secret": SECRET}
    asking = {"caller": key, "who": who, "me": me, "mailbox": mailbox}
    put |= {name: value for name, value in asking.items() if value is not None}

    asgi: Any = applications.around(
        _application(), database=database, put=put, rooms=ROOMS, tabs=TABS
    )
    transport = httpx2.ASGITransport(app=asgi)
    return httpx2.AsyncClient(transport=transport, base_url=business.origin, follow_redirects=False)


async def signed_in(connection: Connection, handler: BaseRouteHandler) -> None:
    """Find who asks where `client` put it."""
    connection.scope["state"].update(connection.app.state.put)
    applications.check_right(connection, handler)


@functools.cache
def _application() -> Litestar:
    """Put the routers together as crm/app.py does, beside those of the customers."""

    def given(name: str) -> Provide:
        def provide(request: Request[Any, Any, Any]) -> Any:
            return request.scope["state"][name]

        return Provide(provide, sync_to_thread=False)

    pages: dict[str, Any] = {
        "guards": [signed_in, same_session],
        "exception_handlers": PAGES,
        "include_in_schema": False,
    }
    machines = [
        *customers_api.handlers,
        *declared_api.handlers,
        *api.handlers,
        *purposes_api.handlers,
    ]
    people = [
        *customers_console.handlers,
        *console.handlers,
        *customer_tab.handlers,
        *purpose_editor.handlers,
    ]
    return Litestar(
        [
            Router("/v1", route_handlers=machines, guards=[signed_in], exception_handlers=PROBLEMS),
            Router("/staff", route_handlers=people, **pages),
            Router("/me", route_handlers=portal.handlers, **pages),
            *assets.handlers,
        ],
        dependencies={
            **dependencies,
            "db": Provide(transaction),
            "me": given("me"),
            "business": given("business"),
        },
        exception_handlers=EITHER,
        before_send=[secured(https=False)],
        logging_config=None,
    )


def form(**fields: Any) -> dict[str, Any]:
    """What a browser sends from one of our pages."""
    return {**fields, FIELD: csrf_token(SECRET)}
