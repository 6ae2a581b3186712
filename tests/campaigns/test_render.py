"""A draft becomes a message that is safe, readable in both parts, and the same for everybody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crm.campaigns.render import Compiled, Draft, Letterhead, compile_message
from crm.campaigns.source import Kind, read_newsletter
from crm.campaigns.web_address import is_web_address
from crm.errors import Invalid
from crm.mail import mime

OWN = Path(__file__).parents[1] / "fixtures" / "newsletters"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "newsletters"

BAKERY = Letterhead(
    name="Corner & Bakery",
    legal_name="Corner Bakery Ltd",
    postal_address="4 Mill Lane\nExampleton EX1 2AB",
    sender_name="Corner Bakery",
    sender_address="letter@corner.example",
    locale="en",
    contact_address="privacy@corner.example",
    privacy_url="https://corner.example/privacy",
)
SLOTS = mime.Slots(
    to="nora@example.net",
    message_id="<0190f.7c2e@corner.example>",
    date="Mon, 23 Nov 2026 01:54:40 +0000",
    unsubscribe="https://corner.example/u/" + "t" * 64,
    preferences="https://corner.example/p/tok",
    why="https://corner.example/w/tok",
)
# With these, and an image's alt text, a reader sees all there is.
VALUES = {"name": "Nora Ünal", "first_name": "Nora", "address": "nora@example.net"}


def compiled(source: str, kind: Kind = "markdown", **changed: Any) -> Compiled:
    draft: dict[str, Any] = {
        "subject": "Rye on Saturdays",
        "purpose": "The Corner Letter",
        "list_id": "letter.lists.corner.example",
    }
    return compile_message(Draft(source=source, kind=kind, **{**draft, **changed}), BAKERY)


def read(raw: bytes) -> tuple[EmailMessage, str, str]:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    parts = [part.get_payload(decode=True) for part in message.iter_parts()]
    text, page = (part.decode().replace("\r\n", "\n") for part in parts if isinstance(part, bytes))
    return message, text, page


def body_of(page: str) -> str:
    """Cut the author's part out of the layout."""
    return page.split('<td class="body', 1)[1].split('<td class="foot"', 1)[0]


def test_it_works() -> None:
    message = compiled(
        "Hello {{ first_name }},\n\n**rye** for [you](https://corner.example/order?a=1&b=2).",
        subject="Rye for {{ first_name }}",
        preheader="Only for {{ name | default('you') }}",
    )
    headers, text, page = read(message.bytes_for({"first_name": "<Zoë>"}, SLOTS))
    assert headers["Subject"] == "Rye for <Zoë>"
    assert "Hello <Zoë>,\n\n*rye* for you [1]." in text
    assert "[1] https://corner.example/order?a=1&b=2\n" in text
    assert "Hello &lt;Zoë&gt;," in page
    assert 'href="https://corner.example/order?a=1&amp;b=2"' in page
    assert page.count("Only for you") == 1
    assert "<h1" in page
    assert message.links == ("https://corner.example/order?a=1&b=2",)


def test_the_footer_is_in_both_parts() -> None:
    _, text, page = read(compiled("x").bytes_for({}, SLOTS))
    for part in (text, page):
        for said in (
            *("Corner Bakery Ltd, 4 Mill Lane, Exampleton EX1 2AB", "you asked for"),
            *("The Corner Letter", SLOTS.unsubscribe, SLOTS.preferences, SLOTS.why),
            "https://corner.example/privacy",
        ):
            assert said in part


def test_the_page_is_accessible_and_loads_nothing() -> None:
    page = (
        compiled("# One\n\n### Three\n\n# Two\n\n|a|b|\n|-|-|\n|c|d|", locale="de").preview({}).html
    )
    assert page.startswith('<!DOCTYPE html><html lang="de" dir="ltr"')
    for said in (
        *("<title>Rye on Saturdays</title>", '<meta name="color-scheme" content="light dark">'),
        '<div role="article" aria-roledescription="email" aria-label="Rye on Saturdays" lang="de"',
        "prefers-color-scheme: dark",
    ):
        assert said in page
    assert re.findall(r"<(h\d)", page) == ["h1", "h2", "h2"]
    assert page.count('<th scope="col" align="left"') == 2
    tables = re.findall(r"<table[^>]*>", page)
    assert [("presentation" in table) for table in tables] == [True, True, False]
    assert not re.search(r"<(img|link|script|iframe)|url\(|@import|src=", page)


