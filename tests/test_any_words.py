"""Whatever somebody types is kept as it was typed, shown as text, or refused and shown again."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import Customer
from crm.customers.model import NewAttribute
from crm.customers.value import AttributeType
from crm.db import Database
from crm.events import Actor
from tests import make
from tests.browser import Browser

SHARED = Path(__file__).parents[2] / "shared" / "data" / "names-locales"
# One of each kind that has broken a page, a table or a mail somewhere.
OURS = [
    "Zoë O’Brien-Núñez", "Nguyễn Thị Minh Khai", "ニックネーム 山田", "محمد بن عبد الله",
    "דוד בן־גוריון", "A", "X Æ A-12", "null", "undefined", "0", "-1", "1e309", "@SUM(1+1)",
    '=HYPERLINK("http://x")', "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)", "{{ 7 * 7 }}", "{% include 'x' %}", "%s%s%n", "../../etc/passwd",
    "'; DROP TABLE crm.customer; --", "a\u0301e\u0301", "\u202etxt.exe", "ﬀﬁ ½", "\ufeffbegun",
    "👩\u200d👩\u200d👧 👋🏽", "a\u0000b", "a\r\nBcc: x@example.com", "\ud7ff", "x" * 199,
    "x" * 5_000, "   ", "\t", "&amp; &lt;", "\\", "C:\\new", "1/2/2026", "٣٤٥",
]  # fmt: skip


class Tags(HTMLParser):
    """Counts the elements of a page: what is shown as text adds none."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.found: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count one, by its name and that of its attributes."""
        self.found[" ".join((tag, *sorted(name for name, _ in attrs)))] += 1


def tags(html: str) -> Counter[str]:
    """Count the elements of a page."""
    reader = Tags()
    reader.feed(html)
    return reader.found


def _shared() -> list[str]:
    if not SHARED.exists():
        pytest.skip("the lists of naughty strings and of names of all locales are not here")
    found: list[str] = json.loads((SHARED / "blns.json").read_text())
    for path in sorted((SHARED / "cldr-person-names").glob("*.json")):
        (named,) = json.loads(path.read_text())["main"].values()
        samples = named["personNames"]["sampleName"]
        found += [
            " ".join(text for text in parts.values() if isinstance(text, str))
            for parts in samples.values()
        ]
    # One for each mix of kinds of characters: what breaks something breaks it by these.
    kinds = {frozenset(map(unicodedata.category, each)): each for each in sorted(found)}
    return list(kinds.values())


async def _typed(
    database: Database, business: Business, customer: Customer, portal: Browser, words: list[str]
) -> Counter[int]:
    """Type each as her name and as an attribute of hers; count how it was answered."""
    async with database.write(business.id) as db:
        town = NewAttribute(basis=customers.LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Town", type=AttributeType.text, purpose="For the shop nearby.",
            retention="P2Y", hers=True,
        )  # fmt: skip
        await customers.declare_attribute(db, make.SYSTEM, "town", town)
        await customers.set_attributes(
            db, Actor.customer(customer.id), customer.id, {"town": "Exampleton"}
        )
    plain = tags((await portal.get("/me")).text)
    token = await portal.token("/me/details")
    answered: Counter[int] = Counter()
    for each in words:
        form = {"name": each, "attributes/town": each, "csrf": token}
        answer = await portal.post("/me/details", data=form)
        answered[answer.status_code] += 1
        async with database.read(business.id) as db:
            now = await customers.get(db, customer.id)
            held = {value.name: value.value for value in await customers.values(db, customer.id)}
        page = await portal.get("/me")
        assert page.status_code == 200, each
        assert str(held.get("town", "")) in unescape(page.text), each
        if answer.status_code == 422:
            assert tags(answer.text)["script"] == 0, each
            continue
        assert answer.status_code == 303, (each, answer.text)
        assert now.name == unicodedata.normalize("NFC", each).strip(), each
        assert not (tags(page.text) - plain)["script"], each
        assert tags(page.text)["img onerror src"] == 0, each
    return answered


async def test_any_words_of_ours(
    database: Database, business: Business, customer: Customer, portal: Browser
) -> None:
    """Some are refused, with the page again; none breaks anything."""
    answered = await _typed(database, business, customer, portal, OURS)

    assert answered[303] > answered[422] > 0
    assert answered.keys() == {303, 422}


async def test_any_words_of_the_world(
    database: Database, business: Business, customer: Customer, portal: Browser
) -> None:
    """The Big List of Naughty Strings, and names as people have them in sixty-six locales."""
    answered = await _typed(database, business, customer, portal, _shared())

    assert answered.keys() == {303, 422}


async def _told(api: Browser, console: Browser, words: list[str]) -> Counter[tuple[str, int]]:
    """Add and rename a customer with each, as a program and as staff; count the answers."""
    form_page = (await console.get("/staff/customers/new")).text
    plain, token = tags(form_page), await console.token("/staff/customers/new")
    answered: Counter[tuple[str, int]] = Counter()
    made = await api.post("/v1/customers", json={"address": "first@example.com"})
    path = f"/v1/customers/{made.json()['id']}"
    patch = {"if-match": "*", "content-type": "application/merge-patch+json"}
    for number, each in enumerate(words):
        new = {"address": f"a{number}@example.com", "name": each, "external_id": each}
        body = json.dumps({"name": each, "external_id": each})
        form = {**new, "address": f"b{number}@example.com", "csrf": token, "external_id": ""}
        for what, answer in (
            ("added", await api.post("/v1/customers", json=new)),
            ("changed", await api.patch(path, content=body, headers=patch)),
            ("found", await api.post("/v1/customers/search", json={"external_id": each})),
            ("typed", await console.post("/staff/customers", data=form)),
        ):
            assert answer.status_code < 500, (what, each, answer.text)
            answered[what, answer.status_code] += 1
        assert not (tags(answer.text) - plain)["script"], each
        assert tags(answer.text)["img onerror src"] == 0, each
    return answered


async def test_any_words_by_a_program_and_by_staff(api: Browser, console: Browser) -> None:
    """As names and as the ids of another system: taken, or refused with a sentence."""
    answered = await _told(api, console, OURS)

    taken = {("added", 201), ("changed", 200), ("typed", 303), ("found", 200)}
    refused = {("added", 422), ("changed", 422), ("typed", 422), ("found", 422)}
    # That another has the number of a shop already is a conflict.
    assert answered.keys() <= taken | refused | {("added", 409), ("changed", 409)}
    assert taken <= answered.keys()
