"""Whatever is sent, nothing breaks: a refusal in the form of its audience, never a 500.

Hypothesis draws the requests, always the same ones; every operation and every page is walked.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.types import ASGIApp
from msgspec import Struct

from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database
from crm.web import openapi
from crm.web.parameters import parameters
from tests import make
from tests.browser import Browser
from tests.routes import DOCUMENT, ROUTES, Route
from tests.test_strangers import FORM

CALLS = [route for route in ROUTES if route.operation]
WITH_BODY = [route for route in CALLS if "requestBody" in route.operation]
ROOMS = [route for route in ROUTES if route.path.startswith("/staff")]
PAGES = [route for route in ROUTES if not route.path.startswith(("/v1", "/static", "/staff"))]
# What has broken programs before.
TEXTS = [
    "",
    "\0",
    "a\0b",
    "x" * 100_000,
    "\N{RIGHT-TO-LEFT OVERRIDE}evil",
    "\ud7ff\ue000\uffff",
    "' OR 1=1 --",
    "{{ 7 * 7 }}",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "\r\nBcc: everybody@example.com",
    "9999-12-31T23:59:59+14:00",
    "0001-01-01T00:00:00-14:00",
    "9999-12-31",
    "2026-02-30T25:61:00Z",
    "-1",
    "99999999999999999999",
    "NaN",
    "1e999",
    "P999999999Y",
    "@@",
    "a@" + "b" * 300,
    str(UUID(int=0)),
    "customers:read",
]
RAW = [
    b"",
    b"{",
    b"[" * 100_000,
    b'{"name": "\xff"}',
    b'{"a":' * 5_000,
    b"\xff\xfe\x00",
    b'"\\ud800"',
    b"NaN",
    b"null",
    b"1" * 5_000,
    b'{"address": "a@example.com", "address": 1}',
    b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n",
]
MEDIA = [
    "application/json",
    "application/merge-patch+json",
    "application/json; charset=utf-16",
    "text/plain",
    "text/csv",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/msgpack",
    "nonsense",
    "",
]
HEADERS = {
    "if-match": ["*", '"v1"', 'W/"v1"', '"v999999999999"', "nonsense", "\N{SNOWMAN}"],
    "idempotency-key": ["a", '"a"', '"', "x" * 300, "\N{SNOWMAN}", ""],
    "accept": ["text/html", "nonsense/*;q=2"],
}

# Argon2 at its full price.
_COSTLY = {
    "/staff/members",
    "/staff/members/{member_id}/password",
    "/staff/account/password",
    "/staff/account/second-factor",
    "/staff/account/second-factor/removal",
}

_texts = st.sampled_from(TEXTS) | st.text(max_size=30)
# What fits into a URL; a server in front refuses a longer one.
_short = _texts.map(lambda text: text[:3_000])
_plain = st.none() | st.booleans() | st.integers() | st.floats() | _texts
_values = st.recursive(
    _plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3)
)


class Sent(Struct):
    """A drawn request: what of the good one is replaced."""

    body: bytes
    media: str
    query: dict[str, str]
    headers: dict[str, bytes]
    path: dict[str, str]


def _drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Draw so many, always the same; what is sent with them is awaited outside."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found


def _bodies(good: Any) -> st.SearchStrategy[bytes]:
    anything = _values.map(lambda value: json.dumps(value).encode())
    if not isinstance(good, dict) or not good:
        return st.sampled_from(RAW) | anything
    changed = st.tuples(st.sampled_from([*good, "unknown", "id"]), _values).map(
        lambda pair: json.dumps({**good, pair[0]: pair[1]}).encode()
    )
    return st.sampled_from(RAW) | anything | changed | changed | changed


def _requests(route: Route, known: dict[str, str]) -> st.SearchStrategy[Sent]:
    operation = route.operation
    media, good = openapi.body_sample(DOCUMENT, operation)
    parameters = operation.get("parameters", ())
    queries = [each["name"] for each in parameters if each["in"] == "query"]
    ids = st.sampled_from(["nope", "%00", "%ff", "x" * 3_000, str(uuid4())])
    return st.builds(
        Sent,
        body=_bodies(_filled(good, known)) if media else st.just(b""),
        media=st.just(media) | st.just(media) | st.sampled_from(MEDIA),
        query=st.dictionaries(st.sampled_from([*queries, "unknown"]), _short, max_size=2),
        headers=st.fixed_dictionaries(
            {},
            optional={
                name: st.sampled_from(values).map(str.encode) for name, values in HEADERS.items()
            },
        ),
        path=st.fixed_dictionaries(
            {name: st.just(_known(route, name, known)) | ids for name in route.types}
        ),
    )


def _known(route: Route, name: str, known: dict[str, str]) -> str:
    if route.types[name] is str:
        return "usual_shop"
    thing = name.removesuffix("_id")
    if name == "id":
        thing = route.path[: route.path.index("{id}")].rstrip("/").rpartition("/")[2][:-1]
    return known.get(thing, str(uuid4()))


def _filled(good: Any, known: dict[str, str]) -> Any:
    text = json.dumps(good)
    for thing, value in known.items():
        text = text.replace(f"{thing.upper()}_ID", value)
    return json.loads(text)


@pytest.fixture
async def known(database: Database, business: Business, customer: Customer) -> dict[str, str]:
    """One of everything, so that what is hostile gets as far as it can."""
    return await _one_of_everything(database, business, customer)


async def _one_of_everything(
    database: Database, business: Business, customer: Customer
) -> dict[str, str]:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        await make.audience(db, notice, 1)
        campaign = await make.campaign(db, purpose.id)
        received = await make.received(db, purpose.slug, "Email Address\nx@example.com\n")
        member = await make.employ(db, "hired@bakery.example")
    return {
        "customer": str(customer.id),
        "purpose": str(purpose.id),
        "slug": purpose.slug,
        "campaign": str(campaign.id),
        "import": str(received.id),
        "member": str(member.id),
    }


class Untouched(Struct):
    """A program at a business of which nothing is ever changed, and one of everything there."""

    program: Browser
    known: dict[str, str]

    def sent(self, route: Route) -> dict[str, Any]:
        """Say where a body for a route goes, and as what."""
        media, _ = openapi.body_sample(DOCUMENT, route.operation)
        named = "purpose" in parameters(route.handler)
        return {
            "method": route.method,
            "url": route.path.format(
                **{name: _known(route, name, self.known) for name in route.types}
            ),
            "params": {"purpose": self.known["slug"]} if named else {},
            "headers": {"content-type": media, "if-match": "*"},
        }


@pytest.fixture(scope="module")
async def untouched(site: ASGIApp, database: Database) -> AsyncIterator[Untouched]:
    """One for all that is refused before anything comes of it."""
    business = await make.business(database)
    async with database.write(business.id) as db:
        customer = await make.customer(db)
    async with Browser(site, business.origin) as program:
        await make.let_in_by_key(database, business, program)
        yield Untouched(program, await _one_of_everything(database, business, customer))


def _check_machine(answer: httpx2.Response, what: object) -> None:
    """Either it was right, or the answer is a problem that says so."""
    assert answer.status_code < 500, (what, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["content-type"].startswith("application/problem+json"), what
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["code"]
        assert answer.json()["detail"]


@pytest.mark.parametrize("route", CALLS, ids=str)
async def test_an_operation_never_breaks(api: Browser, known: dict[str, str], route: Route) -> None:
    """Malformed, wrong, huge, unknown, in any Content-Type, with any header and any id."""
    for sent in _drawn(_requests(route, known), 12):
        headers = {name.encode(): value for name, value in sent.headers.items()}
        headers[b"content-type"] = sent.media.encode()
        answer = await api.request(
            route.method,
            route.path.format(**sent.path),
            params=sent.query,
            content=sent.body,
            headers=headers,
        )

        _check_machine(answer, sent)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_a_body_too_large_is_refused(untouched: Untouched, route: Route) -> None:
    """By what the client announces; nothing of it is read."""
    sent = untouched.sent(route)
    sent["headers"]["content-length"] = "99999999999"
    answer = await untouched.program.request(**sent, content=b"{}")

    assert answer.status_code == 413
    _check_machine(answer, route)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_a_line_without_an_end_is_read_no_further(untouched: Untouched, route: Route) -> None:
    """A hundred megabytes that nobody announced: refused at the limit, and the rest not taken."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b"a" * 1_000_000

    sent = untouched.sent(route)
    sent["headers"]["idempotency-key"] = "a"
    answer = await untouched.program.request(**sent, content=endless())

    # A list may be that long; one line of it may not, and it is told so.
    if route.path == "/v1/imports":
        assert answer.json()["code"] == "unreadable"
        return
    assert answer.status_code == 413, answer.text
    assert taken < 60


