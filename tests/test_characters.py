"""Text of mail: by charsets alone it is decoded, and what is kept of it PostgreSQL takes."""

import sys
import unicodedata
from collections.abc import Callable
from functools import partial
from time import process_time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.campaigns import reader
from crm.campaigns.canary import canary_marks
from crm.characters import charset, composed, parted, piled, storable
from crm.inbound import parts
from tests.conftest import KEYS

_NO_CHARSETS = ("punycode", "idna", "unicode_escape", "raw_unicode_escape", "zlib", "rot13", "hex")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("UTF-8", "utf_8"),
        ("iso-8859-1", "latin_1"),
        ("Windows-1252", "cp1252"),
        ("ANSI_X3.4-1968", "ascii"),
        ("ks_c_5601-1987", "euc_kr"),
        ("iso-2022-jp", "iso2022_jp"),
    ],
)
def test_a_charset_is_known_by_every_name(name: str, known: str) -> None:
    assert charset(name) == known


@pytest.mark.parametrize("name", [*_NO_CHARSETS, "", "x-unheard-of", "\0", "a" * 1_000_000])
def test_what_is_no_charset_is_refused(name: str) -> None:
    with pytest.raises(LookupError):
        charset(name)


@given(text=st.text(st.characters(), max_size=50))
def test_any_text_becomes_one_that_can_be_stored(text: str) -> None:
    stored = storable(text)
    assert "\0" not in stored
    assert stored.encode().decode() == stored
    assert storable(stored) == stored


@pytest.mark.parametrize(
    "text", ["Cafe\u0301", "Đỗ Thị Hà", "مُحَمَّد", "שָׁלוֹם", "नमस्ते", "e" + "\u0301" * 30]
)
def test_what_people_write_is_only_composed(text: str) -> None:
    assert not piled(text)
    assert composed(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("mark", ["\u0301", "\u0301\u0316", "\u0344", "\u0f73"])
def test_a_pile_of_marks_is_parted_where_nobody_sees_it(mark: str) -> None:
    text = f"one a{mark * 40} two"
    assert piled(text)
    assert parted(text).replace("\u034f", "") == text
    assert not piled(parted(text))


def test_no_character_has_more_marks_than_a_pile_is_looked_for_by() -> None:
    """A pile is looked for only where so many characters that are nothing but marks stand."""
    for char in map(chr, range(sys.maxunicode + 1)):
        found = [unicodedata.combining(each) > 0 for each in unicodedata.normalize("NFKD", char)]
        assert sum(found) <= (2 if all(found) else 3), hex(ord(char))
        assert ord(char) < 0x20000 or not any(found), hex(ord(char))


@pytest.mark.parametrize(
    ("text", "is_pile"),
    [
        ("\u1f82" + "\u0344" * 14, True),
        ("\u1f82" + "\u0344" * 13, False),
        ("1" + "\u0344" * 15, False),
        ("1" + "\u0344" * 16, True),
        ("a" + "\U0001e94a" * 31, True),
        ("a" + "\uff9e" * 31, True),
        ("a" + "\u0301" * 30 + "a" + "\u0301" * 30, False),
        ("a" + "\U00010400" * 31, False),
    ],
)
def test_a_pile_is_found_where_it_begins(text: str, *, is_pile: bool) -> None:
    for around in ("", "a", "é" * 13, "नमस्ते "):
        assert piled(around + text + around) == is_pile


@given(
    text=st.text(st.sampled_from("aé\u1ea5\u0301\u0316\u0344\u0f73\uff9e\u0345가"), max_size=200)
)
def test_what_is_composed_stays_as_it_is(text: str) -> None:
    once = composed(text)
    assert composed(once) == once
    assert not piled(once)


@pytest.mark.parametrize("mark", ["\u0301\u0316", "\u0344\u0316", "\u0f73", "\uff9e\u0316"])
def test_marks_are_composed_in_linear_time(mark: str) -> None:
    def took(size: int) -> float:
        text = "a" + mark * (size // len(mark))
        began = process_time()
        composed(text)
        return process_time() - began

    assert took(300_000) < 40 * max(took(30_000), 0.005)


@pytest.mark.parametrize("name", ["José García ", "Nguyễn Văn Tường ", "नमस्ते दुनिया "])
def test_names_are_composed_in_little_more_than_it_takes_to_normalize_them(name: str) -> None:
    text = unicodedata.normalize("NFD", name) * 20_000

    def took(compose: Callable[[str], str]) -> float:
        began = process_time()
        assert len(compose(text)) <= len(text)
        return process_time() - began

    composed(text[:100])
    plain = took(partial(unicodedata.normalize, "NFC"))
    assert took(composed) < 4 * max(plain, 0.005)


@pytest.mark.parametrize("name", _NO_CHARSETS)
def test_a_mail_is_read_by_no_other_codec(name: str) -> None:
    """Its letters are what they are in UTF-8, in both readers; a header stays as it is written."""
    said = b"Caf\xc3\xa9\\u0041 789c-0"
    head = f"Subject: =?{name}?q?A=5Cu0041?=\nContent-Type: text/plain; charset={name}\n\n"
    raw = head.encode() + said
    message = reader.read(raw)
    assert message.parts[0].text == said.decode()
    assert message.first("Subject") == f"=?{name}?q?A=5Cu0041?="
    mail = parts.parse(raw)
    assert parts.written(mail) == said.decode()
    assert parts.field(mail, "Subject") == f"=?{name}?q?A=5Cu0041?="


@pytest.mark.parametrize(
    ("head", "again"),
    [
        (b"Content-Type: text/plain; charset=punycode\n\nab-", b"a"),
        (b"Content-Type: text/plain; charset=punycode\n\nab-\xff", b"a"),
        (b"Subject: =?punycode?q?ab-", b"a"),
        (b"Subject: Rye\n", b" Rye\n"),
    ],
    ids=["body", "bytes", "word", "folded"],
)
def test_a_mail_is_looked_at_in_linear_time(head: bytes, again: bytes) -> None:
    def took(size: int) -> float:
        raw = b"From: nora@rye.example\n" + head + again * (size // len(again)) + b"?=\n"
        began = process_time()
        canary_marks(KEYS, UUID(int=1), raw)
        parts.written(parts.parse(raw[: parts.LONGEST_HEAD]))
        return process_time() - began

    assert took(1_000_000) < 40 * max(took(100_000), 0.005)
