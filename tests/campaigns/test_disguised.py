"""Changes of a relay that only look like the mail that was sent: each is told from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from quopri import decodestring, encodestring

import pytest

from crm.campaigns.comparing import Comparison, compare
from crm.campaigns.tokens import of_html
from tests.campaigns.mails import skeleton
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
