"""Messages on the wire are read back by another parser than the one that wrote them."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.mail import Attachment, mime

HEADING = mime.Heading(
    sender_name="Corner Bäckerei",
    sender_address="letter@corner.example",
    list_name="The Corner Letter",
    list_id="corner-letter.lists.corner.example",
    contact="privacy@corner.example",
    language="en",
)
SLOTS = mime.Slots(
    to="nora@example.net",
    message_id="<0190f.7c2e@corner.example>",
    date="Mon, 23 Nov 2026 01:54:40 +0000",
    unsubscribe="https://corner.example/u/" + "x" * 300,
    preferences="https://corner.example/p/abc",
    why="https://corner.example/w/abc",
)
ONCE = (
    *(
        "Date",
        "From",
        "To",
        "Subject",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Precedence",
        "X-Auto-Response-Suppress",
    ),
    *("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "Content-Language"),
    *("List-Help", "List-Owner", "List-Post"),
)

# What people, and those who try to break in, put into a field.
naughty = st.one_of(
    st.text(max_size=400),
    st.sampled_from([
        "", ".", "..", ".\r\n.\r\n", "\r\nBcc: all@example.com\r\n\r\n", "=", "=\n", "=3D", "a=",
        " ", "\t ", "trailing ", "<script>alert(1)</script>", "\"'&<>", "{{ name }}", "\x00",
        "=?utf-8?b?aGk=?=", "--=_firsthand_alternative--", "😀" * 60, "é" * 200, "." * 200, "مرحبا",
        "=" * 100, "\u2028", "From me",
    ]),
)  # fmt: skip


def read(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def part(message: EmailMessage, subtype: str) -> str:
    body = message.get_body((subtype,))
    assert body is not None
    payload = body.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


def on_the_wire(raw: bytes) -> None:
    """RFC 5321, 5322: lines end in CRLF and nothing else, none is too long or begins with a dot."""
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", raw) is None
    assert raw.endswith(b"\r\n")
    assert not raw.startswith(b".")
    assert b"\r\n." not in raw
    assert raw.isascii()
    head, _, body = raw.partition(b"\r\n\r\n")
    assert all(
        len(line) <= 78 or line.startswith((b"List-Unsubscribe:", b"Message-ID", b"To:"))
        for line in head.split(b"\r\n")
    )
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert max(map(len, body.split(b"\r\n"))) <= 76


def test_it_works() -> None:
    skeleton = mime.skeleton(HEADING, ["Rye, ", 0], ["Hello ", 0, "!\n"], ["<p>Hello ", 0, "!</p>"])
    raw = skeleton.bytes_for(SLOTS, ["Zoë & <Co>"])
    on_the_wire(raw)
    message = read(raw)
    assert not message.defects
    assert all(len(message.get_all(name, [])) == 1 for name in ONCE)
    assert message["Subject"] == "Rye, Zoë & <Co>"
    assert message["From"] == "Corner Bäckerei <letter@corner.example>"
    assert message["List-Unsubscribe"] == f"<{SLOTS.unsubscribe}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == '"The Corner Letter" <corner-letter.lists.corner.example>'
    assert message["List-Post"] == "NO"
    assert [p.get_content_type() for p in message.iter_parts()] == ["text/plain", "text/html"]
    assert part(message, "plain") == "Hello Zoë & <Co>!\n\n"
    assert part(message, "html").strip() == "<p>Hello Zoë &amp; &lt;Co&gt;!</p>"


def test_a_long_unsubscribe_address_is_neither_folded_nor_encoded() -> None:
    raw = mime.skeleton(HEADING, ["s"], ["t"], ["h"]).bytes_for(SLOTS, [])
    assert f"\r\nList-Unsubscribe: <{SLOTS.unsubscribe}>\r\n".encode() in raw


def test_leaving_by_mail_comes_second() -> None:
    slots = mime.Slots(
        *(SLOTS.to, SLOTS.message_id, SLOTS.date, "https://c.example/u/1", "", ""),
        unsubscribe_mail="mailto:leave@c.example?subject=u-abc",
    )
    raw = mime.skeleton(HEADING, ["s"], ["t"], ["h"]).bytes_for(slots, [])
    wanted = "<https://c.example/u/1>, <mailto:leave@c.example?subject=u-abc>"
    assert read(raw)["List-Unsubscribe"] == wanted


@given(values=st.lists(naughty, min_size=3, max_size=3), constant=naughty)
def test_any_value_arrives_as_it_was(values: list[str], constant: str) -> None:
    constant = lines(constant)
    text: list[str | int] = ["a", 0, 1, constant, 2, "\n", 0]
    page: list[str | int] = [0, '<p title="', 1, f'">{html.escape(constant)}', 2, "</p>"]
    raw = mime.skeleton(HEADING, [0, " and ", 1], text, page).bytes_for(SLOTS, values)
    on_the_wire(raw)
    message = read(raw)
    assert all(len(message.get_all(name, [])) == 1 for name in ONCE)
    assert len(message.keys()) == len(ONCE)
    assert len(list(message.iter_parts())) == 2
    escaped = [html.escape(value) for value in values]
    wanted = "".join(p if isinstance(p, str) else values[p] for p in text)
    assert lines(part(message, "plain")) == lines(wanted + "\n")
    wanted = "".join(p if isinstance(p, str) else escaped[p] for p in page)
    assert lines(part(message, "html")) == lines(wanted + "\n")


def lines(text: str) -> str:
    """A mail has one kind of line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300))
