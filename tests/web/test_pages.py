"""Every layout and part renders, says what it must, and needs no script or inline style."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from msgspec import structs

from crm.languages import locale_for
from crm.web import assets, formats, pages
from crm.web.csrf import csrf_token
from crm.web.formats import Reading
from crm.web.pages import fragment, redirect
from tests.web.sample import LINES, SECRET, client

PAGES = ["/me/portal", "/staff/console", "/sign-up", "/nothing"]
_VOID = {"meta", "link", "input", "br", "hr", "img"}


class Outline(HTMLParser):
    """Reads a page the way a checker does: balance, ids, headings, attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.named: list[tuple[str, str]] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert len(found) == len(attrs), f"an attribute twice in <{tag}>"
        self.seen.append((tag, found))
        if identity := found.get("id"):
            self.ids.append(identity)
        for name in ("for", "aria-describedby"):
            for target in (found.get(name) or "").split():
                self.named.append((name, target))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_whole(path: str) -> None:
    async with client() as web:
        answer = await web.get(path)
    outline = Outline(answer.text)
    tags = [tag for tag, _ in outline.seen]
    html = outline.seen[0][1]
    assert (html["lang"], html["dir"]) == ("en", "ltr")
    assert (tags.count("h1"), tags.count("main"), tags.count("title")) == (1, 1, 1)
    assert '<a class="skip" href="#main">' in answer.text
    assert "main" in outline.ids
    assert len(outline.ids) == len(set(outline.ids))
    assert {target for _, target in outline.named} <= set(outline.ids)
    assert not any("style" in attrs for _, attrs in outline.seen)
    assert not any(name.startswith("on") for _, attrs in outline.seen for name in attrs)
    assert tags.count("script") == (1 if path.startswith("/staff") else 0)
    for _, attrs in outline.seen:
        for name in ("src", "href"):
            assert not (attrs.get(name) or "").startswith(("http:", "//"))


async def test_assets_are_named_by_content_and_kept_forever() -> None:
    async with client() as web:
        page = await web.get("/staff/console")
        for address in re.findall(r'"(/static/[^"]+)"', page.text):
            answer = await web.get(address)
            assert answer.status_code == 200
            assert answer.headers["cache-control"].endswith("immutable")
            assert answer.headers["content-length"] != "0"
        missing = await web.get("/static/firsthand.0000000000000000.css")
        outside = await web.get("/static/..%2f__init__.py")
    assert missing.status_code == 404
    assert outside.status_code == 404
    assert missing.headers["cache-control"] == "no-store"


def test_vendored_files_are_the_ones_named() -> None:
    folder = Path(assets.__file__).parent / "static"
    noted = re.findall(r"`([\w.]+\.js)`.*`([0-9a-f]{64})`", (folder / "VENDORED.md").read_text())
    assert {path.name for path in folder.glob("*.js")} == {name for name, _ in noted}
    for name, sha256 in noted:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256


def test_the_sheets_use_only_the_tokens() -> None:
    folder = Path(assets.__file__).parent / "static"
    sheet, console = ((folder / name).read_text() for name in ("firsthand.css", "console.css"))
    tokens, rest = sheet.split("/* Part two")
    # Paper is white and ink is black, whatever the theme.
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rest + console)) <= {"#000"}
    used = set(re.findall(r"var\((--[\w-]+)", sheet + console))
    assert used <= set(re.findall(r"(--[\w-]+):", sheet))
    assert "prefers-color-scheme: dark" in tokens


def test_a_packed_sheet_says_the_same() -> None:
    sheet = """/* A: { } */
    a  :is(b, i) { color : red ; }
    i::before { content: ";  {x}" }
    """
    assert assets.packed(sheet) == 'a :is(b, i){color : red;}i::before{content: ";  {x}"}'


async def test_a_sentence_is_said_once() -> None:
    async with client() as web:
        token = csrf_token(SECRET)
        led = await web.post("/me/said", data={"csrf": token})
        assert (led.status_code, led.headers["location"]) == (303, "/me/portal")
        assert "Secure" not in led.headers["set-cookie"]
        first = await web.get("/me/portal")
        second = await web.get("/me/portal")
    assert "Offers &lt;b&gt;for regulars&lt;/b&gt; is off." in first.text
    assert 'role="status"' in first.text
    assert "is off" not in second.text


async def test_by_tls_the_sentence_insists_on_its_host() -> None:
    async with client() as web:
        web.base_url = "https://bakery.example"
        led = await web.post("/me/said", data={"csrf": csrf_token(SECRET)})
        said = (await web.get("/me/portal")).text
    assert led.headers["set-cookie"].startswith("__Host-flash=")
    assert "Secure" in led.headers["set-cookie"]
    assert "is off" in said


