"""What is worked out is text, ends, and arrives escaped once; the rest is refused."""

from __future__ import annotations

import json
import re
from email import message_from_bytes, policy
from html import escape
from pathlib import Path

import pytest
from msgspec import structs

from crm.campaigns.expression import Expression, NoExpression
from crm.campaigns.merge import upright
from crm.campaigns.render import Compiled, Draft, compile_message
from crm.campaigns.web_address import is_web_address
from crm.campaigns.words import HoldsAddress, leads_astray
from crm.errors import Invalid
from crm.mail import mime
from tests.campaigns.test_render import BAKERY
from tests.campaigns.test_render import SLOTS as PLAIN

BLNS = Path(__file__).parents[3] / "shared" / "data" / "names-locales" / "blns.json"
LETTERHEAD = structs.replace(
    BAKERY, privacy_url="", origin="https://corner.example", sender_id="fh0123456789ab"
)
SLOTS = structs.replace(
    PLAIN,
    why="https://corner.example/why/tok",
    unsubscribe_mail="mailto:leave@corner.example?subject=" + "t" * 61,
    more=(("CFBL-Feedback-ID", "b64:abc"),),
)
ONCE = (
    *("Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type", "List-Id"),
    *("List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "List-Owner", "List-Post"),
    *("List-Subscribe", "List-Archive", "Archived-At", "Feedback-ID", "Precedence"),
    *("X-Auto-Response-Suppress", "Content-Language", "CFBL-Feedback-ID"),
)
HOSTILE = [
    "Nora\r\nBcc: everybody@example.org",
    "\n\n<script>alert(1)</script>",
    "\x00\x1b[31m",
    "\u202eevil\u202c \u200f\u2067",
    ".\r\n.\r\n",
    "=?utf-8?q?=0D=0ABcc:_x?=",
    "{{ name }}{% if name %}x{% endif %}",
    "\ud800",
    "x" * 5000,
]


def compiled(source: str, subject: str = "Rye") -> Compiled:
    return compile_message(
        Draft(
            subject=subject,
            source=source,
            kind="markdown",
            purpose="The Corner Letter",
            list_id="letter.corner.example",
            identity="0190f7c2e",
            archived_at="https://corner.example/archive/0190f7c2e",
        ),
        LETTERHEAD,
    )


MESSAGE = compiled(
    "A {{ name }} b {{ name | replace('q', 'k') }} "
    "{% if attribute.city %}in {{ attribute.city }}{% endif %}.",
    "For {{ name }} and {{ name | trim }}",
)


@pytest.mark.parametrize(
    ("written", "values", "text"),
    [
        ("{{ name | upper }}", {"name": "Zoë"}, "ZOË"),
        ("{{ name | default('you') | title }}", {"name": " "}, "You"),
        ("{% if attribute.city %}in {{ attribute.city }}{% endif %}", {}, ""),
        (
            "{% if attribute.city == 'Oslo' %}here{% else %}far away{% endif %}",
            {"attribute.city": "Bonn"},
            "far away",
        ),
        ("{{ attribute.points | int + 1 }}", {"attribute.points": "41"}, "42"),
        ("{{ name | first }}", {"name": "Nora"}, "N"),
    ],
)
def test_it_is_worked_out(written: str, values: dict[str, str], text: str) -> None:
    assert Expression(written).text(values) == text


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("{{ name | safe }}", "no filter safe"),
        ("{{ name | tojson }}", "no filter tojson"),
        ("{% for x in name %}{{ x }}{% endfor %}", "if, elif, else and endif only"),
        ("{% include 'x' %}{{ name }}", "if, elif, else and endif only"),
        ("{% if name %}**bold**{% endif %}", "plain words and fields only"),
        ("{% if name %}<b>x</b>{% endif %}", "plain words and fields only"),
        ("{% if name %}[x](/y){% endif %}", "plain words and fields only"),
        ("{% if name %}https://x.example/a{% endif %}", "which is tracking"),
        ("{{ 'https://x.example/' ~ name }}", "which is tracking"),
        ("{{ 'a' * 999999999 ~ name }}", "ran out of fuel"),
        ("{{ name.upper() }}", ""),
        ("{{ 7 * 7 }}", ""),
        ("{{ nmae | upper }}", ""),
        ("{{ name.__class__ }}", ""),
        ("{{ attribute['city'] }}", "Brackets are not understood"),
        ("{{ name[:1] }}", "Brackets are not understood"),
        ("{{ range(9) ~ name }}", ""),
    ],
)
def test_it_is_refused(written: str, sentence: str) -> None:
    with pytest.raises(NoExpression, match=re.escape(sentence) or "^$"):
        Expression(written)


def test_what_grows_beyond_reason_ends() -> None:
    """A value of a megabyte, or one that breeds, is a failure of one mail and not of the worker."""
    breeding = "{{ name" + " | replace('a', 'aaaaaaaaaa')" * 6 + " }}"
    with pytest.raises(ValueError, match=r"more than|fuel"):
        Expression(breeding).text({"name": "a" * 100})
    with pytest.raises(ValueError, match=r"more than|fuel"):
        Expression("{{ name | upper }}").text({"name": "a" * 1_000_000})


def test_a_plain_field_works_nothing_out() -> None:
    assert [field.expression is not None for field in MESSAGE.fields][:2] == [False, True]


