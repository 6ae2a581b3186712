"""Is this the mail that was sent: another encoding is the same, another content is named."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage
from html import escape
from time import process_time
from uuid import UUID

import pytest
from msgspec import structs

from crm.campaigns.comparing import campaign_of, compare
from crm.campaigns.skeleton import BadSkeleton, packed, skeleton_of, unpacked
from crm.campaigns.slots import Filled
from crm.campaigns.source import read_newsletter
from crm.campaigns.tokens import of_html
from crm.campaigns.web_address import is_web_address
from crm.mail.mime import Slots
from crm.tokens import Stop, stop_token
from tests.campaigns.mails import CAMPAIGN, ORIGIN, SHARED, composed, skeleton, slots
from tests.conftest import KEYS

SOURCE = """Hi {{ first_name | default("you") }},

**{{ name }}** of [Rye](https://rye.example/?a=1&b=2), the bread.

Second <b>paragraph</b> about ünïcode, {{ name }} {{ first_name }}.
"""
SUBJECT = "Rye für {{ first_name }} and all"
NAMES = [
    {"name": "Nora Lindqvist", "first_name": "Nora"},
    {"name": "<i>Ünal</i> & Söhne", "first_name": "a, b"},
    {"name": "Nora Nora", "first_name": "Nora"},
    {"name": "ن\N{RIGHT-TO-LEFT MARK}ور", "first_name": ""},
    {},
]


def mail(values: dict[str, str] | None = None, *, asks: bool = False) -> bytes:
    """One reader's mail."""
    given = NAMES[0] if values is None else values
    return composed(SOURCE, subject=SUBJECT, asks=asks).bytes_for(given, slots(7))


def relayed(raw: bytes, encoding: str) -> bytes:
    """The same as a relay passes it on: other encodings, line ends and traces."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        if part.get_content_maintype() == "text":
            part.set_content(part.get_content(), subtype=part.get_content_subtype(), cte=encoding)
    message["X-Spam-Score"] = "0.1"
    traces = b"Return-Path: <b@r.example>\nReceived: from a by b\nARC-Seal: i=1\n"
    traces += b"Authentication-Results: b; dkim=pass\nDKIM-Signature: v=1; b=abc\n"
    return traces + message.as_bytes()


def test_what_a_few_readers_share_by_chance_is_nobody_elses() -> None:
    """Once in some hundred campaigns the links of all invented readers begin alike beyond that."""
    business, alike = UUID(int=7), b"\x55" * 2

    def reader(number: int, begins: bytes) -> Slots:
        fingerprint = begins + bytes([number]) * (16 - len(begins))
        token = stop_token(KEYS, Stop(business, fingerprint, 1))
        links = {name: f"{ORIGIN}/{name}/{token}" for name in ("unsubscribe", "preferences", "why")}
        return structs.replace(slots(number), **links)

    message = composed(SOURCE, subject=SUBJECT)
    wordings = {asks: composed(SOURCE, subject=SUBJECT, asks=asks) for asks in (False, True)}
    known = skeleton_of(CAMPAIGN, wordings, [reader(number, alike) for number in range(3)])
    somebody = message.bytes_for(NAMES[0], reader(9, b"\xaa"))

    assert compare(somebody, known).differences == ()


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("values", NAMES)
def test_every_reader_has_the_same_mail(values: dict[str, str], *, asks: bool) -> None:
    """Whatever a name is; both wordings are one campaign's."""
    known = unpacked(packed(skeleton(SOURCE, subject=SUBJECT)))
    raw = mail(values, asks=asks)

    for each in (raw, raw.replace(b"\r\n", b"\n"), relayed(raw, "base64"), relayed(raw, "8bit")):
        compared = compare(each, known)
        assert compared.differences == ()
        assert compared.asks == asks
    assert campaign_of(raw) == CAMPAIGN


CHANGES = [
    ("A link was rewritten.", b"https://rye.example/?a=3D1", b"https://track.example/?a=3D1"),
    ("An image was put in.", b"</body>", b'<img src=3D"https://t.example/1.gif"></body>'),
    ("Text was changed.", b"Second <b>", b"Third <b>"),
    ("Text was put in.", b"</body>", b"Sent by a list</body>"),
    ("A comment was put in.", b"</body>", b"<!--[if mso]>x<![endif]--></body>"),
    ("The header List-Unsubscribe was changed.", b"\r\nList-Unsubscribe: <https://letters.",
     b"\r\nList-Unsubscribe: <https://esp."),
    ("The header List-Unsubscribe was changed.", b"\r\nList-Unsubscribe: ", b"\r\nX-List: "),
    ("The header Subject was changed.", b"\r\nSubject: ", b"\r\nSubject: [list] "),
    ("The header From was changed.", b'From: "Corner', b'From: "Coroner'),
    ("The header Reply-To was put in.", b"MIME-Version: 1.0\r\n",
     b"MIME-Version: 1.0\r\nReply-To: <a@list.example>\r\n"),
    ("Its Message-ID is not one of this campaign.", CAMPAIGN.encode(), b"b" * 32),
    ("Where a reader's name should stand, there is an address, or far too much.",
     b"Nora Lindqvist", b"www.t.example"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "was", "now"), CHANGES)
def test_a_change_on_the_way_is_named(sentence: str, was: bytes, now: bytes) -> None:
    raw = mail()
    assert was in raw
    compared = compare(raw.replace(was, now), skeleton(SOURCE, subject=SUBJECT))

    assert sentence in {each.sentence for each in compared.differences}
    assert len(compared.differences) <= 5


def test_a_rewritten_link_shows_what_it_was_and_is() -> None:
    raw = mail().replace(b"https://rye.example/?a=3D1&amp;b=3D2", b"https://t.example/c/1")
    (found,) = compare(raw, skeleton(SOURCE, subject=SUBJECT)).differences

    assert (found.was, found.now) == ("https://rye.example/?a=1&b=2", "https://t.example/c/1")


def test_our_links_must_be_ours_and_one_readers() -> None:
    """Another origin, another length, or another reader's token in one place."""
    known = skeleton(SOURCE, subject=SUBJECT)
    ours = slots(7).why
    for other in (
        ours.replace(ORIGIN, "https://letters.example.evil.example"),
        f"{ours}0",
        slots(8).why,
    ):
        raw = composed(SOURCE, subject=SUBJECT).bytes_for(NAMES[0], slots(7))
        text, page = raw.split(b"Content-Type: text/html")
        changed = text + b"Content-Type: text/html" + page.replace(ours.encode(), other.encode())
        assert not compare(changed, known).same


OURS = slots(7).unsubscribe.encode()
PAGE = b"--evil\r\nContent-Type: text/html\r\n\r\n<p>Pay here</p>\r\n--evil--\r\n"
PICTURE = "Rye\n\n![rye](https://letters.example/rye.png)\n"


def _doubled(field: bytes) -> Callable[[bytes], bytes]:
    """Another body before ours, which is read where the last of two fields is obeyed."""

    def altered(raw: bytes) -> bytes:
        head, body = raw.split(b"\r\n\r\n", 1)
        return head + b"\r\n" + field + b"\r\n\r\n" + PAGE + body

    return altered


def _replaced(was: bytes, now: bytes) -> Callable[[bytes], bytes]:
    return lambda raw: raw.replace(was, now)


def _another_part(raw: bytes) -> bytes:
    """Which has two ways to be read, and nothing in it for who takes the first."""
    boundary = raw.split(b'boundary="')[1].split(b'"')[0]
    empty = b"\r\nContent-Type: multipart/mixed; boundary=no\r\n\r\n<p>Pay here</p>\r\n--"
    end = b"--" + boundary + b"--"
    return raw.replace(end, b"--" + boundary + empty + boundary + b"--")


COPIED = (
    b"cc=b@evil.example",
    b"body=hello",
    b"to=b@evil.example",
    b"subject=a&bcc=b@evil.example",
    b"subject=a&amp;cc=b@evil.example",
    b"subject=a;cc=b@evil.example",
    b"subject=a&subject=b",
    b"subject=a%0D%0Acc:b@evil.example",
)


@pytest.mark.parametrize(
    ("alter", "sentence"),
    [
        (_doubled(b'Content-Type: multipart/mixed; boundary="evil"'),
         "The header Content-Type is there 2 times."),
        (_doubled(b"Content-Transfer-Encoding: 7bit\r\ncontent-transfer-encoding: base64"),
         "The header Content-Transfer-Encoding is there 2 times."),
        (_doubled(b"Mime-Version: 2.0"), "The header MIME-Version is there 2 times."),
        (_replaced(b"\r\nContent-Type: text/html",
                   b"\r\nContent-Type: text/html\r\nContent-Type: text/plain"),
         "The header Content-Type is there 2 times."),
        (_replaced(b"boundary=", b"boundary*0=evil; boundary="),
         "The header Content-Type was changed."),
        (_another_part, "A part was put in (multipart/mixed)."),
        (_replaced(b'href=3D"' + OURS, b'href=3D"{link.unsubscribe}'), "Markup was changed."),
        (_replaced(b"leave+abc@bakery.example", b"leave@evilbakery.example"),
         "The header List-Unsubscribe was changed."),
        (_replaced(b"leave+abc@bakery.example", b"a@evil.example,b@bakery.example"),
         "The header List-Unsubscribe was changed."),
        (_replaced(b"leave+abc@bakery.example", b"a%40evil.example%2Cb@bakery.example"),
         "The header List-Unsubscribe was changed."),
        *[(_replaced(b"leave+abc@bakery.example", b"a@bakery.example?" + fields),
           "The header List-Unsubscribe was changed.") for fields in COPIED],
    ],
    ids=["type", "encoding", "mime", "type of a part", "boundary", "empty part", "no way out",
         "elsewhere", "two addresses", "in disguise", *map(bytes.decode, COPIED)],
)  # fmt: skip
def test_an_altered_mail_is_not_called_the_same(
    alter: Callable[[bytes], bytes], sentence: str
) -> None:
    known = skeleton(SOURCE)
    mine = structs.replace(slots(7), unsubscribe_mail="mailto:leave+abc@bakery.example")
    raw = composed(SOURCE).bytes_for(NAMES[0], mine).replace(b"=\r\n", b"")
    altered = alter(raw)

    assert compare(raw, known).same
    assert altered != raw
    assert sentence in [each.sentence for each in compare(altered, known).differences]


def test_a_tag_that_is_spelt_out_is_not_the_tag() -> None:
    known = skeleton(PICTURE)
    raw = composed(PICTURE).bytes_for({}, slots(7)).replace(b"=\r\n", b"")
    start = raw.index(b"<img")
    end = raw.index(b">", start)
    tag = raw[start : end + 1].replace(b"=3D", b"=").decode()
    text = next(each.shown for each in of_html([tag]) if each.name == "img")
    spelt = raw[:start] + escape(text).replace("=", "=3D").encode() + raw[end + 1 :]

    assert compare(raw, known).same
    assert not compare(spelt, known).same


@pytest.mark.parametrize(
    "alter",
    [
        _doubled(b"Mime-Version: 1.0"),
        _replaced(b"Content-Transfer-Encoding: quoted-printable",
                  b"Content-Transfer-Encoding: quoted-printable\r\n"
                  b"Content-Transfer-Encoding: Quoted-Printable"),
        _replaced(b"charset=utf-8", b'charset=utf-8; charset="UTF-8"'),
    ],
    ids=["field", "encoding", "parameter"],
)  # fmt: skip
def test_what_is_said_twice_alike_is_no_difference(alter: Callable[[bytes], bytes]) -> None:
    raw = composed(SOURCE).bytes_for(NAMES[0], slots(7))
    altered = alter(raw)

    assert altered != raw
    assert compare(altered, skeleton(SOURCE)).same


def test_one_may_leave_by_mail_below_the_domain() -> None:
    for address in (
        "leave@bakery.example",
        "leave@bounces.Bakery.example",
        "leave+abc@bakery.example?subject=unsubscribe",
        "leave+abc@bakery.example?Subject=no%20more",
    ):
        mine = structs.replace(slots(7), unsubscribe_mail=f"mailto:{address}")
        raw = composed(SOURCE, subject=SUBJECT).bytes_for(NAMES[0], mine)
        assert compare(raw, skeleton(SOURCE, subject=SUBJECT)).same


TEXT, HTML = b"Content-Type: text/plain", b"Content-Type: text/html\n\n"


@pytest.mark.parametrize(
    ("begin", "again", "end"),
    [
        (TEXT + b"\n\n", b" ", b"x"),
        (HTML + b"<a", b" ", b">"),
        (HTML + b"<a", b"/", b">"),
        (HTML + b"<a", b" a='\"", b""),
        (HTML, b"<a ", b""),
        (b"Subject: Rye", b"\n a", b"\n\n"),
        (TEXT + b"; charset=punycode\n\n" + b"a" * 5_000 + b"-", b"9a", b""),
        (b"Content-Type: multipart/mixed; boundary=a\n\n" + b"\n--a\nx" * 150, b"x", b""),
    ],
    ids=["blanks", "tag", "slashes", "quotes", "tags", "folded", "punycode", "parts"],
)
def test_whatever_is_pasted_takes_linear_time(begin: bytes, again: bytes, end: bytes) -> None:
    known = skeleton("Rye")

    def took(size: int) -> float:
        raw = begin + again * (size // len(again)) + end
        began = process_time()
        compare(raw, known)
        return process_time() - began

    assert took(200_000) < 40 * max(took(20_000), 0.005)


@pytest.mark.parametrize("again", ["a", "a.", "a-", "9.", "//a", "mailto:"])
def test_a_long_value_takes_linear_time(again: str) -> None:
    def took(size: int) -> float:
        began = process_time()
        for _ in range(10):
            Filled().take("name", again * (size // len(again)))
        return process_time() - began

    assert took(10_000) < 40 * max(took(1_000), 0.001)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("https://t.example", True),
        ("99+a9.-://t", True),
        ("é9.a://t", True),
        ("99.-://t", True),
        ("see t.example/a", True),
        ("-.aé/", True),
        ("t.example:8080", True),
        ("t.example?r=7", True),
        ("t.xn--p1ai/r7", True),
        ("192.0.2.1/r7", True),
        ("4.50/kg, 12.06/07", False),
        ("Was. Kommt ihr.wirklich?", False),
        ("metadata:3, Data:x", False),
        ("data:text/html,x", True),
        ("-.example/", True),
        ("//t-t.example", True),
        ("Nora v. Ünal / Söhne", False),
        ("a" * 10_001, True),
    ],
)
def test_a_value_is_no_address(value: str, *, wrong: bool) -> None:
    filled = Filled()
    filled.take("name", value)
    assert bool(filled.wrong) == wrong


def test_her_own_address_may_look_like_a_page() -> None:
    for value, wrong in (("x.ab/y@example.org", []), ("http://a.example/y@b", ["address"])):
        filled = Filled()
        filled.take("address", value)
        assert [slot for slot, _ in filled.wrong] == wrong


def test_parts_put_in_and_missing_are_named() -> None:
    raw = mail()
    boundary = raw.split(b'boundary="')[1].split(b'"')[0]
    footer = b"--" + boundary + b"\r\nContent-Type: text/plain\r\n\r\nList footer\r\n--"
    more = raw.replace(b"--" + boundary + b"--", footer + boundary + b"--")
    head, text, html = raw.split(b"--" + boundary + b"\r\n")
    less = head + b"--" + boundary + b"\r\n" + html
    known = skeleton(SOURCE, subject=SUBJECT)

    assert text
    assert "A part was put in (text/plain)." in [
        d.sentence for d in compare(more, known).differences
    ]
    assert [d.sentence for d in compare(less, known).differences] == [
        "A part is missing (text/plain)."
    ]


def test_what_is_no_skeleton_is_refused() -> None:
    for raw in (b"", b"[]", b'{"format":"x"}', packed(skeleton("Rye")).replace(b"why", b"who")):
        with pytest.raises(BadSkeleton):
            unpacked(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n\n",
        b"\xff\xfe",
        b"a: b",
        b"<" * 100_000,
        b"Content-Type: multipart/x; boundary=a",
        HTML + b"&#" + b"1" * 5_000 + b";",
        HTML + b"&#" + b"0" * 5_000,
    ],
)
def test_whatever_is_handed_in_gets_an_answer(raw: bytes) -> None:
    assert not compare(raw, skeleton("Rye")).same


@pytest.mark.skipif(not (SHARED / "newsletters").exists(), reason="the newsletters are not here")
def test_every_newsletter_is_itself_after_a_relay() -> None:
    for path in sorted((SHARED / "newsletters").iterdir()):
        new = read_newsletter(path.read_bytes(), path.name)
        known = skeleton(new.source, kind=new.kind)
        raw = composed(new.source, kind=new.kind).bytes_for({}, slots(7))
        assert compare(relayed(raw, "base64"), known).differences == (), path.name


@pytest.mark.parametrize(
    "values",
    [
        {"name": "www.spam.example", "first_name": "https://spam.example/x"},
        {"name": "Nora www.spam.example", "first_name": "Nora"},
        {"name": "www spam", "first_name": "www", "address": "nora@www.shop.example"},
        {"name": "N", "attribute.page": "https\u202c://shop.example/open?reader=7"},
    ],
)
def test_no_value_is_a_link_of_one_reader(values: dict[str, str]) -> None:
    """What stands there instead is her mail as it was sent."""
    source = (
        "Hi {{ first_name }}, {{ name | replace(' ', '.') }}, {{ name | default('reader') }}, "
        "{{ attribute.page | default('x') }}, {{ address }}"
    )
    raw = composed(source).bytes_for(values, slots(7))
    assert compare(raw, skeleton(source)).differences == ()
    assert "spam.example" not in str(email.message_from_bytes(raw, policy=email.policy.default))


def test_a_long_value_is_looked_at_in_one_pass() -> None:
    """Whatever it repeats, ten times as much takes about ten times as long."""
    for piece in ("a", "a.", "//", "//a", "a:", "www", "@", "a-"):
        took = []
        for count in (20_000, 200_000):
            value = f"{piece * count} :"
            began = process_time()
            is_web_address(value)
            took.append(process_time() - began)
        assert took[1] < 40 * took[0] + 0.01
