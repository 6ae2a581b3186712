"""A small application that uses every part of crm/web and knows no domain either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from jinja2 import ChoiceLoader, FileSystemLoader
from litestar import Litestar, Request, Response, Router, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from crm.errors import Conflict, Problem, Unauthenticated
from crm.keys import Keys
from crm.web import assets, pages
from crm.web.csrf import same_session, same_site
from crm.web.forms import Form, read_form
from crm.web.head import answers_head
from crm.web.headers import secured
from crm.web.pages import Tab, page, redirect
from crm.web.refusals import EITHER, PROBLEMS, pages_behind

KEYS = Keys(link_keys=((1, b"1" * 32),), storage_keys=((1, b"s" * 32),), pepper=b"p" * 32)
SECRET = b"s" * 32
AT = datetime(2026, 5, 3, 16, 44, 10, tzinfo=UTC)

pages.environment.loader = ChoiceLoader(
    [pages.environment.loader or FileSystemLoader("."), FileSystemLoader(Path(__file__).parent)]
)


class Business(Struct):
    """What the layouts ask of a business."""

    id: UUID = UUID(int=7)
    name: str = "Corner Bakery"
    legal_name: str = "Corner Bakery Ltd"
    postal_address: str = "4 Mill Lane\nExampleton EX1 2AB"
    privacy_contact: str = "privacy@corner-bakery.example"
    locale: str = "en-GB"
    time_zone: str = "Europe/London"
    sheet: str = ""
    logo: str = ""


class Reader(Struct):
    """Somebody signed in."""

    name: str = "Bob Okafor"
    role: str = "approver"
    address: str = "nora@example.com"
    restricted_at: datetime | None = None


class Line(Struct):
    """A line of a sum."""

    label: str
    count: int
    swatch: str = ""
    why: str = ""
    href: str = ""


class Fact(Struct):
    """A moment of a timeline."""

    text: str
    state: str = ""
    at: datetime = AT


class Order(Struct, forbid_unknown_fields=True):
    """A body of the API."""

    rolls: int


class SoldOut(Conflict):
    """The rolls are sold out."""


class Stand(Struct):
    """Stands where the Database would: pages ask it for the keys only."""

    keys: Keys = KEYS


LINES = [
    Line("Sent", 1604, "sent", "Taken over by the mailbox's server"),
    Line("Excluded", 163, "excluded", "Left, paused or gone.", "/staff/campaigns/1/excluded"),
    Line("Failed", 4, "failed"),
    Line("Uncertain", 1, "uncertain", "Handed over, connection lost. Not sent again."),
    Line("Waiting", 683, "waiting"),
]
FACTS = [
    Fact("You stopped it on this page.", "off"),
    Fact("You confirmed from your mailbox. From here on, we may write.", "on"),
    Fact("You asked for it on our sign-up page."),
]


@get("/console", sync_to_thread=False)
def get_console() -> Response[Any]:
    """Show the console's parts."""
    tabs = [Tab("/staff/console", "Timeline", 3), Tab("/staff/mail", "Mail")]
    return page("console.html", at=AT, lines=LINES, form=Form(), tabs_here=tabs)


@get("/portal", sync_to_thread=False)
def get_portal() -> Response[Any]:
    """Show the portal's parts."""
    return page("portal.html", at=AT, facts=FACTS)


@post("/said", sync_to_thread=False)
def post_said() -> Response[Any]:
    """Say a sentence on the next page."""
    return redirect("/me/portal", say="Offers <b>for regulars</b> is off.")


@get("/sign-up", sync_to_thread=False)
def get_sign_up() -> Response[Any]:
    """Show the empty form."""
    return page("single.html", form=Form())


@post("/sign-up", guards=[same_site], request_max_body_size=20_000)
async def post_sign_up(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the form again with all that is wrong, or go on."""
    form = await read_form(request)
    form.address("email")
    form.text("name", required=False, max=20)
    form.choices("purpose", ["letter", "offers"], required=True)
    form.choice("budget", ["0", "1"])
    if form.problems:
        return page("single.html", status=422, form=form)
    return redirect("/sign-up", say="Look into your mailbox.")


@get("/orders/{order_id:uuid}", sync_to_thread=False)
def get_order(order_id: FromPath[UUID], shown: FromQuery[int] = 1) -> dict[str, str]:
    """Answer with an order."""
    return {"id": str(order_id), "shown": str(shown)}


@post("/orders", sync_to_thread=False)
def post_order(data: JSONBody[Order]) -> Order:
    """Refuse what is sold out."""
    if data.rolls > 100:
        raise SoldOut("Only 100 rolls are left.", [Problem("rolls", "At most 100.")])
    return data


@get("/bug", sync_to_thread=False)
def get_bug() -> None:
    """Fail with a message that must not be seen."""
    raise RuntimeError("nora@example.com is secret")


@get("/locked", sync_to_thread=False)
def get_locked() -> None:
    """Ask for a sign-in."""
    raise Unauthenticated


@post("/locked", sync_to_thread=False)
def post_locked() -> None:
    """Ask for a sign-in."""
    raise Unauthenticated


def of_host(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Find the business, as the real application does by host."""
    connection.scope["state"]["business"] = Business()
    connection.scope["state"]["business_id"] = Business().id


def signed_in(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Find out who it is, as the real application does by cookie."""
    state = connection.scope["state"]
    state["session_secret"] = SECRET
    state["me" if connection.scope["path"].startswith("/me") else "who"] = Reader()


TABS = [Tab("/me/portal", "What we may do"), Tab("/me", "What we hold"), Tab("/me/end", "Leave")]
ROOMS = [Tab("/staff/console", "Campaigns"), Tab("/staff/requests", "Privacy requests", 4)]


def application(*, https: bool = False, **state: Any) -> Litestar:
    """Put the sample together as crm/app.py does."""
    staff = Router(
        "/staff",
        route_handlers=[get_console, get_locked, post_locked, get_bug],
        guards=[signed_in, same_session],
        exception_handlers=pages_behind("/staff/sign-in"),
    )
    me = Router("/me", route_handlers=[get_portal, post_said], guards=[signed_in, same_session])
    api = Router(
        "/v1",
        route_handlers=[get_order, post_order, get_bug, get_locked],
        exception_handlers=PROBLEMS,
    )
    handlers: Sequence[Any] = [staff, me, api, get_sign_up, post_sign_up, *assets.handlers]
    return Litestar(
        handlers,
        guards=[of_host],
        exception_handlers=EITHER,
        before_send=[secured(https=https)],
        logging_config=None,
        openapi_config=None,
        state=State({"database": Stand(), "tabs": TABS, "rooms": ROOMS, **state}),
    )


def client(app: Any = None) -> httpx2.AsyncClient:
    """Ask the application without a network."""
    asgi: Callable[..., Any] = answers_head(app or application())
    transport = httpx2.ASGITransport(app=asgi)
    return httpx2.AsyncClient(transport=transport, base_url="http://bakery.example")
