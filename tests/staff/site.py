"""The console and the API around the handlers of these tests, put together as the app does it."""

from __future__ import annotations

import email
import functools
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx2
from litestar import Litestar, Request, Router
from litestar.di import Provide

from crm import events, mail, staff
from crm.access.staff_letters import tell_member
from crm.businesses import Business
from crm.businesses import console as businesses_console
from crm.businesses.host import of_host
from crm.db import Database
from crm.events import Actor
from crm.events import api as events_api
from crm.events import console as events_console
from crm.staff import Member, NewMember, Role, members_console, second_factor_console
from crm.staff import api as staff_api
from crm.staff import console as staff_console
from crm.staff.auth import dependencies, signed_in, with_key
from crm.staff.passwords import Cost
from crm.web import assets
from crm.web.csrf import same_session
from crm.web.headers import secured
from crm.web.pages import Tab
from crm.web.refusals import EITHER, PROBLEMS, pages_behind
from crm.web.transaction import transaction
from tests import applications

# The least Argon2 takes: what is tested is what is made of the answer, not the work.
CHEAP = Cost(memory=8, passes=1, lanes=1)
PASSWORD = "a sentence that is easy"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')

ROOMS = [
    Tab("/staff/campaigns", "Campaigns"),
    Tab("/staff/customers", "Customers"),
    Tab("/staff/members", "Staff"),
    Tab("/staff/keys", "Keys"),
    Tab("/staff/audit", "Audit trail"),
    Tab("/staff/settings", "Settings"),
]


def _business(request: Request[Any, Any, Any]) -> Business:
    business: Business = request.scope["state"]["business"]
    return business


def program(app: Litestar) -> httpx2.AsyncClient:
    """A program that calls, without a key as yet."""
    transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
    return httpx2.AsyncClient(transport=transport, base_url="http://api.example")


def bearing(text: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"authorization": f"Bearer {text}"}


def application(
    database: Database,
    *,
    console: Sequence[Any] = (),
    api: Sequence[Any] = (),
    cost: Cost = CHEAP,
    looks_database: Database | None = None,
) -> Litestar:
    """Serve what this domain and the two below it show, and what a test adds."""
    state = {
        "database": database,
        "password_cost": cost,
        "rooms": ROOMS,
        "tell_member": tell_member,
    }
    if looks_database is not None:
        state["looks_database"] = looks_database
    return applications.around(_application(tuple(console), tuple(api)), **state)


@functools.cache
def _application(console: tuple[Any, ...], api: tuple[Any, ...]) -> Litestar:
    ours = [
        *staff_console.handlers,
        *members_console.handlers,
        *second_factor_console.handlers,
        *events_console.handlers,
        *businesses_console.handlers,
    ]
    routers = [
        Router(
            "/staff",
            route_handlers=[
                *staff_console.open_handlers,
                *second_factor_console.open_handlers,
            ],
            guards=[of_host],
            exception_handlers=pages_behind("/staff/sign-in"),
        ),
        Router(
            "/staff",
            route_handlers=[*ours, *console],
            guards=[of_host, signed_in, same_session],
            exception_handlers=pages_behind("/staff/sign-in"),
        ),
        Router(
            "/v1",
            route_handlers=[*staff_api.handlers, *events_api.handlers, *api],
            guards=[with_key],
            exception_handlers=PROBLEMS,
        ),
    ]
    return Litestar(
        [*routers, *assets.handlers],
        dependencies={
            **dependencies,
            "db": Provide(transaction),
            "business": Provide(_business, sync_to_thread=False),
        },
        exception_handlers=EITHER,
        before_send=[secured(https=False)],
        logging_config=None,
        openapi_config=None,
    )


class Browser(httpx2.AsyncClient):
    """Somebody with a browser at the pages of one business."""

    def __init__(self, app: Any, business: Business) -> None:
        super().__init__(transport=httpx2.ASGITransport(app=app), base_url=business.origin)

    async def enter(self, address: str, password: str = PASSWORD) -> httpx2.Response:
        """Send the sign-in form."""
        return await self.post("/staff/sign-in", data={"address": address, "password": password})

    async def fill(
        self, path: str, action: str = "", **fields: str | Sequence[str]
    ) -> httpx2.Response:
        """Open a page and send its form, with the token that stands in it."""
        token = _CSRF.search((await self.get(path)).text)
        data = {**fields, "csrf": token[1] if token else ""}
        return await self.post(action or path, data=data)


async def member(
    database: Database,
    business_id: UUID,
    role: Role = Role.owner,
    *,
    address: str = "owner@bakery.example",
    name: str = "Olga Owner",
    once: bool = False,
) -> Member:
    """Add somebody who signs in with PASSWORD."""
    kept = await staff.hashed(PASSWORD, cost=CHEAP, once=once)
    new = NewMember(name=name, address=address, role=role)
    async with database.write(business_id) as db:
        return await staff.invite(db, Actor.system(), new, kept)


async def kinds(database: Database, business_id: UUID) -> list[tuple[str, str]]:
    """List what was recorded, oldest first, with its reason."""
    async with database.read(business_id) as db:
        found = await events.page(db)
    return [(event.kind.value, event.reason) for event in reversed(found)]


async def told(database: Database, business_id: UUID) -> list[str]:
    """List the subjects of the letters that wait to be sent, oldest first."""
    async with database.write(business_id) as db:
        letters = await mail.actions.claim_letters(db, 100)
    read = [email.message_from_bytes(each.content) for each in letters]
    return [str(each["Subject"]) for each in sorted(read, key=lambda each: each["Message-ID"])]
