"""Changes of a relay that only look like the mail that was sent: each is told from it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from quopri import decodestring, encodestring

import pytest
from msgspec import structs

from crm.campaigns.comparing import Comparison, compare
from crm.campaigns.skeleton import Field
from crm.campaigns.tokens import of_html
from tests.campaigns.mails import composed, skeleton, slots
from tests.campaigns.test_compare import SOURCE, SUBJECT, mail

KNOWN = skeleton(SOURCE, subject=SUBJECT)
PACKED = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
HEAD = b"Content-Type: text/html; charset=%s\r\n" + PACKED
LINK = rb'<a href="([^"]*)" ([^>]*)"'
PIXEL = r"background: url(https:\2f\2f t.example\2f 1.gif\3f r=7); x"


def compared(change: Callable[[bytes], bytes], charset: bytes = b"utf-8") -> Comparison:
    """What is said of a mail whose page was changed on the way."""
    before, _, rest = mail().rpartition(HEAD % b"utf-8")
    body, _, tail = rest.partition(b"\r\n--=_")
    page = decodestring(body)
    changed = change(page)
    assert changed != page
    packed = encodestring(changed).replace(b"\n", b"\r\n").replace(b"\r\r", b"\r")
    return compare(before + HEAD % charset + packed + b"\r\n--=_" + tail, KNOWN)


def _sub(pattern: bytes, by: bytes) -> Callable[[bytes], bytes]:
    return lambda page: re.sub(pattern, by, page)


def _in_the_label(page: bytes) -> bytes:
    """The text after the name is in another attribute, and a picture of one reader before it."""
    (tag,) = re.findall(r'<div[^>]* aria-label="Rye f[^>]*>', page.decode())
    own = sorted(re.findall(r'([a-z-]+)="([^"]*)"', tag))
    rest = "".join(f' {name}="{value}"' for name, value in own if name != "aria-label")
    made = f'<div aria-label="Rye für Nora" style=\'{PIXEL}" and all"{rest[:-1]}\'>'
    return page.decode().replace(tag, made).encode()


@pytest.mark.parametrize(
    "change",
    [
        _sub(LINK, rb"<a href='\1&quot; \2'"),
        _in_the_label,
        _sub(rb'<a href="', rb'<a =href="'),
        _sub(rb'<a href="https://', rb'<a href="https://&#1;'),
        _sub(rb'<a href="([^"]*)"', rb'<a href="\1&nbsp;"'),
        _sub(rb'<a href="([^"]*)"', rb'<a href="https://t.example/1" href="\1"'),
        _sub(rb'aria-label="Rye f\xc3\xbcr N', rb'aria-label="Rye f&uumlr N'),
        _sub(rb":root {", b":root\xc2\xa0{"),
        _sub(rb"Nora Lindqvist", rb"</ Nora"),
    ],
    ids=["swallowed attribute", "label", "name of an attribute", "control character", "blank",
         "two addresses", "half an entity", "blank in a style", "swallowed tag"],
)  # fmt: skip
def test_a_page_that_reads_alike_and_is_another(change: Callable[[bytes], bytes]) -> None:
    assert not compared(change).same


@pytest.mark.parametrize(
    "change",
    [
        _sub(LINK, rb"<a  HREF = '\1'\n\2" + b'"'),
        _sub(LINK, rb"<a \2" + b'" href="\\1"'),
        _sub(rb'href="([^"]*)&amp;b', rb'href="\1&b'),
        _sub(rb'href="([^"]*)&amp;b', rb'href="&#32;\1&#38;b'),
        _sub("ünïcode".encode(), b"&uuml;n&#xEF;code"),
        _sub(rb'dir="ltr"', b"dir=ltr"),
        _sub(rb"> *<", b">\r\n<"),
    ],
    ids=["spelling", "order", "ampersand", "numbers", "entities", "quotes", "line ends"],
)
def test_another_spelling_of_the_page_is_the_same(change: Callable[[bytes], bytes]) -> None:
    assert compared(change).differences == ()


def test_a_value_in_a_tag_may_hold_quotes_that_are_spelt_out() -> None:
    spelt = b'aria-label="Rye f\xc3\xbcr &quot;A&amp;B&quot;, 5&#34; and all"'

    assert compared(_sub(rb'aria-label="[^"]*"', spelt)).differences == ()


def test_a_web_address_in_a_tag_is_seen_behind_entities() -> None:
    hidden = b'aria-label="Rye f\xc3\xbcr https&colon;&sol;&sol;t.example/ and all"'
    (found,) = compared(_sub(rb'aria-label="[^"]*"', hidden)).differences

    assert found.now.strip() == "https://t.example/"


def test_names_of_tags_are_folded_as_html_folds_them() -> None:
    for html, name in (("<LINK>", "link"), ("<lin\N{KELVIN SIGN}>", "lin\N{KELVIN SIGN}")):
        assert [each.name for each in of_html([html]) if each.shown] == [name]


def _field(name: str, value: str | Callable[[str], str]) -> bytes:
    """The mail with another value of a field; `{}` is what it was."""
    raw = mail()
    head, end, body = raw.partition(b"\r\n\r\n")
    found = re.search(rf"^{name}: (.*(?:\r\n[ \t].*)*)".encode(), head, re.MULTILINE)
    assert found
    was = re.sub(r"\r\n(?=[ \t])", "", found[1].decode().strip())
    given = value.replace("{}", was) if isinstance(value, str) else value(was)
    return head[: found.start(1)] + given.encode() + head[found.end(1) :] + end + body


def _words(text: str, charset: str = "utf-8") -> str:
    return f"=?{charset}?b?{b64encode(text.encode(charset)).decode()}?="


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("List-Unsubscribe", lambda was: re.sub("<(.*?)>", r"<=?utf-8?q?\1?=>", was, count=1)),
        ("List-Unsubscribe", "({})"),
        ("List-Unsubscribe", "no {}"),
        ("List-Unsubscribe-Post", _words),
        ("From", _words),
        ("From", '"Corner Bakery <letter@bakery.example>"'),
        ("From", '"Corner Bakery <letter@bakery.example>'),
        ("From", f"{_words('Corner Bakery')} <{_words('letter@bakery.example')}>"),
        ("From", f'"{_words("Corner Bakery")}" <letter@bakery.example>'),
        ("From", f"{_words('Corner Bakery', 'utf-16')} <letter@bakery.example>"),
        ("List-Id", _words),
        ("Subject", _words("Rye für Nora and all", "utf-7")),
        ("Subject", "=?utf-8?q?Rye_f=FCr_Nora_and_all?="),
        ("Subject", "=?utf-8?q?Rye_f=C3=BCr_Nora_and?=_all"),
        ("Subject", f'"{_words("Rye für Nora and all")}"'),
        ("Message-ID", _words),
    ],
)
def test_a_field_that_reads_alike_and_is_another(
    name: str, value: str | Callable[[str], str]
) -> None:
    raw = _field(name, value)
    (found,) = compare(raw, KNOWN).differences

    assert name in found.sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("From", "Corner Bakery <letter@bakery.example>"),
        ("From", f"{_words('Corner Bakery')}\r\n <letter@bakery.example>"),
        ("From", f"{_words('Corner ')} {_words('Bakery', 'iso-8859-1')}<letter@bakery.example>"),
        ("From", r'"C\orner Bakery"  <letter@bakery.example>'),
        ("List-Id", f"{_words('The Corner Letter')} <letter.bakery.example>"),
        ("Subject", f"{_words('Rye für Nora', 'iso-8859-1')} and\r\n all"),
        ("Subject", f"{_words('Rye für N', 'windows-1252')}\r\n {_words('ora and all')}"),
        ("Subject", "Rye für Nora and all"),
        ("List-Unsubscribe", lambda was: was.replace(", ", ",\r\n  ")),
    ],
)
def test_another_encoding_of_a_field_is_the_same(
    name: str, value: str | Callable[[str], str]
) -> None:
    assert compare(_field(name, value), KNOWN).differences == ()


@pytest.mark.parametrize("name", ['Corner "Rye" Bakery', r"Corner \ Bakery", "Bäckerei <3"])
def test_the_name_of_a_sender_may_hold_anything(name: str) -> None:
    """Also beside a skeleton that was published with the quotation marks in it."""
    known = skeleton("Rye", purpose=name)
    raw = composed("Rye", purpose=name).bytes_for({}, slots(7))
    (listed,) = [each for each in known.variants[0].fields if each.name == "List-Id"]
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    older = Field("List-Id", (f'"{quoted}" <letter.bakery.example>',))
    variants = tuple(
        structs.replace(each, fields=tuple(older if f == listed else f for f in each.fields))
        for each in known.variants
    )

    assert compare(raw, known).differences == ()
    assert compare(raw, structs.replace(known, variants=variants)).differences == ()


@pytest.mark.parametrize(
    ("charset", "hidden"),
    [
        (b"johab", b"\xdd<img src=https:\\\\t.example\\7.gif \xdd>"),
        (b"iso-2022-kr", b"Nora"),
        (b"utf-7", b"+ADw-img src=https:+AFwAXA-t.example+AFw-7.gif+AD4-"),
        (b"u8", b"Nora"),
        (b"utf-8", b"\xdd Nora"),
        (b"us-ascii", b"N\xc3\xb6ra"),
    ],
)
def test_a_charset_that_hides_markup_is_a_difference(charset: bytes, hidden: bytes) -> None:
    def change(page: bytes) -> bytes:
        plain = page.decode().encode("ascii", "xmlcharrefreplace")
        return plain.replace(b"Nora Lindqvist", hidden)

    sentences = [each.sentence for each in compared(change, charset).differences]

    assert "The header Content-Type was changed." in sentences


def test_a_charset_in_a_parameter_that_few_know_is_a_difference() -> None:
    raw = mail().replace(b"text/html; charset=utf-8", b"text/html; charset*=''utf-7")

    assert not compare(raw, KNOWN).same


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "iso-8859-1", "ISO-8859-15", "windows-1252"])
def test_another_charset_of_the_page_is_the_same(charset: str) -> None:
    def change(page: bytes) -> bytes:
        return page.decode().encode(charset, "xmlcharrefreplace").replace(b"> <", b">\n<") + b"\r\n"

    assert compared(change, charset.encode()).differences == ()