@pytest.mark.parametrize(("locale", "direction"), [("ar", "rtl"), ("he-IL", "rtl"), ("de", "ltr")])
def test_direction_follows_the_language(locale: str, direction: str) -> None:
    page = compiled("x", locale=locale).preview({}).html
    assert f'<html lang="{locale}" dir="{direction}"' in page
    assert f'lang="{locale}" dir="{direction}"' in page.split("<body", 1)[1]


def test_missing_values_are_known_before_sending() -> None:
    message = compiled(
        '{{ name }} {{ first_name | default("you") }} {{ attribute.city }} {{ business }}',
        subject="{{ address }}",
    )
    assert message.missing({}) == ["address", "name", "attribute.city"]
    assert message.missing({"name": " ", "address": "a@b.example", "attribute.city": "Oslo"}) == [
        "name"
    ]
    values = {"name": "N", "address": "a@b.example", "attribute.city": "Oslo"}
    assert "N you Oslo Corner & Bakery" in message.preview(values).text


def test_every_problem_is_told_at_once_with_its_line() -> None:
    source = (
        "{{ nmae }}\n\n[a](https://x.example/{{ name }})\n\n![b](https://{{ address }}/a.png)\n\n"
        "<a href='https://{{ first_name }}.example/'>c</a> {{ open"
    )
    with pytest.raises(Invalid) as refused:
        compiled(source, subject="{{ x }}")
    told = [(p.field, p.message.split(":")[0]) for p in refused.value.problems]
    assert told[0][0] == "subject"
    assert told[0][1].startswith("{{ x }} This is not a merge field.")
    assert told[1:] == [("source", f"Line {line}") for line in (1, 3, 5, 7, 7)]


@pytest.mark.parametrize("attribute", ["href", "src", "srcset", "style"])
def test_no_field_reaches_an_address(attribute: str) -> None:
    with pytest.raises(Invalid, match="cannot be sent"):
        compiled(f'<p>x<img {attribute}="https://a.example/{{{{ name }}}}"></p>', kind="html")


def test_a_business_without_postal_address_cannot_send() -> None:
    draft = Draft(subject=" ", source="", kind="html", purpose="p", list_id="a.b")
    bare = Letterhead(
        name="n", legal_name="", postal_address=" ", sender_name="n",
        sender_address="a@b.example", locale="en",
    )  # fmt: skip
    with pytest.raises(Invalid) as refused:
        compile_message(draft, bare)
    assert {p.field for p in refused.value.problems} == {
        *("subject", "source", "legal_name", "postal_address")
    }


def test_a_letterhead_that_would_break_a_header_is_refused() -> None:
    draft = Draft(subject="s", source="x", kind="html", purpose="p\r\nX: y", list_id="a.b")
    with pytest.raises(Invalid, match="List-Id"):
        compile_message(draft, BAKERY)


def test_nothing_runs_and_nothing_hides() -> None:
    source = (
        '<script>alert(1)</script><form action="https://x.example"><input><button>Go</button></form>'
        '<p onclick="x()" style="color:red" class="c">seen</p><p style="display: none">hid</p>'
        '<img src="https://t.example/p.gif" width="1" height="1"><iframe src="https://x.example">'
        '</iframe><img src="https://t.example/s.gif" style="width:0px"><svg><a>v</a></svg>'
        '<img src="http://t.example/a.png" alt="Old"><img src="data:image/gif;base64,AA" alt="">'
        '<a href="javascript:alert(1)">js</a><a href="/rel">rel</a><a href="#in">in</a>'
        '<img src="https://corner.example/b.png">'
    )
    message = compiled(source, kind="html")
    page = body_of(message.preview({}).html)
    for gone in ("script", "form", "button", "onclick", "color:red", "hid", "t.example", "iframe",
                 "svg", "javascript", "/rel", "data:", "#in"):  # fmt: skip
        assert gone not in page, gone
    assert "seen" in page
    assert "Old" in page
    assert message.images == ("https://corner.example/b.png",)
    told = "\n".join(message.warnings)
    for said in ("script (1)", "form (1)", "Hidden text taken out: hid", "t.example/p.gif",
                 "t.example/s.gif", "http://t.example/a.png", "/rel", "inside the page",
                 "without a description"):  # fmt: skip
        assert said in told, said