def test_no_expression_comes_to_an_address() -> None:
    message = compiled("{{ attribute.host | replace('-', '/') }} {{ business | upper }}")
    with pytest.raises(HoldsAddress):
        message.bytes_for({"attribute.host": "shop.example-7"}, SLOTS)
    assert "… CORNER" in message.preview({"attribute.host": "shop.example-7"}).text
    assert message.bytes_for({"attribute.host": "shop-7"}, SLOTS)


@pytest.mark.parametrize(
    ("source", "sender"),
    [
        ('{% if "@" in address %}shop.example/v/{{ name | lower }}{% endif %}', "Corner"),
        ('{% if business != "business" %}shop.example/{{ name | lower }}{% endif %}', "Corner"),
        ('{{ address | replace("@", ".track.example/") }}', "Corner"),
        ("{{ address ~ '.track.example/1' }}", "Corner"),
        ("{{ 'shop.example#' ~ address }}", "Corner"),
        ("{{ business ~ '/' ~ address | length }}", "shop.example"),
        ("{{ address | first ~ '.' ~ business }}", "shop.example/v"),
        ("{{ business ~ '&r=' ~ address | length }}", "shop.example/v?a=1"),
    ],
)
def test_an_address_is_seen_whatever_it_is_made_of(source: str, sender: str) -> None:
    values = {"name": "Nora", "address": "nora@example.org", "business": sender}

    assert leads_astray(Expression(source), values)


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("{{ 'Dear ' ~ address }}", {"address": "x.ab/y@www.example.org"}),
        ("{{ 'Dear ' ~ address | upper }}", {"address": "Reader@www.Example.org"}),
        ("{{ name ~ ' (' ~ business ~ ').' }}", {"business": "www.rye.example"}),
        ("{{ business ~ '\u2019s ' ~ name }}", {"business": "www.rye.example"}),
        ("{{ business | upper ~ ': ' ~ name }}", {"business": "www.rye.example"}),
    ],
)
def test_whom_and_by_whom_may_look_like_a_page(source: str, values: dict[str, str]) -> None:
    assert not leads_astray(Expression(source), {"name": "Nora", **values})


def test_no_expression_reaches_an_address() -> None:
    with pytest.raises(Invalid, match="cannot be sent"):
        compiled("[x](https://a.example/{{ name | lower }})")


@pytest.mark.skipif(not BLNS.exists(), reason="the naughty strings of ../shared are not here")
def test_naughty_strings_arrive_as_text() -> None:
    """All of the Big List, which holds what has broken software before."""
    for value in json.loads(BLNS.read_bytes()):
        if not is_web_address(upright(value)):
            arrives(value)


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_any_value_arrives_as_text(value: str) -> None:
    """Whoever chose it: header injection, half a character; what turns text is taken out."""
    arrives(value)


def arrives(value: str) -> None:
    """In subject and both parts, the bytes read by the standard library's parser."""
    raw = MESSAGE.bytes_for({"name": value, "attribute.city": value}, SLOTS)
    assert re.search(rb"[^\r]\n|\r[^\n]", raw) is None
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\r\n." not in raw
    message = message_from_bytes(raw, policy=policy.default)
    assert {name: len(message.get_all(name, [])) for name in message} == dict.fromkeys(ONCE, 1)
    parts = [part.get_payload(decode=True) for part in message.iter_parts()]
    text, page = (part.decode().replace("\r\n", "\n") for part in parts if isinstance(part, bytes))
    shown = upright(value).encode("utf-8", "replace").decode()
    if value.strip() and "\r" not in value:
        assert shown in text
        assert escape(shown) in page
    assert "<script>alert" not in page


def test_the_header_says_where_to_turn() -> None:
    """RFC 2369, 5064 and Google's Feedback-ID, each on one line of its own."""
    head = MESSAGE.bytes_for({"name": "Nora"}, SLOTS).partition(b"\r\n\r\n")[0].decode()
    lines = head.split("\r\n")
    for line in (
        f"List-Unsubscribe: <{SLOTS.unsubscribe}>, <{SLOTS.unsubscribe_mail}>",
        "List-Help: <mailto:privacy@corner.example>, <https://corner.example/sign-in>",
        "List-Subscribe: <https://corner.example/sign-up>",
        "List-Archive: <https://corner.example/archive>",
        "Archived-At: <https://corner.example/archive/0190f7c2e>",
        "Feedback-ID: 0190f7c2e:letter:newsletter:fh0123456789ab",
        "Precedence: bulk",
        "X-Auto-Response-Suppress: OOF, AutoReply",
        "CFBL-Feedback-ID: b64:abc",
    ):
        assert line in lines
    folded = [line for line in lines if not line.startswith(("List-", "Archived-At"))]
    assert max(map(len, folded)) <= 76


@pytest.mark.parametrize("bad", ["a\r\nBcc: x", "", "ü", " a"])
def test_a_header_of_another_part_cannot_break_it(bad: str) -> None:
    slots = mime.Slots(
        *(SLOTS.to, SLOTS.message_id, SLOTS.date, SLOTS.unsubscribe, SLOTS.preferences, SLOTS.why),
        more=(("CFBL-Feedback-ID", bad),),
    )
    with pytest.raises(ValueError, match="CFBL-Feedback-ID"):
        MESSAGE.bytes_for({"name": "Nora"}, slots)
