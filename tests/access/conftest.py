"""A web application with this domain's routes, and the mails that it has written."""

from __future__ import annotations

import email
import email.policy
import functools
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

import asyncpg
import httpx2
import pytest
from litestar import Litestar, Request, Response, Router, get
from litestar.di import NamedDependency, Provide
from msgspec import Struct
from redis.asyncio import Redis

from crm import consent
from crm.access import auth, portal
from crm.access.by_link import by_token
from crm.businesses import Business
from crm.businesses.host import of_host
from crm.consent import Notice, Purpose
from crm.customers import Customer
from crm.db import Database
from crm.web.csrf import same_session
from crm.web.head import answers_head
from crm.web.headers import secured
from crm.web.refusals import EITHER, PAGES, pages_behind
from crm.web.transaction import transaction
from tests import applications, make
from tests.conftest import Cluster

_WINDOW = 900


class Clock:
    """Goes on when a test says so, from a minute after the start of a window of counted tries."""

    def __init__(self, database: Database) -> None:
        self._real = database.clock
        self.ahead = timedelta(seconds=_WINDOW + 60 - self._real().timestamp() % _WINDOW)

    def __call__(self) -> datetime:
        return self._real() + self.ahead


def provide_business(request: Request[Any, Any, Any]) -> Business:
    """Inject the business whose page is asked for."""
    found: Business = request.scope["state"]["business"]
    return found


@get("/", sync_to_thread=False)
def get_me(me: NamedDependency[Customer]) -> Response[Any]:
    """Say who is signed in."""
    return Response(str(me.id), media_type="text/plain")


def application(database: Database, *added: Router) -> Litestar:
    """Serve the domain's routes and some more from this database, with no Redis to be reached."""
    redis = Redis.from_url("unix:///nowhere")
    return applications.around(_application(*added), database=database, redis=redis)


@functools.cache
def _application(*added: Router) -> Litestar:
    """Put the domain's routes together as crm/app.py does."""
    return Litestar(
        [
            Router("/", route_handlers=portal.by_link, guards=[of_host], exception_handlers=PAGES),
            Router("/", route_handlers=by_token, exception_handlers=PAGES),
            Router(
                "/me",
                route_handlers=[get_me, *portal.handlers],
                guards=[of_host, auth.signed_in_customer, same_session],
                exception_handlers=pages_behind("/sign-in"),
            ),
            *added,
        ],
        dependencies={
            "db": Provide(transaction),
            "business": Provide(provide_business, sync_to_thread=False),
            **auth.dependencies,
        },
        exception_handlers=EITHER,
        before_send=[secured(https=False)],
        openapi_config=None,
        logging_config=None,
    )


@pytest.fixture
async def clocked(database: Database) -> Clock:
    return Clock(database)


@pytest.fixture
async def moved(database: Database, clocked: Clock) -> Database:
    """The database at the time of the test's clock."""
    return Database(database.connections, database.keys, database.wake, clocked)


@pytest.fixture
async def app(moved: Database) -> Any:
    return answers_head(application(moved))


def browser(app: Any, business: Business) -> httpx2.AsyncClient:
    """A browser with cookies of its own, on the host of a business."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=business.origin)


@pytest.fixture
async def web(app: Any, business: Business) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(app, business) as client:
        yield client


@pytest.fixture
async def elsewhere(app: Any, business: Business) -> AsyncIterator[httpx2.AsyncClient]:
    """Another browser, with no cookie of the first."""
    async with browser(app, business) as client:
        yield client


class Asking(Struct):
    """A business's purposes, committed."""

    letter: Purpose
    offers: Purpose
    letter_notice: Notice
    offers_notice: Notice


@pytest.fixture
async def asking(database: Database, business: Business) -> Asking:
    async with database.write(business.id) as db:
        letter = await make.purpose(db, slug="letter")
        offers = await make.purpose(db, slug="offers", name="Offers for regulars")
        notice = await make.notice(db, letter.id)
        other = await make.notice(
            db,
            offers.id,
            text="Yes, e-mail me offers that fit what I bought.",
            control_label="Send me offers",
        )
    return Asking(letter, offers, notice, other)


