"""Where she is signed in: she sees every browser, and signs out whichever she likes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from litestar.types import ASGIApp

from crm import access, customers
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database
from tests import make
from tests.browser import Browser

PAGE = "/me/sessions"


@pytest.fixture
async def browsers(
    site: ASGIApp, database: Database, business: Business, customer: Customer
) -> AsyncIterator[list[Browser]]:
    """Three browsers of hers, signed in one after the other."""
    made = [Browser(site, business.origin) for _ in range(3)]
    for each in made:
        await make.let_in_as_customer(database, business, customer, each)
    yield made
    for each in made:
        await each.aclose()


async def _signed_in(browsers: list[Browser]) -> list[bool]:
    return [(await each.get(PAGE)).status_code == 200 for each in browsers]


async def test_every_browser_is_shown_and_which_is_this(browsers: list[Browser]) -> None:
    page = (await browsers[1].get(PAGE)).text

    assert page.count("This browser") == 1
    assert page.count("Another browser") == 2
    assert page.count("/end") == 3


async def test_one_is_signed_out(browsers: list[Browser]) -> None:
    """That one and no other; pressing again says that it is."""
    page = (await browsers[2].get(PAGE)).text
    # The newest first: this one, then the second, then the first.
    ends = [part.partition('"')[0] for part in page.split('action="')[1:] if "/end" in part]
    oldest = ends[1]
    assert (await browsers[2].fill(PAGE, oldest)).status_code == 303
    assert await _signed_in(browsers) == [False, True, True]
    again = await browsers[2].fill(PAGE, oldest)
    assert again.status_code == 404
    assert "signed out already" in again.text
    assert await _signed_in(browsers) == [False, True, True]


async def test_all_others_are_signed_out_with_the_link_on_its_way(
    browsers: list[Browser], database: Database, business: Business, customer: Customer
) -> None:
    async with database.write(business.id) as db:
        await access.send_link(db, customers.parse(customer.address), "mark")
    assert (await browsers[0].fill(PAGE, f"{PAGE}/end")).status_code == 303
    assert await _signed_in(browsers) == [True, False, False]
    async with database.read(business.id) as db:
        assert (await access.export(db, customer.id)).links == []


async def test_another_customers_stay(
    browsers: list[Browser], site: ASGIApp, database: Database, business: Business
) -> None:
    """Whoever knows the name of another's session ends nothing with it."""
    async with database.write(business.id) as db:
        ada = await make.customer(db, address="ada@example.com")
    async with Browser(site, business.origin) as hers:
        await make.let_in_as_customer(database, business, ada, hers)
        async with database.read(business.id) as db:
            sessions = (await access.export(db, ada.id)).sessions
        answer = await browsers[0].fill(PAGE, f"{PAGE}/{sessions[0].proof_id}/end")
        await browsers[0].fill(PAGE, f"{PAGE}/end")

        assert answer.status_code == 404
        assert (await hers.get(PAGE)).status_code == 200


async def test_without_the_token_of_the_form_nothing_ends(browsers: list[Browser]) -> None:
    assert (await browsers[0].post(f"{PAGE}/end")).status_code == 403
    assert await _signed_in(browsers) == [True, True, True]
