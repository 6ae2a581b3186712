"""A business chooses how its newsletters look, and cannot choose what nobody can read."""

from __future__ import annotations

import msgspec
import pytest

from crm import businesses, campaigns
from crm.businesses import Business
from crm.businesses.theme import Theme, checked, contrast, ink_on, readings
from crm.db import Database
from crm.errors import Invalid
from tests import make
from tests.campaigns.site import client, drafted, form, member


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_what_comes_with_it_is_read_in_light_and_dark() -> None:
    assert all(each.readable for each in readings(Theme()))


@pytest.mark.parametrize("field", ["link", "link_dark", "band"])
def test_a_weak_colour_is_refused_by_its_field(field: str) -> None:
    weak = {"link": "#ffcc00", "link_dark": "#24466b", "band": "#7d7d7d"}
    with pytest.raises(Invalid) as refused:
        checked(msgspec.structs.replace(Theme(), **{field: weak[field]}))
    assert [problem.field for problem in refused.value.problems] == [field]
    # The way out is a shade near it.
    offered = refused.value.problems[0].message.rpartition(" ")[2].rstrip(".")
    assert all(
        each.readable for each in readings(msgspec.structs.replace(Theme(), **{field: offered}))
    )
    assert contrast(offered, weak[field]) < 6


def test_the_ink_is_the_one_that_is_read() -> None:
    assert (ink_on("#f7e3a3"), ink_on("#24466b")) == ("#23201d", "#ffffff")


async def test_staff_choose_the_look(database: Database, business: Business) -> None:
    """Shown before it is kept; kept, the next mail has it, another business's has not."""
    who = await member(database, business)
    look = {
        "band": "#24466B",
        "band_dark": "#102030",
        "link": "#102030",
        "link_dark": "#a9c8ee",
        "face": "sans",
        "corner": "8",
        "foot": "Open <every> day.",
    }
    async with client(database, business, who=who) as web:
        tried = await web.post("/staff/theme", data=form(**look, then="look"))
        weak = await web.post("/staff/theme", data=form(**{**look, "link": "#ffcc00"}))
        kept = await web.post("/staff/theme", data=form(**look))
        shown = await web.get("/staff/theme")
        sample = await web.get("/staff/theme/mail")
    campaign, _, _ = await drafted(database, business, 0)
    async with database.read(business.id) as db:
        mail = await campaigns.preview(db, campaign.id)

    assert (tried.status_code, weak.status_code, kept.status_code) == (200, 422, 303)
    assert "Its contrast is 1." in weak.text
    assert "#24466b" in shown.text
    for page in (sample.text, mail.html):
        assert "background-color: #24466b" in page
        assert "Open &lt;every&gt; day." in page
    assert "Open <every> day." in mail.text


async def test_another_business_looks_as_before(
    database: Database, business: Business, other_business: Business
) -> None:
    async with database.write(other_business.id) as db:
        await businesses.change_theme(db, make.SYSTEM, Theme(foot="Theirs."))
    campaign, _, _ = await drafted(database, business, 0)
    async with database.read(business.id) as db:
        assert "Theirs." not in (await campaigns.preview(db, campaign.id)).html


async def test_what_is_weak_is_corrected_with_one_press(
    database: Database, business: Business
) -> None:
    """The nearest that can be read stands in the form, and is kept only by another press."""
    look = {**msgspec.to_builtins(Theme()), "corner": "0", "link": "#ffcc00"}
    async with client(database, business, who=await member(database, business)) as web:
        weak = await web.post("/staff/theme", data=form(**look, then="look"))
        better = await web.post("/staff/theme", data=form(**look, then="correct"))
        kept = await web.get("/staff/theme")
    assert 'value="correct"' in weak.text
    assert "too little" in weak.text
    assert "too little" not in better.text
    assert 'value="#ffcc00"' not in better.text
    assert 'value="#24466b"' in kept.text
