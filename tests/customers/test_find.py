"""Finding customers and paging through them; each one shown was looked at."""

from __future__ import annotations

from uuid import UUID

import httpx2
import pytest

from crm import customers, events
from crm.businesses import Business
from crm.customers import Customer, NewCustomer, Source
from crm.db import Database
from crm.staff import Role
from tests.customers import site
from tests.customers.conftest import SYSTEM

PEOPLE = [
    ("anna@example.com", "Anna Berg", "A-1"),
    ("ann-marie@example.com", "Ann-Marie Çelik", None),
    ("bo@xn--bcher-kva.example", "Bo Annasson", None),
    ("zoë@example.com", "Zoë O'Hara", "z/1"),
    ("percent%_@example.com", "100% _real_", None),
]


@pytest.fixture
async def people(database: Database, business: Business) -> list[Customer]:
    async with database.write(business.id) as db:
        return [
            await customers.add(
                db,
                SYSTEM,
                NewCustomer(address=address, name=name, external_id=external_id),
                source=Source.api,
            )
            for address, name, external_id in PEOPLE
        ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ann", ["ann-marie@example.com", "anna@example.com", "bo@xn--bcher-kva.example"]),
        ("ANNA@", ["anna@example.com"]),
        ("Anna@Example.com", ["anna@example.com"]),
        ("bo@bücher.example", ["bo@xn--bcher-kva.example"]),
        ("berg", ["anna@example.com"]),
        ("çel", ["ann-marie@example.com"]),
        ("ZOË", ["zoë@example.com"]),
        ("A-1", ["anna@example.com"]),
        ("z/1", ["zoë@example.com"]),
        ("o'h", ["zoë@example.com"]),
        ("%", []),
        ("100%", ["percent%_@example.com"]),
        ("_", ["percent%_@example.com"]),
        ("erg", []),
        ("   ", []),
        ("x" * 250, []),
    ],
)
async def test_by_the_beginning_of_address_or_name(
    database: Database, business: Business, people: list[Customer], words: str, found: list[str]
) -> None:
    async with database.read(business.id) as db:
        got = await customers.find(db, words)
    assert [customer.address for customer in got] == found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("İpek Yılmaz", ["İpek", "İ", "YILMAZ", "yılm", "yilm"]),
        ("ΝΙΚΟΣ ΠΑΠΠΑΣ", ["ΝΙΚΟΣ", "Ν", "νικος", "νικοσ", "ΠΑΠΠΑΣ", "παππας"]),
        ("Nikos Σοφός", ["σοφός", "ΣΟΦΌΣ", "Σ", "NIKOS"]),
    ],
)
async def test_small_letters_are_made_alike_on_both_sides(
    database: Database, business: Business, name: str, words: list[str]
) -> None:
    async with database.write(business.id) as db:
        new = NewCustomer(address="someone@example.com", name=name)
        await customers.add(db, SYSTEM, new, source=Source.api)
        found = {each: await customers.find(db, each) for each in [*words, "ΚΟΣ", "pek"]}

    assert [each for each in words if not found[each]] == []
    assert (found["ΚΟΣ"], found["pek"]) == ([], [])


@pytest.mark.parametrize(
    ("body", "status", "count"),
    [
        ({"address": "ANNA@example.com"}, 200, 1),
        ({"address": "nobody@example.com"}, 200, 0),
        ({"external_id": "A-1"}, 200, 1),
        ({"external_id": "a-1"}, 200, 0),
        ({"external_id": "A\x00"}, 422, 0),
        ({"address": "no-at"}, 422, 0),
        ({"address": "a" * 900}, 422, 0),
        ({"address": "a" * 5000}, 422, 0),
        ({"address": "anna@example.com", "external_id": "A-1"}, 422, 0),
        ({"email": "anna@example.com"}, 422, 0),
        ({}, 422, 0),
    ],
)
async def test_programs_search_by_post(
    api: httpx2.AsyncClient,
    people: list[Customer],
    body: dict[str, str],
    status: int,
    count: int,
) -> None:
    answer = await api.post("/v1/customers/search", json=body)
    assert answer.status_code == status
    if status == 200:
        assert len(answer.json()) == count