async def test_without_a_key_nothing_is_said(web: Browser) -> None:
    """401, whatever the route and whatever is wrong with the key."""
    keys = [b"", b"Bearer", b"Bearer nope", b"Basic eDp5", b"Bearer fh_" + b"a" * 106, b"\xff"]
    for route in CALLS:
        path = route.path.format(**{name: _known(route, name, {}) for name in route.types})
        for key in keys:
            answer = await web.request(route.method, path, headers={b"authorization": key})

            assert answer.status_code == 401, (str(route), key)
            _check_machine(answer, route)


async def test_what_is_not_there_is_a_problem_too(api: Browser) -> None:
    """An address of the API that does not exist, and a method that it does not have."""
    for method, path, status in (
        ("GET", "/v1/nope", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/customers/nope", 404),
        ("DELETE", "/v1/customers", 405),
        ("POST", "/v1/key", 405),
    ):
        answer = await api.request(method, path)

        assert answer.status_code == status, path
        _check_machine(answer, path)


def _queries(route: Route) -> st.SearchStrategy[dict[str, str]]:
    """Draw a query of names that the handler reads, and of others."""
    names = sorted(route.handler.parsed_fn_signature.parameters)
    return st.dictionaries(st.sampled_from([*names, "unknown", "after", "q"]), _short, max_size=3)


@pytest.mark.parametrize("route", PAGES, ids=str)
async def test_a_page_never_breaks(portal: Browser, known: dict[str, str], route: Route) -> None:
    """Whatever stands in its address and in its form; nobody reads a 500."""
    await _withstands(portal, await portal.token("/me/consent"), known, route)


@pytest.mark.parametrize("route", ROOMS, ids=str)
async def test_a_room_of_the_console_never_breaks(
    console: Browser, known: dict[str, str], route: Route
) -> None:
    """The same for staff."""
    await _withstands(console, await console.token("/staff/account"), known, route)


async def _withstands(browser: Browser, token: str, known: dict[str, str], route: Route) -> None:
    path = route.path.format(**{name: _known(route, name, known) for name in route.types})
    values = st.dictionaries(st.sampled_from([*FORM, "unknown"]), _texts, max_size=3)
    count = 2 if route.path in _COSTLY else 5
    for query, form in _drawn(st.tuples(_queries(route), values), count):
        data = {**FORM, **form, "csrf": token} if route.method == "POST" else None
        answer = await browser.request(route.method, path, params=query, data=data)

        assert answer.status_code < 500, (query, form, answer.text)
