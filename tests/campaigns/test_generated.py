"""Thousands of messages, looked at as bytes: two readers that share no code agree on each."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest

from crm.businesses.image import Image
from crm.campaigns import reader
from crm.campaigns.merge import escaped_unknown
from crm.campaigns.render import Compiled, Draft, compile_message
from crm.campaigns.source import read_newsletter
from crm.campaigns.web_address import is_web_address
from crm.mail.mime import Slots
from tests.campaigns.mails import LETTERHEAD, SHARED, slots
from tests.campaigns.test_render import OWN

_FIELDS = "\n\nDear {{ name | default('reader') }} of {{ attribute.city }} {{ address }}\n"
_PICTURE = Image("rye.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
# What breaks composers: ends of lines and of headers, dots, boundaries, encodings, turned text.
_NAUGHTY = (
    "",
    " ",
    ".",
    "..\r\n.\r\n",
    "a\r\nBcc: all@example.com\r\n\r\nb",
    "a\nSubject: b",
    "a\rb\x00c\x0b\x0c\x1b\x85\u2028\u2029d",
    "--=_firsthand_alternative--",
    "=\r\n=3D=_=?utf-8?q?x?=",
    "=?utf-8?b?QQ==?= =?utf-8?b?Qg==?=",
    '"quoted" <x@example.com>, other',
    "From me",
    "<script>alert(1)</script>&amp;{{ name }}{% if x %}",
    "\u202eevil\u2066\u2067x\u200f\u061c",
    "\u0644\u064a\u0644\u0649 \u05d3\u05d5\u05d3 \u5f20\u4f1f \U0001f9d1\u200d\U0001f33e",
    "e\u0301" * 200,
    "\ud800 alone",
    "x" * 3000,
    "\u00fc" * 3000,
    " trailing \t",
)
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ONCE = (
    "Date", "From", "To", "Message-ID", "Subject", "MIME-Version", "Content-Type", "List-Id",
    "List-Unsubscribe", "List-Unsubscribe-Post",
)  # fmt: skip
_VALUES = (
    [*_NAUGHTY, *json.loads((SHARED / "names-locales" / "blns.json").read_text())]
    if (SHARED / "names-locales" / "blns.json").exists()
    else list(_NAUGHTY)
)
# Such values reach no mail.
_VALUES = [value for value in _VALUES if not is_web_address(value)]
FILES = sorted((*OWN.glob("*.*"), *(SHARED / "newsletters").glob("*.*")))


def insist(raw: bytes, *, fields: Slots) -> tuple[str, str]:
    """Check the bytes of a message, and return its text and page, as both readers see them."""
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\x00" not in raw
    head, _, body = raw.partition(b"\r\n\r\n")
    assert max(map(len, head.split(b"\r\n"))) <= 998
    lines = body.split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not any(line.startswith(b".") for line in lines)
    assert body.isascii()
    standard = message_from_bytes(raw, policy=policy.default.clone(utf8=True))
    ours = reader.read(raw)
    assert isinstance(standard, EmailMessage)
    for name in _ONCE:
        assert (len(standard.get_all(name, [])), len(ours.every(name))) == (1, 1), name
    assert standard["To"].addresses[0].addr_spec == fields.to
    assert not standard.get_all("Bcc")
    leaves = [part for part in standard.walk() if not part.is_multipart()]
    assert not any(part.defects for part in standard.walk())
    assert [part.get_content_type() for part in leaves] == [each.media_type for each in ours.parts]
    for theirs, mine in zip(leaves, ours.parts, strict=True):
        content = theirs.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert content.replace(b"\r\n", b"\n") == mine.content.replace(b"\r\n", b"\n")
        if mine.media_type.startswith("text/"):
            assert mine.text == content.decode().replace("\r\n", "\n").replace("\r", "\n")
    return ours.parts[0].text, ours.parts[1].text


def composed(path: Path, subject: str) -> Compiled:
    """A real newsletter with fields, a picture and some subject."""
    taken = read_newsletter(path.read_bytes(), path.name)
    picture = (
        '<p><img src="rye.png" alt="Rye"></p>' if taken.kind == "html" else "\n![Rye](rye.png)"
    )
    draft = Draft(
        subject=escaped_unknown(subject)[0] + " {{ name }}",
        source=f"{taken.source}{_FIELDS}{picture}",
        kind=taken.kind,
        purpose="The Letter",
        list_id="letter.bakery.example",
        locale=taken.language,
        preheader="{{ name }}",
        images=(_PICTURE,),
    )
    return compile_message(draft, LETTERHEAD)


def readers(seed: str, count: int) -> Iterator[tuple[dict[str, str], Slots]]:
    """Invented readers with values of every kind, the same at every run."""
    chance = random.Random(seed)
    for number in range(count):
        values = {name: chance.choice(_VALUES) for name in ("name", "attribute.city")}
        mine = slots(number)
        yield values | {"address": mine.to}, mine


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_newsletter_to_readers_of_all_kinds(path: Path) -> None:
    """Whatever is in a newsletter and in values, the bytes keep to the standards."""
    size = len(path.read_bytes())
    message = composed(path, f"{path.stem} \N{BREAD}")
    for values, mine in readers(path.name, 30 if size < 20_000 else 8):
        text, page = insist(message.bytes_for(values, mine), fields=mine)
        assert "\u202e" not in text
        assert mine.unsubscribe in text
        assert mine.unsubscribe in page


def test_every_value_everywhere_a_field_may_stand() -> None:
    """Subject, preview line, heading, text, table, code, and filtered: each naughty string."""
    source = (
        "# {{ name }}\n\n{{ name }}\n\n.{{ name }}.\n\n| {{ name }} |\n|---|\n| {{ name }} |\n\n"
        "`{{ name }}`\n\n> {{ name | upper }} {% if name %}{{ name }}!{% endif %}\n"
    )
    draft = Draft(
        subject="{{ name }}",
        preheader="{{ name }}",
        source=source,
        kind="markdown",
        purpose="The Letter",
        list_id="letter.bakery.example",
    )
    message = compile_message(draft, LETTERHEAD)
    for number, value in enumerate(_VALUES):
        mine = slots(number)
        text, _ = insist(message.bytes_for({"name": value}, mine), fields=mine)
        shown = value.encode("utf-8", "replace").decode()
        shown = _TURNING.sub("", shown).replace("\r\n", "\n").replace("\r", "\n")
        if value.strip():
            # A web address is no name, and is in nobody's mail.
            assert f".{'' if is_web_address(shown) else shown}." in text


@pytest.mark.parametrize("letter", ["x", "\u00fc", "\u4e2d", ".", "=", "<", "\r\n", "\u202e"])
def test_a_megabyte_of_anything(letter: str) -> None:
    draft = Draft(
        subject="Long",
        source="Dear {{ name }}, rye.",
        kind="markdown",
        purpose="The Letter",
        list_id="letter.bakery.example",
    )
    value = letter * (1_000_000 // len(letter.encode()))
    mine = slots(1)
    raw = compile_message(draft, LETTERHEAD).bytes_for({"name": value}, mine)
    text, _ = insist(raw, fields=mine)
    assert len(text) > 300_000 or letter in "\r\n\u202e"


@pytest.mark.parametrize("value", _NAUGHTY)
def test_a_subject_of_any_kind_is_one_header(value: str) -> None:
    """The same whether it is written or filled in."""
    mine = slots(1)
    raw = composed(OWN / "bakery-ar.md", value).bytes_for({"name": value}, mine)
    insist(raw, fields=mine)


@pytest.mark.parametrize(
    "field",
    ["to", "message_id", "date", "unsubscribe", "preferences", "why", "unsubscribe_mail"],
)
def test_no_header_takes_another(field: str) -> None:
    """Refused, or written where it can do no harm."""
    message = composed(OWN / "baeckerei-de.md", "One")
    for ending in (
        "\r\nBcc: all@example.com",
        "\nX: y",
        "\rX: y",
        "\x00",
        "\r\n\r\nbody",
        "\u2028X",
    ):
        mine = slots(1)
        wrong = msgspec.structs.replace(mine, **{field: getattr(mine, field) + ending})
        try:
            raw = message.bytes_for({"name": "Nora"}, wrong)
        except ValueError:
            continue
        assert field in {"preferences", "why"}  # these stand in the text alone
        insist(raw, fields=mine)


def test_a_turned_value_turns_nothing_after_it() -> None:
    """Overrides, embeddings and isolates are taken out of values; marks that place a word stay."""
    draft = Draft(
        subject="{{ name }} has rye",
        source="Dear {{ name }}, there is rye. {{ name | trim }} {{ name | upper }}",
        kind="markdown",
        purpose="The Letter",
        list_id="letter.bakery.example",
    )
    message = compile_message(draft, LETTERHEAD)
    values = {"name": "\u202eNora\u2067\u200f \u05d0"}
    mine = slots(1)
    raw = message.bytes_for(values, mine)
    text, page = insist(raw, fields=mine)
    for shown in (text, page, reader.read(raw).first("Subject"), message.preview(values).html):
        assert "Nora\u200f \u05d0" in shown
        assert not _TURNING.search(shown)
