"""One look for pages and newsletters: whatever is chosen can be read, and browsers keep it."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.types import ASGIApp

from crm import businesses
from crm.businesses import Business, Theme, logo
from crm.businesses.theme import (
    GROUNDS,
    GROUNDS_DARK,
    READABLE,
    checked,
    contrast,
    corrected,
    readings,
    sheet,
)
from crm.db import Database
from crm.web import assets
from tests import make
from tests.browser import Browser
from tests.campaigns.test_images import PNG

COLOURS = st.integers(0, 2**24 - 1).map("#{:06x}".format)
BAKERY = Theme(band="#f7e3a3", band_dark="#332c14", link="#24466b", link_dark="#a9c8ee")


@settings(deadline=None, max_examples=50)  # a busy machine is no fault
@given(COLOURS, COLOURS, COLOURS, COLOURS)
def test_any_four_colours_can_be_corrected(one: str, two: str, three: str, four: str) -> None:
    """What could be read already stays; the sheet of what comes out can be read everywhere."""
    chosen = Theme(band=one, band_dark=two, link=three, link_dark=four)
    better = checked(corrected(chosen))
    for each in readings(chosen):
        if each.readable:
            assert getattr(better, each.field) == getattr(chosen, each.field)
    said = re.findall(r"--([a-z-]+):(#[0-9a-f]{6})", sheet(_colours(better)))
    assert len(said) == 8
    for (name, ground), (_, ink) in pairwise(said):
        if name in {"brand", "brand-ground"}:
            assert contrast(ground, ink) >= READABLE


def _colours(theme: Theme) -> str:
    return f"{theme.band} {theme.band_dark} {theme.link} {theme.link_dark}"


def test_the_grounds_are_those_of_the_sheet() -> None:
    """A ground that is added there is measured here."""
    tokens = (Path(assets.__file__).parent / "static/firsthand.css").read_text()
    names = "surface|page|sunk|yes-ground|wait-ground|stop-ground"
    found = re.findall(rf"--(?:{names}): (#[0-9a-f]{{6}})", tokens)
    assert sorted(found) == sorted(GROUNDS + GROUNDS_DARK)
    grounds = set(re.findall(r"--([\w-]+)", " ".join(re.findall(r"background: ([^;]+);", tokens))))
    assert grounds <= {*names.split("|"), "brand-ground", "brand", "yes", "edge", "dot", "ground"}


async def test_pages_bring_the_look_of_their_business(
    site: ASGIApp, database: Database, business: Business, other_business: Business
) -> None:
    """From ourselves, under a name that is of the content, with no style in the page itself."""
    async with database.write(business.id) as db:
        await businesses.change_theme(db, make.SYSTEM, BAKERY)
        await logo.keep(db, make.SYSTEM, "logo.png", PNG)
    async with Browser(site, business.origin) as web:
        page = await web.get("/sign-in")
        (address,) = re.findall(r'href="(/look/[0-9a-f]{16}\.css)"', page.text)
        (picture,) = re.findall(r'src="(/look/[0-9a-f]{16}\.png)" alt="Corner Bakery"', page.text)
        found, shown = await web.get(address), await web.get(picture)
        csp = page.headers["content-security-policy"]
    async with Browser(site, other_business.origin) as web:
        theirs = await web.get("/sign-in")
        strange = [(await web.get(each)).status_code for each in (address, picture)]

    assert "--brand:#24466b;--on-brand:#ffffff;--brand-ground:#f7e3a3" in found.text
    assert shown.content == PNG
    for each in (found, shown):
        assert each.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "style=" not in page.text
    assert "unsafe" not in csp
    assert "/look/" not in theirs.text
    assert strange == [404, 404]


async def test_another_look_is_another_name(
    site: ASGIApp, database: Database, business: Business
) -> None:
    names: list[str] = []
    answers: list[int] = []
    for band in ("#f7e3a3", "#e3f7a3"):
        async with database.write(business.id) as db:
            await businesses.change_theme(db, make.SYSTEM, Theme(band=band))
        async with Browser(site, business.origin) as web:
            page = await web.get("/sign-in")
            names += re.findall(r'href="(/look/[^"]+)"', page.text)
            answers = [(await web.get(each)).status_code for each in names]
    assert answers == [404, 200]


@pytest.mark.parametrize("name", ["x", "0123456789abcdef.css", "0123456789abcdef.png"])
async def test_nothing_else_is_there(web: Browser, name: str) -> None:
    assert (await web.get(f"/look/{name}")).status_code == 404
