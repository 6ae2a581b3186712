"""The authority that customers can complain to: missed aloud, and named by one press."""

from __future__ import annotations

import re

import msgspec
from litestar.types import ASGIApp

from crm import businesses
from crm.businesses import Business
from crm.businesses.authorities import AUTHORITIES, likely
from crm.customers import Customer
from crm.db import Database
from crm.doctor import unnamed_authorities
from tests import make
from tests.browser import Browser

# The member states of the Union, the other states of the EEA, and the United Kingdom.
COUNTRIES = (
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK IS LI NO GB"
)


def test_every_country_has_one() -> None:
    assert {each.country for each in AUTHORITIES} == set(COUNTRIES.split())
    assert len({each.code for each in AUTHORITIES}) == len(AUTHORITIES)
    assert all(each.name and re.fullmatch(r"https://[\w.-]+/", each.url) for each in AUTHORITIES)
    assert likely("IE") == "IE"
    assert likely("") == likely("US") == ""
    # One press would name an authority of another state of the federation.
    assert likely("DE") == ""


async def test_one_press_names_it(
    database: Database, business: Business, site: ASGIApp, customer: Customer
) -> None:
    """Until then staff and the operator are told; then customers who complain are led there."""
    assert any(business.origin in each for each in await unnamed_authorities(database))
    async with Browser(site, business.origin) as console:
        await make.let_in_as_owner(database, business, console)
        missed = [await console.get(path) for path in ("/staff/settings", "/staff/campaigns")]
        wrong = await console.fill("/staff/settings", "/staff/settings/authority", code="US")
        named = await console.fill("/staff/settings", "/staff/settings/authority", code="IE")
        after = [await console.get(path) for path in ("/staff/settings", "/staff/campaigns")]
    async with Browser(site, business.origin) as browser:
        await make.let_in_as_customer(database, business, customer, browser)
        told = await browser.get("/me/requests")

    assert (wrong.status_code, named.status_code) == (422, 303)
    assert all("No authority is named" in each.text for each in missed)
    # A country that is not said begins with no choice: nobody names another's by a press.
    assert '<option value="" selected>Please choose' in missed[0].text
    assert not any("No authority is named" in each.text for each in after)
    assert '<a href="https://www.dataprotection.ie/"><bdi>Data Protection Commission' in told.text
    async with database.read(business.id) as db:
        now = await businesses.get(db)
    changed = {"authority": now.authority, "authority_url": now.authority_url}
    assert msgspec.structs.replace(business, **changed, version=2) == now
    assert not any(business.origin in each for each in await unnamed_authorities(database))
