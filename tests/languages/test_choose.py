"""Whose language a page is in: the customer's, the browser's, the business's."""

from __future__ import annotations

import re
from html import unescape
from uuid import uuid4

import pytest
from litestar.types import ASGIApp

from crm import customers, languages
from crm.access.model import SameAddress, WrongCode
from crm.businesses import Business
from crm.customers import Changes, Customer
from crm.db import Database
from crm.events import Actor
from crm.languages import ENGLISH, LANGUAGES, gettext, ngettext, speaking
from crm.tokens import Stop, stop_token
from crm.web.pages import environment
from tests import make
from tests.browser import Browser


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("it,fr;q=0.4,ES-mx;q=0.7", "es"),
        ("ar;q=0,en", "en"),
        ("it, nl", ""),
        ("*", ""),
        ("", ""),
        ("de;q=x,fr", "fr"),
        (f"{'x,' * 10_000}de", ""),
    ],
)
def test_the_browser_is_heard(header: str, language: str) -> None:
    assert languages.accepted(header) == language


async def test_a_page_is_in_the_language_of_the_browser(web: Browser) -> None:
    answer = await web.get("/sign-in", headers={"accept-language": "ar-EG, en;q=0.5"})

    assert '<html lang="ar" dir="rtl">' in answer.text
    assert answer.headers["content-language"] == "ar"
    assert answer.headers["vary"] == "Accept-Encoding, Accept-Language, Cookie"


async def test_a_page_comes_packed_to_whoever_reads_that(web: Browser) -> None:
    """And its sheet; the same words for everybody."""
    plain = await web.get("/sign-in", headers={"accept-encoding": "gzip;q=0, identity"})
    packed = await web.get("/sign-in", headers={"accept-encoding": "br, gzip"})
    sheet = re.search(r'href="(/static/firsthand[^"]*)"', plain.text)
    assert sheet is not None
    large = await web.get(sheet[1], headers={"accept-encoding": "identity"})
    small = await web.get(sheet[1], headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in plain.headers | large.headers
    assert packed.headers["content-encoding"] == small.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert small.text == large.text
    assert int(small.headers["content-length"]) * 2 < int(large.headers["content-length"])
    assert small.headers["etag"] != large.headers["etag"]


async def test_what_is_nowhere_is_said_so_in_the_language_of_the_browser(web: Browser) -> None:
    answer = await web.get("/nowhere", headers={"accept-language": "fr"})

    assert answer.status_code == 404
    assert '<html lang="fr" dir="ltr">' in answer.text


async def test_by_tls_the_choice_insists_on_its_host(site: ASGIApp, database: Database) -> None:
    business = await make.business(database, origin=f"https://{uuid4().hex}.example")
    async with Browser(site, business.origin) as web:
        led = await web.post("/language", data={"language": "es", "back": "/leave"})
        page = await web.get("/leave")
        # One that another host of the same site has set is not heard.
        web.cookies.clear()
        web.cookies.set("language", "de")
        other = await web.get("/leave")

    assert led.headers["set-cookie"].startswith("__Host-language=es;")
    assert "Secure" in led.headers["set-cookie"]
    assert '<html lang="es"' in page.text
    assert '<html lang="en"' in other.text


async def test_a_reader_chooses_at_the_foot_of_the_page(web: Browser) -> None:
    led = await web.post("/language", data={"language": "es", "back": "/leave?x=1"})
    page = await web.get("/leave", headers={"accept-language": "de"})

    assert (led.status_code, led.headers["location"]) == (303, "/leave?x=1")
    assert '<html lang="es"' in page.text
    assert '<button class="as-link" name="language" value="de" lang="de">Deutsch</button>' in (
        page.text
    )


async def test_the_way_back_is_in_any_letters(web: Browser) -> None:
    """Our own page of what is nowhere offers the choice too."""
    missing = await web.get("/%E6%97%A5")
    back = re.search(r'name="back" value="([^"]*)"', missing.text)
    assert back
    led = await web.post("/language", data={"language": "de", "back": back[1]})

    assert (led.status_code, led.headers["location"]) == (303, "/%E6%97%A5")


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/\\evil", "", "/\r\n"])
async def test_the_way_back_stays_here(web: Browser, back: str) -> None:
    led = await web.post("/language", data={"language": "de", "back": back})

    assert led.headers["location"] == "/"


async def test_another_site_chooses_nothing(web: Browser) -> None:
    answer = await web.post(
        "/language", data={"language": "de"}, headers={"sec-fetch-site": "cross-site"}
    )
    unknown = await web.post("/language", data={"language": "tlh"})

    assert (answer.status_code, unknown.status_code) == (403, 422)
    assert not web.cookies


async def test_a_customer_has_the_last_word(
    portal: Browser, database: Database, business: Business, customer: Customer
) -> None:
    async with database.write(business.id) as db:
        await customers.change(
            db, Actor.customer(customer.id), customer.id, Changes(locale="de-AT")
        )
    page = await portal.get("/me", headers={"accept-language": "fr"})

    assert '<html lang="de"' in page.text
    assert 'href="/me/details"' in page.text
    assert 'action="/language"' not in page.text


async def test_a_link_speaks_the_language_of_whom_it_is_about(
    web: Browser, database: Database, business: Business, customer: Customer
) -> None:
    """Hers before the browser's; only what was chosen in this very browser comes before it."""
    keys = database.keys
    async with database.write(business.id) as db:
        by = Actor.customer(customer.id)
        await customers.change(db, by, customer.id, Changes(locale="de"))
        purpose = await make.purpose(db)
    fingerprint = keys.address_hash(business.id, customers.fold(customer.address))
    stop = stop_token(keys, Stop(business.id, fingerprint, purpose.code))
    stranger = keys.address_hash(business.id, "nobody@example.com")
    unknown = stop_token(keys, Stop(business.id, stranger, purpose.code))
    french = {"accept-language": "fr"}
    for path in (f"/u/{stop}", f"/p/{stop}"):
        assert '<html lang="de"' in (await web.get(path, headers=french)).text
    assert '<html lang="fr"' in (await web.get(f"/u/{unknown}", headers=french)).text
    pressed = await web.post(f"/u/{stop}", data={"stop": "these"}, headers=french)
    assert '<html lang="de"' in pressed.text
    # What answers a press is nowhere: the way to another language would lead to nothing.
    assert 'action="/language"' not in pressed.text

    await web.post("/language", data={"language": "es", "back": "/"})
    assert '<html lang="es"' in (await web.get(f"/u/{stop}", headers=french)).text


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != ENGLISH])
async def test_a_refused_field_is_told_in_the_language_of_its_page(
    web: Browser, portal: Browser, customer: Customer, language: str
) -> None:
    """Wrong codes, and the address that is hers already."""
    her, wrong = customer.address, "AAAA-AAAA"
    for browser in (web, portal):
        browser.headers["accept-language"] = language
    pages = {
        "sign-in": (WrongCode, await web.fill("/sign-in/code", address=her, code=wrong)),
        "confirm": (WrongCode, await web.fill("/confirm", address=her, code=wrong)),
        "same": (SameAddress, await portal.fill("/me/address", address=her)),
    }
    await portal.fill("/me/address", address="another@example.com")
    typed = await portal.fill("/me/address", "/me/address/code", code=wrong)
    for name, (refusal, page) in {**pages, "address": (WrongCode, typed)}.items():
        with speaking(language):
            said = refusal().message
        english = refusal().message
        assert page.status_code == 422, name
        assert said in unescape(page.text), name
        assert english not in unescape(page.text), name


