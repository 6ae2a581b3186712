"""The front of a business's host: it leads everybody on to something that is there."""

from __future__ import annotations

from litestar.types import ASGIApp

from crm.businesses import Business
from crm.db import Database
from tests import make
from tests.browser import Browser


async def test_it_leads_to_what_is_offered_or_to_her_page(
    site: ASGIApp, database: Database, business: Business
) -> None:
    async with Browser(site, business.origin) as visitor:
        empty = await visitor.get("/")
        async with database.write(business.id) as db:
            purpose = await make.purpose(db, slug="letter")
            await make.notice(db, purpose.id)
        offered = await visitor.get("/")
        visitor.cookies.set("me", "somebody's")
        hers = await visitor.get("/")
        page = await visitor.get("/sign-up")

    led = [each.headers["location"] for each in (empty, offered, hers)]
    assert led == ["/sign-in", "/sign-up", "/me"]
    assert 'href="/sign-in"' in page.text
    assert 'href="/leave"' in page.text
