"""A newsletter comes as a file in whatever shape other tools left it."""

from __future__ import annotations

import codecs
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.campaigns.source import LARGEST, read_newsletter
from crm.errors import Invalid

OWN = Path(__file__).parents[1] / "fixtures" / "newsletters"


def test_front_matter_gives_subject_preheader_and_language() -> None:
    letter = read_newsletter((OWN / "bakery-ja.md").read_bytes(), "bakery-ja.md")
    assert letter.subject == "土曜日のライ麦パン：夏の営業時間"
    assert letter.preheader == "今週から土曜日もライ麦パンを焼きます。 開店は朝七時です。"
    assert letter.language == "ja"
    assert letter.kind == "markdown"
    assert "lang:" not in letter.source
    assert letter.warnings == ("Not a merge field, so shown as it is written: {{ page.title }}",)


def test_pelican_lines_give_the_subject() -> None:
    letter = read_newsletter((OWN / "baeckerei-de.md").read_bytes(), "baeckerei-de.md")
    assert letter.subject == "Roggenbrot am Samstag"
    assert letter.source.startswith("Guten Tag {{ name }}")


def test_a_heading_gives_the_subject() -> None:
    letter = read_newsletter((OWN / "bakery-ar.md").read_bytes(), "bakery-ar.md")
    assert letter.subject == "خبز الجاودار يوم السبت"


def test_a_page_saved_by_word_is_read_in_its_own_encoding() -> None:
    letter = read_newsletter((OWN / "word.htm").read_bytes(), "word.htm")
    assert letter.kind == "html"
    assert letter.subject == "Brød på lørdag – «nytt»"
    assert "Kjære kunde" in letter.source
    assert "\r" not in letter.source


@pytest.mark.parametrize(
    ("data", "name", "subject", "kind"),
    [
        (b"Hello *you*", "the-may-letter.md", "the may letter", "markdown"),
        (b"# A `b` [c](https://d.example) **e**\n\nx", "x.md", "A b c e", "markdown"),
        (b"Title\n=====\n\nx", "x.md", "Title", "markdown"),
        (b'---\ntitle: "It\'s \\"x\\""\n---\nx', "x.md", 'It\'s "x"', "markdown"),
        (b"---\ntitle: 'It''s'\n---\nx", "x.md", "It's", "markdown"),
        (b"---\r\nsubject: S\r\ntitle: T\r\n---\r\nx", "x.md", "S", "markdown"),
        (b"---\nnot front matter", "x.md", "x", "markdown"),
        (b"Note: this is prose\n\nx", "x.md", "x", "markdown"),
        (b"<!doctype html><title>A &amp; B</title><p>x", "x.txt", "A & B", "html"),
        (b"<!-- made by x --><h2>One</h2>\n<p>x</p>\n", "x.md", "One", "html"),
        (b"<p align=center>logo</p>\n\n# Two\n\n*x*", "x.md", "Two", "markdown"),
        (b"<title> </title><h1> </h1><h3>Three</h3>x", "x.html", "Three", "html"),
        (b"# {{ oops }}\n\nx", "x.md", r"\{{ oops }}", "markdown"),
    ],
)
def test_subject_and_kind(data: bytes, name: str, subject: str, kind: str) -> None:
    letter = read_newsletter(data, name)
    assert (letter.subject, letter.kind) == (subject, kind)


@pytest.mark.parametrize(
    "data",
    [
        "# Grüße\n\nx".encode(),
        codecs.BOM_UTF8 + "# Grüße\n\nx".encode(),
        codecs.BOM_UTF16_LE + "# Grüße\n\nx".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "# Grüße\n\nx".encode("utf-16-be"),
        "# Grüße\r\n\r\nx".encode("windows-1252"),
    ],
)
def test_encodings(data: bytes) -> None:
    letter = read_newsletter(data, "x.md")
    assert letter.subject == "Grüße"
    assert bool(letter.warnings) == ("Grüße".encode("windows-1252") in data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"x" * (LARGEST + 1), "larger"),
        (b"\x89PNG\x00\x00", "not a text file"),
        (b"---\ntitle: x\n---\n\n", "no text"),
    ],
)
def test_what_is_no_newsletter_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        read_newsletter(data, "x.md")


def test_a_charset_of_its_own_making_is_not_followed() -> None:
    page = b'<meta charset="unicode_escape"><h1>A\\x41</h1>'
    assert read_newsletter(page, "x.html").subject == r"A\x41"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(Invalid):
        assert read_newsletter(data, "x.md").subject