async def test_the_business_comes_last(site: ASGIApp, database: Database) -> None:
    business = await make.business(database, locale="de-DE")
    async with Browser(site, business.origin) as web:
        silent = await web.get("/sign-in")
        asked = await web.get("/sign-in", headers={"accept-language": "fr"})

    assert '<html lang="de"' in silent.text
    assert '<html lang="fr"' in asked.text


async def test_programs_and_staff_are_answered_in_english(api: Browser, console: Browser) -> None:
    refused = await api.get("/v1/customers/x", headers={"accept-language": "de"})
    page = await console.get("/staff/customers", headers={"accept-language": "de"})

    assert "content-language" not in refused.headers
    assert '<html lang="en" dir="ltr">' in page.text
    assert 'action="/language"' not in page.text


def test_a_language_ends_with_its_block() -> None:
    with speaking("de"):
        languages.speak("fr")
        assert languages.language() == "fr"
    assert languages.language() == languages.ENGLISH


def test_a_template_counts_in_the_language_that_is_spoken() -> None:
    template = environment.from_string(
        '{{ ngettext("%(num)s mail to %(who)s", "%(num)s mails to %(who)s", n, who="<b>") }}'
    )
    with speaking("de"):
        assert template.render(n=1) == "1 mail to &lt;b&gt;"
        assert template.render(n=2) == "2 mails to &lt;b&gt;"


def test_a_value_keeps_the_direction_of_its_sentence() -> None:
    """In Arabic, in text but not inside a tag; elsewhere nothing is put in."""
    template = environment.from_string(
        '{% trans token %}Or <a href="/p/{{ token }}">choose what we may write to you</a>.'
        "{% endtrans %}"
    )
    with speaking("ar"):
        assert "\u2068Letters\u2069" in gettext("%(purpose)s is on.", purpose="Letters")
        assert ngettext("%(number)s day", "%(number)s days", 3) == "\u20683\u2069 أيام"
        assert 'href="/p/abc"' in template.render(token="abc")
    with speaking("de"):
        assert gettext("%(purpose)s is on.", purpose="Briefe") == "Briefe ist an."


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "“<bdi>Yes &amp; no</bdi>”"),
        ("de", "„<bdi>Yes &amp; no</bdi>“"),
        ("fr", "«\u00a0<bdi>Yes &amp; no</bdi>\u00a0»"),
        ("es", "«<bdi>Yes &amp; no</bdi>»"),
        # The mark turns them to its direction, whatever that of the words between them.
        ("ar", "\u200f«<bdi>Yes &amp; no</bdi>»"),
    ],
)
def test_the_words_of_a_button_stand_in_the_marks_of_the_language(language: str, said: str) -> None:
    template = environment.from_string(
        '{% import "web/pages/parts.html" as parts %}{{ parts.quoted("Yes & no") }}'
    )
    with speaking(language):
        assert template.render().translate(dict.fromkeys((0x2068, 0x2069))).strip() == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "لا أيام"), (1, "يوم واحد"), (2, "يومان"), (7, "أيام"), (11, "يومًا"), (100, "يوم")],
)
def test_arabic_has_six_forms(number: int, said: str) -> None:
    with speaking("ar"):
        assert ngettext("%(number)s day", "%(number)s days", number).endswith(said)