async def test_pages_show_each_customer_once(
    api: httpx2.AsyncClient, people: list[Customer]
) -> None:
    seen: list[str] = []
    path = "/v1/customers?limit=2"
    while path:
        answer = await api.get(path)
        seen += [row["id"] for row in answer.json()]
        path = answer.headers.get("link", "").partition(">")[0].lstrip("<")
    assert sorted(seen) == sorted(str(person.id) for person in people)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "after=x", "after=AAAA"])
async def test_a_query_that_makes_no_sense_is_refused(api: httpx2.AsyncClient, query: str) -> None:
    assert (await api.get(f"/v1/customers?{query}")).status_code == 422


async def test_a_cursor_of_another_business_is_refused(
    api: httpx2.AsyncClient,
    people: list[Customer],
    database: Database,
    other_business: Business,
) -> None:
    link = (await api.get("/v1/customers?limit=2")).headers["link"]
    path = link.partition(">")[0].lstrip("<")
    async with site.client(database, other_business, key=site.caller()) as client:
        assert (await client.get(path)).status_code == 422


async def _looks(database: Database, business: Business, customer_id: UUID) -> list[str]:
    async with database.read(business.id) as db:
        return [event.reason for event in await events.looks_at(db, customer_id)]


@pytest.mark.parametrize("suffix", ["", "/attributes", "/interactions"])
async def test_reading_is_a_look_that_the_customer_sees(
    api: httpx2.AsyncClient, database: Database, business: Business, nora: Customer, suffix: str
) -> None:
    assert (await api.get(f"/v1/customers/{nora.id}{suffix}")).status_code == 200
    assert await _looks(database, business, nora.id) == ["to show her orders"]


async def test_a_list_is_a_look_at_each(
    api: httpx2.AsyncClient,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: Customer,
) -> None:
    await api.get("/v1/customers")
    await api.post("/v1/customers/search", json={"address": nora.address})
    await console.get("/staff/customers")
    await console.post("/staff/customers/search", data=site.form(words="nora"))
    assert await _looks(database, business, nora.id) == ["list"] * 2 + ["to show her orders"] * 2


async def test_staff_say_why_before_they_see(
    console: httpx2.AsyncClient, database: Database, business: Business, nora: Customer
) -> None:
    base = f"/staff/customers/{nora.id}"
    asked = await console.get(base)
    assert "Why do you open this record?" in asked.text
    assert "Nora" not in asked.text
    assert (await console.get(f"{base}/change")).status_code == 403
    assert (await console.get(f"{base}/attributes")).status_code == 403
    empty = await console.post(f"{base}/look", data=site.form(reason=" "))
    assert empty.status_code == 422
    assert await _looks(database, business, nora.id) == []
    given = await console.post(f"{base}/look", data=site.form(reason="answering her question"))
    assert given.headers["location"] == base
    shown = await console.get(base)
    assert "Nora Lindqvist" in shown.text
    assert "“answering her question”" in shown.text
    assert await _looks(database, business, nora.id) == ["answering her question"]


async def test_the_list_pages_and_finds(
    console: httpx2.AsyncClient, people: list[Customer]
) -> None:
    shown = await console.get("/staff/customers")
    assert "5 customers, newest first" in shown.text
    found = await console.post("/staff/customers/search", data=site.form(words="zoë@"))
    assert "One customer found." in found.text
    assert "anna@example.com" not in found.text
    nobody = await console.post("/staff/customers/search", data=site.form(words="<b>"))
    assert "Nobody found" in nobody.text
    assert 'value="&lt;b&gt;"' in nobody.text
    assert (await console.post("/staff/customers/search", data=site.form())).status_code == 422


async def test_a_viewer_sees_no_customer(database: Database, business: Business) -> None:
    who = await site.member(database, business, Role.viewer)
    async with site.client(database, business, who=who) as client:
        assert (await client.get("/staff/customers")).status_code == 403
