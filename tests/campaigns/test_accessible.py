"""The mail as a screen reader, a small screen and a dark one get it: standards line by line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from crm.businesses.image import Image
from crm.businesses.theme import FACES, READABLE, Theme, checked, contrast
from crm.campaigns.render import Draft, compile_message
from crm.campaigns.source import read_newsletter
from tests.campaigns.mails import LETTERHEAD
from tests.campaigns.test_render import OWN, SHARED, SLOTS, VALUES

FILES = sorted((*OWN.glob("*.*"), *SHARED.glob("*.*")))
EVERYTHING = (
    "## Not first\n\n#### Deep\n\nDear {{ name }}, a [link](https://a.example/) and `code`.\n\n"
    "> quoted [there](https://b.example/)\n\n| a | b |\n|---|---|\n| 1 | [c](https://c.example/) |"
    "\n\n<pre>x <a href='https://d.example/'>in code</a></pre>\n\n![A loaf](rye.png)\n\n"
    "<table><tr><td>laid out</td></tr></table>\n\n- one\n  1. two\n\n---\n"
)
THEMES = [
    *(Theme(face=face, corner=corner) for face in FACES for corner in (0, 8, 16)),
    # The weakest that is allowed, by a hair.
    Theme(band="#767676", band_dark="#757575", link="#6a6a6a", link_dark="#909090"),
    Theme(band="#000000", band_dark="#ffffff", link="#000000", link_dark="#ffffff", foot="Open."),
]


class Element(msgspec.Struct):
    """An element with what it looks like in light and in dark."""

    tag: str
    attributes: dict[str, str]
    light: dict[str, str]
    dark: dict[str, str]
    words: str = ""

    @property
    def size(self) -> float:
        return float(self.light["font-size"].removesuffix("px"))


class Page(HTMLParser):
    """Reads a page as the cascade does for the few properties that matter here."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        dark = re.search(r"prefers-color-scheme: dark\) \{(.*?)\n\}", page, re.DOTALL)
        assert dark is not None
        self.rules = [
            (selector.strip().split(), declared(style.replace("!important", "")))
            for selectors, style in re.findall(r"([^{}]+)\{([^}]*)\}", dark[1])
            for selector in selectors.split(",")
        ]
        self.open: list[Element] = []
        self.all: list[Element] = []
        self.texts: list[tuple[Element, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        above = self.open[-1] if self.open else None
        own = declared(attributes.get("style", ""))
        start = {"color": "#000000", "background-color": "#ffffff", "font-size": "16px"}
        light = (above.light if above else start) | own
        element = Element(tag, attributes, light, (above.dark if above else start) | own)
        self.open.append(element)
        for selector, style in self.rules:
            if self.matches(selector):
                element.dark |= style
        self.all.append(element)
        if tag in {"img", "br", "hr", "meta"}:
            self.open.pop()

    def matches(self, selector: list[str]) -> bool:
        *above, last = selector
        if not one(last, self.open[-1]):
            return False
        return all(any(one(each, element) for element in self.open[:-1]) for each in above)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open and self.open[-1].tag not in {"style", "title"}:
            self.texts.append((self.open[-1], data))
        for element in self.open:
            element.words += data

    def named(self, *tags: str) -> Iterator[Element]:
        return (element for element in self.all if element.tag in tags)


def one(selector: str, element: Element) -> bool:
    if selector.startswith("."):
        return selector[1:] in element.attributes.get("class", "").split()
    return selector == element.tag


def declared(style: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in style.split(";"):
        name, _, value = (part.strip() for part in each.partition(":"))
        size = re.search(r"(\d+(?:\.\d+)?px)(?:/([\d.]+))?", value)
        if name in {"color", "background-color", "display", "text-decoration", "line-height"}:
            found[name] = value
        elif name in {"font", "font-size"} and size:
            found["font-size"] = size[1]
            found |= {"line-height": size[2]} if size[2] else {}
    return found


def mail(source: str = EVERYTHING, theme: Theme | None = None, **changes: Any) -> tuple[str, str]:
    """Text and page of the final bytes to one reader."""
    given: dict[str, Any] = {
        "subject": "Rye & <more>",
        "preheader": "Warm from the oven",
        "kind": "markdown",
        "purpose": "The Letter",
        "list_id": "letter.bakery.example",
        "locale": "de",
        "images": (Image("rye.png", "image/png", b"\x89PNG"),),
    }
    head = msgspec.structs.replace(LETTERHEAD, theme=theme or Theme())
    message = compile_message(Draft(source=source, **given | changes), head)
    parsed = message_from_bytes(message.bytes_for(VALUES, SLOTS), policy=policy.default)
    found = {part.get_content_type(): part for part in parsed.walk()}
    return found["text/plain"].get_content(), found["text/html"].get_content()


def insist_on_head(page: Page, raw: str, subject: str, language: str, direction: str) -> None:
    """Language, direction, title, viewport and colour schemes, where clients look for them."""
    assert raw.startswith("<!DOCTYPE html>")
    (html,) = page.named("html")
    assert (html.attributes["lang"], html.attributes["dir"]) == (language, direction)
    (title,) = page.named("title")
    assert title.words == subject
    metas = {each.attributes.get("name", ""): each.attributes for each in page.named("meta")}
    assert metas[""]["charset"] == "utf-8"
    assert metas["viewport"]["content"].startswith("width=device-width")
    assert metas["color-scheme"]["content"] == "light dark"
    assert metas["supported-color-schemes"]["content"] == "light dark"
    (article,) = (each for each in page.all if each.attributes.get("role") == "article")
    assert article.attributes == {
        "role": "article",
        "aria-roledescription": "email",
        "aria-label": subject,
        "lang": language,
        "dir": direction,
    }
    assert not list(page.named("script", "form", "link", "iframe", "object", "input"))
    assert not re.search(r"@import|@font-face|url\(", raw.partition("<body")[0])


def insist_on_structure(page: Page) -> None:
    """Tables say whether they are data, headings are in order, pictures and links have words."""
    for table in page.named("table"):
        assert {table.attributes[name] for name in ("border", "cellpadding", "cellspacing")} == {
            "0"
        }
    assert all(each.attributes["scope"] in {"col", "row"} for each in page.named("th"))
    plain = [t for t in page.named("table") if t.attributes.get("role") != "presentation"]
    assert all("data" in table.attributes["class"].split() for table in plain)
    assert bool(plain) == any(page.named("th"))
    levels = [int(each.tag[1]) for each in page.named("h1", "h2", "h3", "h4", "h5", "h6")]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all("alt" in each.attributes for each in page.named("img"))
    for link in page.named("a"):
        assert link.attributes["href"]
        assert link.light.get("text-decoration", "underline") == "underline"


def insist_on_reading(page: Page) -> None:
    """4.5 to 1 in light and dark, 14 px and more, and links of the foot high enough to press."""
    for element, words in page.texts:
        for look in (element.light, element.dark):
            if look.get("display") != "none":
                ratio = contrast(look["color"], look["background-color"])
                assert ratio >= READABLE, (element.tag, words, look)
        assert element.size >= 14, (element.tag, words)
    for link in page.named("a"):
        assert link.size * float(link.light["line-height"]) >= 20
    foot = page.all.index(next(e for e in page.all if e.attributes.get("class") == "foot"))
    for link in (each for each in page.all[foot:] if each.tag == "a"):
        assert link.size * float(link.light["line-height"]) >= 24


@pytest.mark.parametrize(
    "theme", THEMES, ids=lambda theme: f"{theme.face}{theme.corner}{theme.band}"
)
def test_every_look_can_be_read(theme: Theme) -> None:
    """Whatever staff may choose; `checked` refuses the rest."""
    _, raw = mail(theme=checked(theme))
    page = Page(raw)
    insist_on_head(page, raw, "Rye & <more>", "de", "ltr")
    insist_on_structure(page)
    insist_on_reading(page)


def test_the_preview_line_is_read_once() -> None:
    """Hidden in the page, where mailboxes take it from; nobody reads it twice, or as text."""
    text, raw = mail()
    (line,) = (element for element, words in Page(raw).texts if "Warm" in words)
    assert line.light["display"] == "none"
    assert raw.count("Warm from the oven") == 1
    assert "Warm from the oven" not in text


def test_from_right_to_left() -> None:
    _, raw = mail(locale="ar-EG")
    insist_on_head(Page(raw), raw, "Rye & <more>", "ar-EG", "rtl")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_newsletters_are_as_accessible(path: Any) -> None:
    taken = read_newsletter(path.read_bytes(), path.name)
    _, raw = mail(taken.source, kind=taken.kind, subject="S", locale=taken.language or "en")
    insist_on_structure(Page(raw))
    insist_on_reading(Page(raw))
