"""The API, console and portal around the handlers of this domain, with somebody signed in."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from html import unescape
from typing import Any
from uuid import UUID

import httpx2
from litestar import Litestar, Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler

from crm import staff
from crm.businesses import Business
from crm.customers import Customer, api, console, declared_api, portal, tags_api, tags_console
from crm.db import Database
from crm.events import Actor
from crm.staff import Caller, Member, NewMember, Role, Scope
from crm.staff.auth import dependencies
from crm.web import assets
from crm.web.bodies import read_strictly
from crm.web.csrf import FIELD, csrf_token, same_session
from crm.web.headers import secured
from crm.web.pages import Tab
from crm.web.reader import speaks
from crm.web.refusals import EITHER, PAGES, PROBLEMS
from crm.web.transaction import transaction
from tests import applications

SECRET = b"s" * 32
ROOMS = [Tab("/staff/campaigns", "Campaigns"), Tab("/staff/customers", "Customers")]
TABS = [Tab("/me", "What we hold"), Tab("/me/consent", "What we may do")]


def caller(scopes: Sequence[Scope] = tuple(Scope)) -> Caller:
    """A program with a reason to look."""
    return Caller(
        id=UUID(int=5), name="Shop website", scopes=frozenset(scopes), reason="to show her orders"
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
) -> httpx2.AsyncClient:
    """Send requests as a program, a member or a customer of this business."""
    put = {"business_id": business.id, "business": business, "session_secret": SECRET}
    asking = {"caller": key, "who": who, "me": me}
    put |= {name: value for name, value in asking.items() if value is not None}

    made = applications.around(_application(), database=database, put=put, rooms=ROOMS, tabs=TABS)
    # As around the whole application: a language that a page speaks ends with its request.
    app: Any = speaks(made)
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url=business.origin, follow_redirects=False
    )


async def signed_in(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Find who asks where `client` put it."""
    connection.scope["state"].update(connection.app.state.put)


@functools.cache
def _application() -> Litestar:
    def provide_me(request: Request[Any, Any, Any]) -> Customer:
        found: Customer = request.scope["state"]["me"]
        return found

    def provide_business(request: Request[Any, Any, Any]) -> Business:
        found: Business = request.scope["state"]["business"]
        return found

    routers = [
        Router(
            "/v1",
            route_handlers=[*api.handlers, *tags_api.handlers, *declared_api.handlers],
            guards=[signed_in],
            exception_handlers=PROBLEMS,
        ),
        Router(
            "/staff",
            route_handlers=[*console.handlers, *tags_console.handlers],
            guards=[signed_in, same_session],
            exception_handlers=PAGES,
        ),
        Router(
            "/me",
            route_handlers=portal.handlers,
            guards=[signed_in, same_session],
            exception_handlers=PAGES,
        ),
    ]
    made = Litestar(
        [*routers, *assets.handlers],
        dependencies={
            **dependencies,
            "db": Provide(transaction),
            "me": Provide(provide_me, sync_to_thread=False),
            "business": Provide(provide_business, sync_to_thread=False),
        },
        exception_handlers=EITHER,
        before_send=[secured(https=False)],
        logging_config=None,
    )
    return read_strictly(made)


def form(**fields: Any) -> dict[str, Any]:
    """What a browser sends from one of our pages."""
    return {**fields, FIELD: csrf_token(SECRET)}


def as_shown(page: str) -> dict[str, str]:
    """Read a form as a browser does: inputs lose line breaks, texts send them as CRLF."""
    fields = {}
    for tag, rest in re.findall(r"<(input|textarea|select)([^>]*name=\"[^>]*)>", page):
        name = re.search(r'name="([^"]*)"', rest)
        assert name is not None
        value = re.search(r'value="([^"]*)"', rest)
        given = unescape(value[1]) if value else ""
        if tag == "textarea":
            text = re.search(rf'name="{re.escape(name[1])}"[^>]*>\n([^<]*)</textarea>', page)
            given = unescape(text[1]) if text else ""
        elif tag == "select":
            text = re.search(rf'name="{re.escape(name[1])}"[^>]*>(.*?)</select>', page)
            chosen = re.search(r'value="([^"]*)" selected', text[1]) if text else None
            given = chosen[1] if chosen else ""
        elif "hidden" not in rest:
            given = given.replace("\n", "")
        fields[name[1]] = given.replace("\n", "\r\n")
    fields.pop("csrf", None)
    return fields
