"""Her first page: what is held and why, what was sent and why, and who looked."""

from __future__ import annotations

import re
from html import unescape

import pytest

from crm import consent, customers, events
from crm.businesses import Business
from crm.consent.terms import Party
from crm.customers import AttributeType, Changes, Customer, LawfulBasis, NewAttribute, NewTag
from crm.db import Database
from crm.events import Actor
from crm.privacy import Inventory
from tests import make
from tests.privacy import site
from tests.privacy.life import Life


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        (
            Inventory(details=1, interactions={}, mails=0, decisions=0),
            "We hold: 1 detail and 0 mails.",
        ),
        (
            Inventory(details=5, interactions={"purchase": 11}, mails=14, decisions=3),
            "We hold: 5 details, 11 purchases and 14 mails.",
        ),
        (
            Inventory(
                details=20, interactions={"purchase": 1, "note": 2, "call": 1}, mails=1, decisions=0
            ),
            "We hold: 20 details, 1 purchase, 2 notes, 1 other entry and 1 mail.",
        ),
        (
            Inventory(details=21, interactions={"call": 1200}, mails=2, decisions=0),
            "We hold: 21 details, 1200 other entries and 2 mails.",
        ),
    ],
)
def test_it_is_counted_in_a_sentence(held: Inventory, sentence: str) -> None:
    """Singular where there is one."""
    assert held.sentence() == sentence


async def test_it_shows_what_is_held(database: Database, business: Business, nora: Life) -> None:
    """Each detail with its purpose, each mail with its reason, each look with its own."""
    async with await site.her_browser(database, business, nora.customer) as browser:
        text = re.sub("</?bdi>", "", (await browser.get("/me")).text)

    assert "We hold: 6 details, 1 purchase, 1 note and 3 mails." in text
    assert "For opening hours." in text
    assert "Birthday cake for Nora Lindqvist" in text
    assert nora.got.subject in text
    assert "You agreed to The Corner Letter on" in text
    assert nora.waits.subject not in text
    assert "Reason: answering your question." in text
    assert "saw you in a list of customers." in text


async def test_a_detail_says_with_what_it_ends(
    database: Database, business: Business, ada: Customer
) -> None:
    """Its day, and the purpose that takes it along sooner."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        new = NewAttribute(
            basis=LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Size",
            type=AttributeType.text,
            purpose="For socks.",
            retention="P2Y",
            purpose_id=purpose.id,
        )
        await customers.declare_attribute(db, make.SYSTEM, "size", new)
        notice = await make.notice(db, purpose.id)
        word = await make.own_word(db, ada.id)
        await consent.give(db, Actor.customer(ada.id), ada.id, notice.question, word)
        await customers.set_attributes(db, make.SYSTEM, ada.id, {"size": "42"})
    async with await site.her_browser(database, business, ada) as browser:
        text = (await browser.get("/me")).text

    assert "and within a day once The Corner Letter is off." in text


async def test_a_tag_says_where_it_comes_from(
    database: Database, business: Business, ada: Customer
) -> None:
    async with database.write(business.id) as db:
        for name in ("bakes", "regular"):
            new = NewTag(label=name.title(), purpose="To tell of courses.", retention="P1Y")
            await customers.declare_tag(db, make.SYSTEM, name, new)
        await customers.fill_tags(db, [(ada.id, "bakes"), (ada.id, "regular")])
        await customers.put_tag(db, Actor.key(ada.id, "Till"), ada.id, "regular")
    async with await site.her_browser(database, business, ada) as browser:
        text = re.sub("</?bdi>", "", (await browser.get("/me")).text)

    came, put = "It came with a list that we took over on", "One of our programs set it on"
    assert re.search(f"Bakes.*To tell of courses. {came}.*Regular.*courses. {put}", text, re.DOTALL)


async def test_it_says_what_for_until_when_and_who_else(
    database: Database, business: Business, ada: Customer
) -> None:
    """Of things that happened by their kind, ours in her own language; and whoever receives it."""
    async with database.write(business.id) as db:
        await customers.note(db, make.SYSTEM, ada.id, "Likes rye")
        post = {"name": "Post Ltd", "country": "DE", "role": "sends the mails"}
        for slug, on in (("letter", True), ("offers", False)):
            party = Party(**post | {"name": f"Post {slug}"})
            purpose = await make.purpose(db, slug=slug, recipients=(party,))
            notice = await make.notice(db, purpose.id)
            if on:
                word = await make.own_word(db, ada.id)
                await consent.give(db, Actor.customer(ada.id), ada.id, notice.question, word)
        await customers.change(db, make.SYSTEM, ada.id, Changes(locale="de"))
    async with await site.her_browser(database, business, ada) as browser:
        text = re.sub("</?bdi>", "", (await browser.get("/me")).text)

    assert "Notiz: Damit" in text
    assert "Note" not in text
    assert "Post letter, Deutschland (sends the mails)" in text
    assert "Post offers" not in text
    assert 'href="/me/sessions"' in text


async def test_a_frozen_record_says_so_on_every_page(
    database: Database, business: Business, ada: Customer
) -> None:
    """That something is on is not all of the truth while nothing is sent."""
    async with await site.her_browser(database, business, ada) as browser:
        before = (await browser.get("/me/consent")).text
        await browser.fill("/me/delete", "/me/restriction", decision="freeze")
        pages = [(await browser.get(path)).text for path in ("/me", "/me/consent", "/me/looks")]

    assert "Your record is frozen since" not in before
    assert [text.count("Your record is frozen since") for text in pages] == [1, 1, 1]


async def test_a_correction_is_asked_for_as_one(
    database: Database, business: Business, nora: Life
) -> None:
    """The link beside a detail fills in what it is about; without one nothing is chosen."""
    async with await site.her_browser(database, business, nora.customer) as browser:
        home = (await browser.get("/me")).text
        link = re.search(r'href="(/me/requests[^"#]*detail=Usual[^"#]*)', home)
        assert link is not None
        asked = (await browser.get(unescape(link[1]))).text
        plain = (await browser.get("/me/requests?about=nonsense&detail=x")).text

    assert '<option value="rectification" selected>' in asked
    assert "“Usual shop” is wrong." in asked
    assert '<option value="" selected>' in plain
    assert "is wrong." not in plain


async def test_little_is_said_in_few_words(
    database: Database, business: Business, ada: Customer
) -> None:
    """Of somebody just added there is no empty list, but a word."""
    async with await site.her_browser(database, business, ada) as browser:
        text = (await browser.get("/me")).text

    assert "We hold: 2 details and 0 mails." in text
    assert "Nobody so far." in text


async def test_every_look_is_shown_by_pages(
    database: Database, business: Business, ada: Customer
) -> None:
    """The newest first; the rest behind a link that leads on."""
    async with database.write(business.id) as db:
        for number in range(51):
            await events.look(db, Actor.key(ada.id, "Till"), [ada.id], f"look {number:02}")
    async with await site.her_browser(database, business, ada) as browser:
        home = (await browser.get("/me")).text
        first = (await browser.get("/me/looks")).text
        older = first.partition('href="/me/looks?')[2].partition('"')[0]
        last = (await browser.get(f"/me/looks?{older}")).text

    assert "See every look" in home
    assert "look 50" in home
    assert "look 45" not in home
    assert "look 01" in first
    assert "look 00" not in first
    assert "look 00" in last


async def test_nobody_signed_in_sees_nothing(database: Database, business: Business) -> None:
    """The page leads to the sign-in."""
    browser = site.Browser(site.application(database), business, {})
    async with browser:
        answer = await browser.get("/me")

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
