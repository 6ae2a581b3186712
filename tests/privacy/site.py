"""Her pages, the console and the API around the handlers of this domain, put together as in app."""

from __future__ import annotations

import functools
import re
from typing import Any

import httpx2
from litestar import Litestar, Request, Router
from litestar.di import Provide

from crm import access, staff
from crm.access import auth as access_auth
from crm.access import portal as access_portal
from crm.businesses import Business
from crm.businesses.host import of_host
from crm.consent import portal as consent_portal
from crm.customers import Customer
from crm.db import Database, Db
from crm.events import Actor
from crm.mail.actions import claim_letters
from crm.privacy import api, console, portal
from crm.privacy.copies import api as copies_api
from crm.privacy.copies import portal as copies_portal
from crm.privacy.erasure import public
from crm.privacy.merging import api as merging_api
from crm.privacy.merging import console as merging_console
from crm.privacy.requests import api as requests_api
from crm.privacy.requests import console as requests_console
from crm.privacy.requests import portal as requests_portal
from crm.staff import NewKey, NewMember, Role, Scope, sessions
from crm.staff import auth as staff_auth
from crm.staff.passwords import Cost
from crm.web import assets
from crm.web.csrf import same_session
from crm.web.headers import secured
from crm.web.pages import Tab
from crm.web.refusals import EITHER, PAGES, PROBLEMS, pages_behind
from crm.web.transaction import transaction
from tests import applications, make

TABS = [
    Tab("/me", "What we hold"),
    Tab("/me/consent", "What we may do"),
    Tab("/me/mails", "What we sent"),
    Tab("/me/delete", "Leave or delete"),
]
ROOMS = [Tab("/staff/campaigns", "Campaigns"), Tab("/staff/customers", "Customers")]
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_CALL_OFF = re.compile(r"/call-off/[\w-]+")
_CHEAP = Cost(memory=8, passes=1, lanes=1)


class Browser(httpx2.AsyncClient):
    """Somebody with a browser at the pages of one business."""

    def __init__(self, app: Any, business: Business, cookies: dict[str, str]) -> None:
        super().__init__(
            transport=httpx2.ASGITransport(app=app), base_url=business.origin, cookies=cookies
        )

    async def fill(self, path: str, action: str, **fields: Any) -> httpx2.Response:
        """Open a page and send one of its forms, with the token that stands in it."""
        token = CSRF.search((await self.get(path)).text)
        assert token is not None
        return await self.post(action, data={**fields, "csrf": token[1]})


def application(database: Database) -> Any:
    """Serve with the real guards and dependencies."""
    return applications.around(
        _application(), database=database, password_cost=_CHEAP, tabs=TABS, rooms=ROOMS
    )


@functools.cache
def _application() -> Litestar:
    def business_of(request: Request[Any, Any, Any]) -> Business:
        business: Business = request.scope["state"]["business"]
        return business

    routers = [
        Router(
            "/v1",
            route_handlers=[
                *api.handlers,
                *copies_api.handlers,
                *requests_api.handlers,
                *merging_api.handlers,
            ],
            guards=[staff_auth.with_key],
            exception_handlers=PROBLEMS,
        ),
        Router(
            "/me",
            route_handlers=[
                *portal.handlers,
                *copies_portal.handlers,
                *requests_portal.handlers,
                *consent_portal.handlers,
                *access_portal.handlers,
            ],
            guards=[of_host, access_auth.signed_in_customer, same_session],
            exception_handlers=pages_behind("/sign-in"),
        ),
        Router(
            "/staff",
            route_handlers=[
                *console.handlers,
                *merging_console.handlers,
                *requests_console.handlers,
            ],
            guards=[of_host, staff_auth.signed_in, same_session],
            exception_handlers=pages_behind("/staff/sign-in"),
        ),
        Router(
            "/",
            route_handlers=[*requests_portal.by_link, *public.by_link],
            guards=[of_host],
            exception_handlers=PAGES,
        ),
    ]
    return Litestar(
        [*routers, *assets.handlers],
        dependencies={
            "db": Provide(transaction),
            "business": Provide(business_of, sync_to_thread=False),
            **staff_auth.dependencies,
            **access_auth.dependencies,
        },
        exception_handlers=EITHER,
        before_send=[secured(https=False)],
        logging_config=None,
        openapi_config=None,
    )


async def her_browser(database: Database, business: Business, me: Customer) -> Browser:
    """A browser in which she has just come from her mailbox."""
    async with database.write(business.id) as db:
        token = await access.open_session(db, await make.entered(db, me.id))
    name = access_auth.cookie_name(business, access_auth.SESSION)
    return Browser(application(database), business, {name: token})


def stranger(database: Database, business: Business) -> Browser:
    """A browser in which nobody is signed in."""
    return Browser(application(database), business, {})


async def staff_browser(database: Database, business: Business, role: Role) -> Browser:
    """A browser in which a member is signed in."""
    app = application(database)
    kept = await staff.hashed("a sentence that is easy", cost=_CHEAP)
    new = NewMember(name="Ben Care", address=f"{role}@bakery.example", role=role)
    async with database.write(business.id) as db:
        member = await staff.invite(db, Actor.system(), new, kept)
        found = await sessions.credentials_of(db, member.address)
        assert found is not None
        _, token = await sessions.open_session(db, found)
    return Browser(app, business, {staff_auth.cookie_name(business): token})


async def program(database: Database, business: Business, *scopes: Scope) -> httpx2.AsyncClient:
    """A program with a key of these scopes."""
    async with database.write(business.id) as db:
        new = NewKey(name="Shop website", scopes=list(scopes), reason="to answer her request")
        _, text = await staff.add_key(db, Actor.system(), new)
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=application(database)),
        base_url=business.origin,
        headers={"authorization": f"Bearer {text}"},
    )


async def call_off_link(db: Db) -> str:
    """Take the letter that waits from the queue, and the link out of it."""
    (letter,) = await claim_letters(db, 10)
    found = _CALL_OFF.search(letter.content.decode().replace("=\r\n", ""))
    assert found is not None
    return found[0]