@pytest.mark.parametrize("cookie", ["x", "AAAA", "é", "A" * 3000, ""])
async def test_a_forged_sentence_is_not_said(cookie: str) -> None:
    async with client() as web:
        answer = await web.get("/me/portal", headers={b"cookie": f"flash={cookie}".encode()})
    assert answer.status_code == 200
    assert 'role="status"' not in answer.text


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/\\evil", "x"])
def test_a_redirect_stays_here(path: str) -> None:
    with pytest.raises(ValueError, match="stays"):
        redirect(path)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/日?q=é", "/%E6%97%A5?q=%C3%A9"),
        ("/%E6%97%A5?q=a%26b&c=1#d", "/%E6%97%A5?q=a%26b&c=1#d"),
        ("/a b\r\nc", "/a%20b%0D%0Ac"),
        ("/\t/evil.example", "/%09/evil.example"),
        ("/\ud800", "/?"),
    ],
)
def test_a_redirect_is_written_as_a_header_takes_it(path: str, target: str) -> None:
    assert redirect(path).headers["location"] == target


async def test_a_form_comes_back_with_what_was_typed() -> None:
    async with client() as web:
        answer = await web.post(
            "/sign-up",
            data={"email": 'nora."><b>.example', "purpose": "offers", "budget": "0"},
        )
    assert answer.status_code == 422
    assert "<title>Error: Letters from Corner Bakery</title>" in answer.text
    assert 'role="alert"' in answer.text
    assert '<a href="#email">E-mail address</a>. There is an @ missing' in answer.text
    assert 'aria-invalid="true" aria-describedby="email-problem"' in answer.text
    assert "nora.&#34;&gt;&lt;b&gt;.example" in answer.text
    assert 'value="offers" checked' in answer.text
    assert '<option value="0" selected>' in answer.text
    Outline(answer.text)


def test_a_sum_that_does_not_add_up_says_so() -> None:
    template = pages.environment.from_string(
        '{% import "web/pages/parts.html" as parts %}{{ parts.sum("x", lines, "All", total) }}'
    )
    assert "add up" not in template.render(lines=LINES, total=2455)
    lost = [*LINES[:-1], structs.replace(LINES[-1], count=682)]
    assert "The lines add up to 2,454" in template.render(lines=lost, total=2455)


def test_a_missing_value_is_our_bug() -> None:
    with pytest.raises(UndefinedError):
        fragment("portal.html", {})


def test_the_longest_address_is_where_we_are() -> None:
    template = pages.environment.from_string(
        '{% import "web/pages/parts.html" as parts %}{{ parts.links(tabs, path) }}'
    )
    tabs = [pages.Tab("/me", "Home"), pages.Tab("/me/end", "Leave"), pages.Tab("/me/en", "X")]
    found = template.render(tabs=tabs, path="/me/end/now")
    assert re.findall(r'href="([^"]+)" aria-current', found) == ["/me/end"]


@pytest.mark.parametrize(
    ("locale", "zone", "shown"),
    [
        ("en_001", "UTC", "4 June 2026, 22:30:05 UTC"),
        ("en_GB", "Europe/London", "4 June 2026, 23:30:05 BST"),
        ("en_US", "America/New_York", "June 4, 2026, 18:30:05 EDT"),
        ("en_001", "Nowhere/Else", "4 June 2026, 22:30:05 UTC"),
    ],
)
def test_an_instant_is_evidence(locale: str, zone: str, shown: str) -> None:
    at = datetime(2026, 6, 4, 22, 30, 5, tzinfo=UTC)
    template = pages.environment.from_string("{{ at|instant }}")
    token = formats.reading.set(Reading(locale, zone))
    try:
        assert template.render(at=at) == f'<time datetime="2026-06-04T22:30:05Z">{shown}</time>'
        with pytest.raises(ValueError, match="zone"):
            template.render(at=at.replace(tzinfo=None))
    finally:
        formats.reading.reset(token)


def test_days_and_numbers_are_written_out() -> None:
    template = pages.environment.from_string("{{ day|date }} {{ n|count }} {{ s|percent }}")
    day = date(2026, 5, 3)
    assert (
        template.render(day=day, n=1234567, s=0.99999)
        == '<time datetime="2026-05-03">3 May 2026</time> 1,234,567 99%'
    )
    assert formats.percent(1) == "100%"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("nora@example.com", "n***@e***.com"),
        ("n@mail.corner.co.uk", "n***@m***.uk"),
        ("nora@localhost", "n***@l***"),
        ("世界@例え.jp", "世***@例***.jp"),
    ],
)
def test_an_address_is_masked(address: str, shown: str) -> None:
    assert formats.masked(address) == shown


@pytest.mark.parametrize(
    ("language", "wanted", "locale"),
    [
        ("en", "en-GB", "en_GB"),
        ("en", "en", "en_001"),
        ("en", "de-DE", "en_001"),
        ("de", "de-AT", "de_AT"),
        ("de", "en-GB", "de"),
        ("ar", "x", "ar"),
        ("en", "", "en_001"),
    ],
)
def test_a_page_is_in_one_language(language: str, wanted: str, locale: str) -> None:
    assert locale_for(language, wanted) == locale
    assert Reading(locale).language == language
    assert Reading(locale).direction == ("rtl" if language == "ar" else "ltr")
