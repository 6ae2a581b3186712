"""The settings of a business, as an owner changes them."""

from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest

from crm import businesses
from crm.above import business_of_host
from crm.businesses import Business, NewBusiness
from crm.db import Database
from tests import make
from tests.staff import site

_FIELDS = NewBusiness.__struct_fields__


def _known(business: Business, **changes: str) -> dict[str, str]:
    return {name: str(getattr(business, name)) for name in _FIELDS} | changes


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
    answer = await owner.fill("/staff/settings", **fields)
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
    answer = await owner.fill("/staff/settings", **_known(business, **wrong))
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
        assert (await owner.fill("/staff/settings", **fields)).status_code == 303
        assert "No campaign starts yet." not in (await owner.get("/staff/settings")).text


async def test_links_of_old_mails_still_find_the_business(
    clocked: Database, business: Business, owner: site.Browser
) -> None:
    host = f"{uuid4().hex}.example"
    fields = _known(business, origin=f"http://{host}:8080/")
    assert (await owner.fill("/staff/settings", **fields)).status_code == 303
    assert (await _now(clocked, business)).origin == f"http://{host}:8080"
    assert await business_of_host(clocked, f"{host}:8080") == business.id
    assert await business_of_host(clocked, business.host) == business.id


async def test_the_host_of_another_business_is_refused_and_nothing_is_kept(
    clocked: Database, business: Business, other_business: Business, owner: site.Browser
) -> None:
    fields = _known(business, name="Somebody Else", origin=other_business.origin)
    answer = await owner.fill("/staff/settings", **fields)
    assert answer.status_code == 422
    assert "Another business already answers" in answer.text
    assert await _now(clocked, business) == business
    assert await business_of_host(clocked, other_business.host) == other_business.id
