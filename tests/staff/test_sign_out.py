"""Signing out ends the session where sessions are kept, not only in the browser."""

from __future__ import annotations

from litestar import Litestar

from crm.businesses import Business
from crm.db import Database
from tests.staff import site


async def test_it_works(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    token = owner.cookies["sid"]
    answer = await owner.fill("/staff/account", "/staff/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/staff/sign-in")
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert "sid" not in owner.cookies
    assert "You are signed out." in (await owner.get("/staff/sign-in")).text
    async with site.Browser(app, business) as kept:
        kept.cookies.set("sid", token)
        assert (await kept.get("/staff/account")).status_code == 303
    assert (await site.kinds(clocked, business.id))[-1] == ("member.signed_out", "")


async def test_another_site_cannot_sign_anybody_out(owner: site.Browser) -> None:
    assert (await owner.post("/staff/sign-out")).status_code == 403
    assert (await owner.get("/staff/account")).status_code == 200


async def test_everywhere_else(app: Litestar, business: Business, owner: site.Browser) -> None:
    async with site.Browser(app, business) as telephone:
        await telephone.enter("owner@bakery.example")
        assert (await telephone.get("/staff/account")).status_code == 200
        answer = await owner.fill("/staff/account", "/staff/account/sessions")
        assert answer.status_code == 303
        assert (await telephone.get("/staff/account")).status_code == 303
        assert (await owner.get("/staff/account")).status_code == 200