def test_prose_with_angle_brackets_is_shown() -> None:
    message = compiled("A Vec<T> and <img src='https://c.example/x.png' alt='x'>\n\n<Brot>\n")
    assert "A Vec&lt;T&gt; and" in message.preview({}).html
    assert "A Vec<T> and [x]" in message.preview({}).text
    assert "<Brot>" in message.preview({}).text


def test_text_is_wrapped_but_addresses_are_not() -> None:
    url = "https://corner.example/" + "a" * 120
    text = (
        compiled(f"{'word ' * 60}\n\n<{url}>\n\n- {'item ' * 30}\n\n{'日本語。' * 40}")
        .preview({})
        .text
    )
    assert f"\n{url}\n" in text
    assert max(len(line) for line in text.split("\n") if "://" not in line) <= 72
    assert not re.search(r"^[。、]", text, re.MULTILINE)


def test_a_table_too_wide_for_columns_is_told_row_by_row() -> None:
    wide = "w" * 50
    text = compiled(f"|Day|Time|\n|-|-|\n|{wide}|{wide}|").preview({}).text
    assert f"Day: {wide}\nTime: {wide}\n" in text
    narrow = compiled("|Day|Time|\n|-|-|\n|Monday|7|").preview({}).text
    assert "Day     Time\n------  ----\nMonday  7\n" in narrow


def test_html_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(Invalid, match="nested"):
        compiled("<div>" * 5000 + "x", kind="html")


@given(
    source=st.text(st.sampled_from("abc<>&\"'/=![]()#*_`|-~\n {}%\\:.é日"), max_size=120),
    kind=st.sampled_from(["markdown", "html"]),
)
def test_any_source_is_compiled_safely_or_refused(source: str, kind: Kind) -> None:
    try:
        message = compiled(source, kind=kind)
    except Invalid:  # with its problems: see the tests above
        return
    page = body_of(message.preview({}).html)
    assert not re.search(r"<(script|style|form|iframe|object|svg)", page)
    raw = message.bytes_for(VALUES, SLOTS)
    assert b"\r\n." not in raw
    assert max(map(len, raw.partition(b"\r\n\r\n")[2].split(b"\r\n"))) <= 76