def test_any_subject_is_read_back(text: str) -> None:
    raw = mime.skeleton(HEADING, [text], ["t"], ["h"]).bytes_for(SLOTS, [])
    on_the_wire(raw)
    assert str(read(raw)["Subject"]) == " ".join(text.split())


@given(name=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=150))
def test_any_sender_name_is_read_back(name: str) -> None:
    heading = mime.Heading(
        sender_name=name,
        sender_address="letter@corner.example",
        list_name=name,
        list_id="l.lists.example",
        contact="privacy@corner.example",
        language="en",
    )
    raw = mime.skeleton(heading, ["s"], ["t"], ["h"]).bytes_for(SLOTS, [])
    on_the_wire(raw)
    # Python 3.11's newer parser puts blanks between encoded words of a name; the old one is right.
    shown, address = parseaddr(message_from_bytes(raw)["From"])
    assert str(make_header(decode_header(shown))) == " ".join(name.split())
    assert address == "letter@corner.example"


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "a@b.example>\r\nBcc: <c@d.example"},
        {"to": "a@b.example\x00"},
        {"to": "a b@c.example"},
        {"to": "not an address"},
        {"message_id": "<a@b.example>\r\nX: y"},
        {"message_id": "a@b.example"},
        {"date": "today\r\nX: y"},
        {"unsubscribe": "https://c.example/\r\nX: y"},
        {"unsubscribe": "https://c.example/> <https://d.example"},
        {"unsubscribe": "javascript:alert(1)"},
        {"unsubscribe": "https://c.example/" + "x" * 1000},
        {"unsubscribe_mail": "mailto:a@b.example>\n"},
    ],
)
def test_a_header_takes_no_value_that_ends_it(wrong: dict[str, str]) -> None:
    given_slots = {name: getattr(SLOTS, name) for name in SLOTS.__struct_fields__}
    skeleton = mime.skeleton(HEADING, ["s"], ["t"], ["h"])
    with pytest.raises(ValueError, match=r"can stand there|longer than"):
        skeleton.bytes_for(mime.Slots(**{**given_slots, **wrong}), [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"sender_name": "A\r\nBcc: b@c.example"},
        {"sender_address": "a@b.example\n"},
        {"reply_to": "a@b.example, c@d.example"},
        {"list_id": "no dot"},
        {"list_id": "a." + "b" * 260},
        {"list_name": "A\x00"},
        {"language": "en\r\nX: y"},
        {"contact": "a@b.example>"},
    ],
)
def test_a_heading_takes_no_value_that_ends_it(wrong: dict[str, str]) -> None:
    given_fields = {name: getattr(HEADING, name) for name in HEADING.__struct_fields__}
    with pytest.raises(ValueError, match=r"can stand there|must not contain|longer than"):
        mime.skeleton(mime.Heading(**{**given_fields, **wrong}), ["s"], ["t"], ["h"])


def test_two_customers_differ_only_in_their_values() -> None:
    skeleton = mime.skeleton(HEADING, ["s"], ["Hello ", 0], ["<p>", 0, "</p>"])
    one, two = skeleton.bytes_for(SLOTS, ["Ana"]), skeleton.bytes_for(SLOTS, ["Noé"])
    assert one.replace(b"Ana", b"?") == two.replace(b"No=C3=A9", b"?")
    assert b"{0}" in skeleton.constants()
    assert b"Ana" not in skeleton.constants()


