"""The settings of a business, as an owner changes them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from html import unescape
from time import thread_time
from urllib.parse import urlencode
from uuid import uuid4

import httpx2
import msgspec
import pytest

from crm import businesses
from crm.above import business_of_host
from crm.businesses import Business, NewBusiness
from crm.businesses.authorities import AUTHORITIES
from crm.db import Database, ReadDb
from tests import make
from tests.browser import Browser
from tests.staff import site

_FIELDS = NewBusiness.__struct_fields__

Changes = Callable[..., Awaitable[None]]


def _known(business: Business, **changes: str) -> dict[str, str]:
    return {name: str(getattr(business, name)) for name in _FIELDS} | changes


async def _opened(console: httpx2.AsyncClient) -> dict[str, str]:
    """Open the page; return what it carries unseen."""
    text = (await console.get("/staff/settings")).text
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text)
    return {name: unescape(value) for name, value in found}


async def _save(console: httpx2.AsyncClient, fields: dict[str, str]) -> httpx2.Response:
    carried = await _opened(console)
    return await console.post("/staff/settings", data=fields | carried)


async def _now(database: Database, business: Business) -> Business:
    async with database.read(business.id) as db:
        return await businesses.get(db)


async def test_it_works(clocked: Database, business: Business, owner: site.Browser) -> None:
    shown = await owner.get("/staff/settings")
    assert shown.status_code == 200
    assert business.legal_name in shown.text
    fields = _known(
        business,
        legal_name="Corner Bakery & Sons Ltd",
        postal_address="4 Mill Lane\r\nExampleton",
        time_zone="Europe/Lisbon",
        locale="pt-BR",
        return_domain="Bounces.Bakery.example",
    )
    answer = await _save(owner, fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/staff/settings")
    changed = await _now(clocked, business)
    assert changed == msgspec.structs.replace(
        business,
        legal_name="Corner Bakery & Sons Ltd",
        postal_address="4 Mill Lane\nExampleton",
        time_zone="Europe/Lisbon",
        locale="pt-BR",
        return_domain="bounces.bakery.example",
        version=2,
    )
    assert (await site.kinds(clocked, business.id))[-1] == ("business.changed", "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"legal_name": "x" * 301},
        {"sender_address": "letter"},
        {"privacy_contact": "no address"},
        {"return_domain": "bounces"},
        {"return_domain": "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"},
        {"return_domain": "bounces.example\r\nBcc: all@bakery.example"},
        {"locale": "English, please"},
        {"time_zone": "Middle/Earth"},
        {"time_zone": "../../etc/passwd"},
        {"origin": "letters.example.com"},
        {"origin": "https://letters.example.com/path"},
        {"origin": "javascript:alert(1)"},
        {"postal_address": "x" * 501},
        {"postal_address": " \r\n "},
    ],
)
async def test_what_makes_no_sense_is_shown_again(
    clocked: Database, business: Business, owner: site.Browser, wrong: dict[str, str]
) -> None:
    answer = await _save(owner, _known(business, **wrong))
    assert answer.status_code == 422
    assert f'id="{next(iter(wrong))}-problem"' in answer.text
    assert await _now(clocked, business) == business


async def test_without_a_postal_address_the_page_says_what_follows(clocked: Database) -> None:
    business = await make.business(clocked, postal_address="")
    await site.member(clocked, business.id)
    async with site.Browser(site.application(clocked), business) as owner:
        await owner.enter("owner@bakery.example")
        assert "No campaign starts yet." in (await owner.get("/staff/settings")).text
        fields = _known(business, postal_address="4 Mill Lane")
        assert (await _save(owner, fields)).status_code == 303
        assert "No campaign starts yet." not in (await owner.get("/staff/settings")).text


async def test_links_of_old_mails_still_find_the_business(
    clocked: Database, business: Business, owner: site.Browser
) -> None:
    host = f"{uuid4().hex}.example"
    fields = _known(business, origin=f"http://{host}:8080/")
    assert (await _save(owner, fields)).status_code == 303
    assert (await _now(clocked, business)).origin == f"http://{host}:8080"
    assert await business_of_host(clocked, f"{host}:8080") == business.id
    assert await business_of_host(clocked, business.host) == business.id


async def test_the_host_of_another_business_is_refused_and_nothing_is_kept(
    clocked: Database, business: Business, other_business: Business, owner: site.Browser
) -> None:
    fields = _known(business, name="Somebody Else", origin=other_business.origin)
    answer = await _save(owner, fields)
    assert answer.status_code == 422
    assert "Another business already answers" in answer.text
    assert await _now(clocked, business) == business
    assert await business_of_host(clocked, other_business.host) == other_business.id


@pytest.fixture
async def elsewhere(database: Database, business: Business, api: Browser) -> Changes:
    """Change the settings as a program does, while somebody looks at the page."""

    async def change(**changes: object) -> None:
        headers = {"content-type": "application/merge-patch+json", "if-match": "*"}
        answer = await api.patch("/v1/business", json=changes, headers=headers)
        assert answer.status_code == 200

    return change


async def test_settings_saved_late_take_nothing_back(
    console: Browser, database: Database, business: Business, elsewhere: Changes
) -> None:
    carried = await _opened(console)
    await elsewhere(postal_address="9 New Street\nExampleton", keeps_network=True)
    fields = _known(business, name="Mill Bakery") | carried
    assert (await console.post("/staff/settings", data=fields)).status_code == 303
    assert await _now(database, business) == msgspec.structs.replace(
        business,
        name="Mill Bakery",
        postal_address="9 New Street\nExampleton",
        keeps_network=True,
        version=3,
    )


async def test_what_two_changed_is_asked_about_once(
    console: Browser, database: Database, business: Business, elsewhere: Changes
) -> None:
    carried = await _opened(console)
    await elsewhere(name="Corner Bread", officer="Dr Rye")
    fields = _known(business, name="Mill Bakery")
    asked = await console.post("/staff/settings", data=fields | carried)
    assert asked.status_code == 422
    assert "now it says: Corner Bread. Save again to put yours there." in asked.text
    assert 'value="Mill Bakery"' in asked.text
    assert 'value="Dr Rye"' in asked.text
    assert (await _now(database, business)).name == "Corner Bread"

    fields |= {"officer": "Dr Rye"}
    assert (await _save(console, fields)).status_code == 303
    now = await _now(database, business)
    assert (now.name, now.officer, now.version) == ("Mill Bakery", "Dr Rye", 3)


@pytest.mark.parametrize("shown", ["", "[]", "{", '{"name": 1}', "nothing"])
async def test_a_form_that_says_not_what_it_showed_takes_nothing_back(
    console: Browser, database: Database, business: Business, elsewhere: Changes, shown: str
) -> None:
    carried = await _opened(console)
    await elsewhere(postal_address="9 New Street")
    fields = _known(business, name="Mill Bakery") | carried | {"shown": shown}
    assert (await console.post("/staff/settings", data=fields)).status_code == 422
    assert (await _now(database, business)).postal_address == "9 New Street"


async def test_a_pile_of_accents_in_the_settings_holds_nobody_up(
    console: Browser, business: Business
) -> None:
    """It is compared with what was shown before any field is measured."""
    took = []
    for marks in (4_000, 40_000):
        fields = _known(business, name="a" + "\u0301\u0316" * marks) | await _opened(console)
        began = thread_time()
        refused = await console.post("/staff/settings", data=fields)
        took.append(thread_time() - began)
        assert refused.status_code == 422
    assert took[1] < 40 * took[0]


async def test_of_what_somebody_forestalls_nothing_is_kept(
    console: Browser, database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at what there is and the change."""
    host = f"{uuid4().hex}.example"
    fields = _known(business, origin=f"http://{host}") | await _opened(console)

    async def earlier(_: ReadDb) -> Business:
        return msgspec.structs.replace(business, version=0)

    monkeypatch.setattr(businesses, "get", earlier)
    answer = await console.post("/staff/settings", data=fields)
    assert answer.status_code == 422
    assert "Somebody else saved the settings at this moment." in answer.text
    assert await business_of_host(database, host) is None


async def test_an_authority_takes_nothing_back(
    console: Browser, database: Database, business: Business, elsewhere: Changes
) -> None:
    token = await console.token("/staff/settings")

    async def slowly() -> AsyncIterator[bytes]:
        yield urlencode({"csrf": token, "code": AUTHORITIES[0].code}).encode()
        await elsewhere(postal_address="9 New Street")
        yield b"&last=1"

    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await console.post("/staff/settings/authority", content=slowly(), headers=form)
    assert answer.status_code == 303
    now = await _now(database, business)
    assert (now.postal_address, now.authority) == ("9 New Street", AUTHORITIES[0].name)