@given(
    st.dictionaries(
        st.sampled_from(["name", "first_name", "address", "attribute.city"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    )
)
def test_values_arrive_escaped_once(values: Mapping[str, str]) -> None:
    # Those are written otherwise, or not at all.
    assume(not any(map(is_web_address, values.values())))
    message = compiled(
        "a{{ name }}b **{{ first_name }}** `{{ address }}` [{{ attribute.city }}](https://x.example)"
    )
    headers, text, page = read(message.bytes_for(values, SLOTS))
    shown = {name: value for name, value in values.items() if value.strip()}
    for name in ("name", "first_name", "address", "attribute.city"):
        value = shown.get(name, "").replace("\r\n", "\n")
        assert escape(value) in page
        assert value in text
    assert len(headers.get_all("Subject", [])) == 1
    preview = message.preview(values)
    assert body_of(preview.html).count("<") == body_of(page).count("<")


def test_twenty_values_in_thirty_kilobytes() -> None:
    source = "\n\n".join(f"{'Grüße und Brot. ' * 60} {{{{ attribute.a{n} }}}}" for n in range(20))
    message = compiled(source)
    raw = message.bytes_for({f"attribute.a{n}": f"Wert {n}" for n in range(20)}, SLOTS)
    assert len(raw) > 30_000
    assert all(f"Wert {n}".encode() in raw for n in range(20))
    assert b"Wert" not in message.skeleton()


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if tag == "a" and name == "href"]


def file(path: Path, language: str = "") -> Compiled:
    letter = read_newsletter(path.read_bytes(), path.name)
    message = compiled(
        letter.source,
        kind=letter.kind,
        subject=letter.subject,
        preheader=letter.preheader,
        locale=letter.language or language,
    )
    sound(message)
    return message


def sound(message: Compiled) -> None:
    """Hold what must hold for any newsletter, whoever wrote it."""
    raw = message.bytes_for(VALUES, SLOTS)
    headers, text, page = read(raw)
    assert not headers.defects
    assert b"\r\n." not in raw
    assert max(map(len, raw.split(b"\r\n"))) <= 76 + len(SLOTS.unsubscribe)
    assert SLOTS.unsubscribe in text
    assert SLOTS.unsubscribe in page
    body = body_of(page)
    assert not re.search(r"<(script|style|form|input|iframe|object|o:p|v:|!--)|\son\w+=", body)
    assert not re.search(r"src=\"(?!https://)", body)
    found = Links()
    found.feed(body)
    assert tuple(dict.fromkeys(found.found)) == message.links
    assert all(re.match(r"(https?|mailto|tel):", link) for link in message.links)
    assert all(link.removeprefix("mailto:") in text for link in message.links)


def test_own_japanese() -> None:
    message = file(OWN / "bakery-ja.md")
    shown = message.preview({"name": "佐藤"})
    assert "佐藤こんにちは" in shown.text
    assert "{% include footer.md %} と {{ page.title }} はそのまま" in shown.html
    assert message.links == ("https://bakery.example/%E4%BA%88%E7%B4%84?day=%E5%9C%9F",)
    assert message.preview({}).text.count("お客様こんにちは") == 1


def test_own_arabic() -> None:
    shown = file(OWN / "bakery-ar.md", "ar").preview({})
    assert '<html lang="ar" dir="rtl"' in shown.html
    assert "مرحبا صديقنا،" in shown.html
    assert shown.subject == "خبز الجاودار يوم السبت"


def test_own_german_keeps_code_verbatim() -> None:
    message = file(OWN / "baeckerei-de.md", "de")
    shown = message.preview({"name": "Ana"})
    assert 'let brot: Vec&lt;&amp;str&gt; = vec!["Roggen", "Dinkel"];' in shown.html
    assert '        let brot: Vec<&str> = vec!["Roggen", "Dinkel"];\n' in shown.text
    assert "`a < b && c > d` und einen Vec<Brot>." in shown.text.replace("\n", " ")
    assert message.images == ("https://baeckerei.example/ofen.jpg",)
    assert "#![doc]" in shown.text
    told = "\n".join(message.warnings)
    for said in ("/laden", "bilder/brot.jpg", "hochladen…"):
        assert said in told


def test_own_word_page() -> None:
    message = file(OWN / "word.htm", "no")
    shown = message.preview({})
    assert "Fra nå av er det rugbrød «på lørdager» – og det koster 40 kr." in shown.text
    for gone in ("Secret Author", "skjult", "supportEmptyParas", "VML", "alert", "Send"):
        assert gone not in shown.html
        assert gone not in shown.text
    assert message.images == ()
    assert message.links == ("https://bakery.example/bestill", "mailto:post@bakery.example")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real newsletters of ../shared are not here")
@pytest.mark.parametrize("name", sorted(path.name for path in SHARED.glob("*")))
def test_real_newsletters(name: str) -> None:
    path = SHARED / name
    message = file(path, name[:2])
    shown = message.preview({})
    source = path.read_bytes().decode("windows-1252" if "word" in name else "utf-8")
    if name.startswith("ar-"):
        assert 'dir="rtl"' in shown.html
    read_by_all = " ".join(shown.text.replace("\n> ", "\n").split())
    for tag in set(re.findall(r"\{\{.*?\}\}", source)):
        in_an_address = any(f"taken out: {tag}" in warning for warning in message.warnings)
        assert in_an_address or tag in read_by_all, tag
        assert in_an_address or escape(tag, quote=False) in shown.html.replace("\n", " "), tag
    if name == "en-this-week-in-rust-2024-10-02.md":
        urls = set(re.findall(r"\]\((https?://[^)\s]+)\)", re.sub(r"(?s)<!--.*?-->", "", source)))
        assert urls <= {unescape(link) for link in message.links}
        assert len(message.links) > 300
    if name == "en-this-week-in-rust-2014-06-10-code.md":
        assert shown.html.count("<pre") == 25
        assert "&amp;lt;" not in shown.html
    if name == "en-this-week-in-rust-2023-06-14.md":
        assert message.images == ()
    if name == "en-turing-way-2023-02-excerpt.md":
        assert any("Uploading" in warning for warning in message.warnings)
        assert any("forms.gle" in link for link in message.links)
    if name == "no-via-nytt-word-html.html":
        assert "ønsker den nye" in shown.text


def test_the_real_newsletters_are_all_there() -> None:
    if not SHARED.is_dir():
        pytest.skip("the real newsletters of ../shared are not here")
    assert len(list(SHARED.glob("*"))) == 19