def test_a_value_only_in_the_page_does_not_borrow_another() -> None:
    skeleton = mime.skeleton(HEADING, ["s"], ["t", 0], ["<p>", 1, 0, 2, "</p>"])
    message = read(skeleton.bytes_for(SLOTS, ["zero", "one", "t&o"]))
    assert part(message, "html").strip() == "<p>onezerot&amp;o</p>"


def test_an_internationalised_address_goes_as_it_is() -> None:
    assert mime.needs_smtputf8("用户@example.com")
    assert not mime.needs_smtputf8("user@example.com")
    given_slots = {name: getattr(SLOTS, name) for name in SLOTS.__struct_fields__}
    slots = mime.Slots(**{**given_slots, "to": "用户@example.com"})
    raw = mime.skeleton(HEADING, ["s"], ["t"], ["h"]).bytes_for(slots, [])
    assert "\r\nTo: <用户@example.com>\r\n".encode() in raw


def test_a_date_is_written_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert mime.stamp(datetime(2026, 11, 23, 9, 0, tzinfo=tokyo)) == (
        "Mon, 23 Nov 2026 00:00:00 +0000"
    )
    with pytest.raises(ValueError, match="time zone"):
        mime.stamp(datetime(2026, 11, 23))  # noqa: DTZ001


def test_a_service_message_is_automatic_and_on_no_list() -> None:
    raw = mime.compose(
        mime.ServiceMessage(
            sender_name='Corner, "Bakery"',
            sender_address="hello@tx.corner.example",
            to="nora@example.net",
            subject="Bitte bestätigen: Der Rundbrief",
            text="Was it you?\n.dot\n",
            html="<p>Wärst du's?</p>\n",
            date=datetime(2026, 11, 23, tzinfo=UTC),
            message_id="<m1@corner.example>",
            language="de",
            reply_to="hello@corner.example",
        )
    )
    on_the_wire(raw)
    message = read(raw)
    assert message["Auto-Submitted"] == "auto-generated"
    assert not [name for name in message if name.lower().startswith("list-")]
    assert message["From"].addresses[0].display_name == 'Corner, "Bakery"'
    assert message["Subject"] == "Bitte bestätigen: Der Rundbrief"
    assert part(message, "plain") == "Was it you?\n.dot\n"
    assert part(message, "html") == "<p>Wärst du's?</p>\n"


def letter(text: str = "Was it you?\n", *attachments: Attachment) -> bytes:
    return mime.compose(
        mime.ServiceMessage(
            sender_name="Corner Bakery",
            sender_address="hello@tx.corner.example",
            to="nora@example.net",
            subject="Your receipt",
            text=text,
            html="<p>Was it you?</p>\n",
            date=datetime(2026, 11, 23, tzinfo=UTC),
            message_id="<m1@corner.example>",
            language="en",
            attachments=attachments,
        )
    )


@given(st.binary(max_size=4000), naughty)
def test_files_go_along(content: bytes, text: str) -> None:
    """Each is read back byte for byte, beside words that nothing of it gets into."""
    raw = letter(
        text,
        Attachment("receipt.json", "application/json", content),
        Attachment("receipt.jws", "application/jose", b""),
    )
    on_the_wire(raw)
    read = message_from_bytes(raw, policy=policy.default)
    assert isinstance(read, EmailMessage)
    assert read.get_content_type() == "multipart/mixed"
    files = list(read.iter_attachments())
    assert [each.get_filename() for each in files] == ["receipt.json", "receipt.jws"]
    assert [each.get_payload(decode=True) for each in files] == [content, b""]
    body = read.get_body(("plain",))
    assert body is not None
    alone = message_from_bytes(letter(text), policy=policy.default)
    assert isinstance(alone, EmailMessage)
    words = alone.get_body(("plain",))
    assert words is not None
    assert body.get_content() == words.get_content()


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("", "text/plain"),
        ('a"; x="', "text/plain"),
        ("a\r\nBcc: all@example.com", "text/plain"),
        ("a.txt", "text"),
        ("a.txt", "text/plain\r\nBcc: all@example.com"),
    ],
)
def test_a_file_brings_no_header_of_its_own(name: str, media_type: str) -> None:
    with pytest.raises(ValueError, match="Content-"):
        letter("", Attachment(name, media_type, b""))