class Mail(Struct):
    """A service message as it was written."""

    kind: str
    to: str
    message: EmailMessage

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain",))
        assert isinstance(part, EmailMessage)
        return str(part.get_content())

    @property
    def html(self) -> str:
        part = self.message.get_body(("html",))
        assert isinstance(part, EmailMessage)
        return str(part.get_content())

    @property
    def link(self) -> str:
        """The one link, without its origin."""
        found = re.search(r"https?://[^/\s]+(/\S*)", self.text)
        assert found is not None
        return found[1]

    @property
    def code(self) -> str:
        found = re.search(r"^([0-9A-Z]{4} [0-9A-Z]{4})\s*$", self.text, re.MULTILINE)
        assert found is not None
        return found[1]


class Inbox:
    """What waits to be sent for a business, oldest first."""

    def __init__(self, cluster: Cluster, business: Business) -> None:
        self._cluster = cluster
        self._business = business

    async def mails(self) -> list[Mail]:
        conn = await asyncpg.connect(self._cluster.superuser_url)
        try:
            rows = await conn.fetch(
                "SELECT kind, address, content FROM crm.service_message"
                " WHERE business_id = $1 AND content IS NOT NULL ORDER BY created_at, message_id",
                self._business.id,
            )
        finally:
            await conn.close()
        return [Mail(r["kind"], r["address"], _parsed(r["content"])) for r in rows]

    async def newest(self) -> Mail:
        return (await self.mails())[-1]


def _parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.fixture
async def inbox(shared_cluster: Cluster, business: Business) -> Inbox:
    return Inbox(shared_cluster, business)


class Rows:
    """Look at every table as nobody in the product can, to see that nothing changed."""

    def __init__(self, cluster: Cluster, business: Business) -> None:
        self._cluster = cluster
        self._business = business

    async def all(self) -> dict[str, list[str]]:
        conn = await asyncpg.connect(self._cluster.superuser_url)
        try:
            tables = await conn.fetch(
                "SELECT table_name FROM information_schema.columns"
                " WHERE table_schema = 'crm' AND column_name = 'business_id' ORDER BY 1"
            )
            return {
                name: await self._of(conn, name)
                for name in dict.fromkeys(row["table_name"] for row in tables)
            }
        finally:
            await conn.close()

    async def count(self, table: str) -> int:
        return len((await self.all())[table])

    async def _of(self, conn: asyncpg.Connection, table: str) -> list[str]:
        rows = await conn.fetch(
            f"SELECT t::text FROM crm.{table} t WHERE business_id = $1 ORDER BY 1",  # noqa: S608
            self._business.id,
        )
        return [row[0] for row in rows]


@pytest.fixture
async def rows(shared_cluster: Cluster, business: Business) -> Rows:
    return Rows(shared_cluster, business)


class SignUp:
    """Fills in the hosted form as a person does, a while after it was opened."""

    def __init__(self, web: httpx2.AsyncClient, clocked: Clock) -> None:
        self.web = web
        self._clocked = clocked

    async def form(self, query: str = "") -> dict[str, Any]:
        page = await self.web.get(f"/sign-up{query}")
        assert page.status_code == 200, page.text
        sealed = re.search(r'name="form" value="([^"]+)"', page.text)
        assert sealed is not None
        self._clocked.ahead += timedelta(seconds=5)
        return {"form": sealed[1], "extra": ""}

    async def post(
        self, address: str = "nora@example.com", *purposes: str, **changes: Any
    ) -> httpx2.Response:
        form = await self.form()
        form |= {"email": address, "name": "Nora", "purpose": list(purposes or ("letter",))}
        headers = changes.pop("headers", {})
        return await self.web.post("/sign-up", data=form | changes, headers=headers)

    async def told(self, *args: str, **changes: Any) -> httpx2.Response:
        """Send it, and read what is said of its mail."""
        answer = await self.post(*args, **changes)
        assert answer.status_code == 303, answer.text
        return await self.web.get(answer.headers["location"])


@pytest.fixture
async def sign_up(web: httpx2.AsyncClient, clocked: Clock, asking: Asking) -> SignUp:
    return SignUp(web, clocked)


@pytest.fixture
async def nora(database: Database, business: Business, asking: Asking) -> Customer:
    """A customer who has consented to the letter."""
    return await consented(database, business, asking)


async def consented(
    database: Database, business: Business, asking: Asking, address: str = "nora@example.com"
) -> Customer:
    async with database.write(business.id) as db:
        customer = await make.customer(db, address=address)
        question = asking.letter_notice.question
        await consent.give(db, make.SYSTEM, customer.id, question, make.ELSEWHERE)
        assert await consent.authorised(db, asking.letter.id, [customer.id])
    return customer
