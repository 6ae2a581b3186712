"""A newsletter as a file: bytes in whatever encoding to subject and source."""

from __future__ import annotations

import codecs
import re
from html import unescape
from pathlib import PurePath
from typing import Literal

from msgspec import Struct

from crm.campaigns import merge
from crm.errors import Invalid, Problem

Kind = Literal["markdown", "html"]

LARGEST = 1_000_000  # bytes; Gmail cuts a mail at 102 kB, so a longer source is a mistake

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
# A label of a file's own choice must not reach Python's odder codecs (unicode_escape, utf_7).
_KNOWN_CHARSET = re.compile(
    r"utf-?8|windows-\d+|iso-8859-\d+|koi8-[ru]|shift_jis|euc-(jp|kr)|iso-2022-jp|gb2312|gbk|gb18030|big5"
)
_COMMENTS = re.compile(r"(\s|<!--.*?-->|<\?xml[^>]*>)*", re.DOTALL)
_PAGE = re.compile(r"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_BLOCK = re.compile(r"<(h[1-6]|p|div|table|section|article|header|center)\b", re.IGNORECASE)
_FRONT = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_LINE = re.compile(r"([A-Za-z][\w-]*)[ \t]*:(?:[ \t]+(.*))?")
_META_LINE = re.compile(r"[A-Za-z][\w-]*:[ \t]*\S.*")
_TITLE = re.compile(r"<title[^>]{0,200}>(.{0,1000}?)</title>", re.IGNORECASE | re.DOTALL)
_HTML_HEADING = re.compile(r"<(h[1-6])\b[^>]{0,500}>(.{0,1000}?)</\1>", re.IGNORECASE | re.DOTALL)
_HTML_LANGUAGE = re.compile(r"<html\b[^>]*?\blang\s*=\s*[\"']?([A-Za-z-]+)", re.IGNORECASE)
_TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+(\S.*)$|^(\S.*)\n {0,3}(?:=+|-{3,})[ \t]*$", re.MULTILINE
)
_MARKDOWN = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])|[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")
_LONGEST_SUBJECT = 200
_TOP = 100_000  # characters in which a heading is looked for


class Newsletter(Struct, frozen=True):
    """What a file held: ready to be a campaign's draft, with what a person should know about it."""

    subject: str
    source: str
    kind: Kind
    preheader: str = ""
    language: str = ""
    warnings: tuple[str, ...] = ()


def read_newsletter(data: bytes, file_name: str) -> Newsletter:
    """Read a Markdown or HTML file; `{{ … }}` that is no merge field of ours stays as written."""
    if len(data) > LARGEST:
        raise _refused(
            f"{file_name} is larger than {LARGEST // 1000} kB. A mail is cut off at 102."
        )
    if not data.strip():
        raise _refused(f"{file_name} is empty.")
    text, warnings = _decoded(data, file_name)
    kind = _kind(text, file_name)
    meta, source = ({}, text) if kind == "html" else _front_matter(text)
    if not source.strip():
        raise _refused(f"{file_name} holds a heading, but no text.")
    source, foreign = merge.escaped_unknown(source)
    if foreign:
        shown = ", ".join(foreign[:5]) + (" …" if len(foreign) > 5 else "")  # noqa: PLR2004
        warnings.append(f"Not a merge field, so shown as it is written: {shown}")
    return Newsletter(
        subject=_subject(meta, source, kind, file_name),
        source=source,
        kind=kind,
        preheader=_one_line(_first(meta, "preheader", "excerpt", "description", "summary")),
        language=_language(meta, text if kind == "html" else ""),
        warnings=tuple(warnings),
    )


def _refused(sentence: str) -> Invalid:
    return Invalid(sentence, [Problem("file", sentence)])


def _decoded(data: bytes, file_name: str) -> tuple[str, list[str]]:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            text = data[len(bom) :].decode(encoding, "replace")
            warnings: list[str] = []
            break
    else:
        text, warnings = _without_bom(data)
    if "\x00" in text:
        raise _refused(f"{file_name} is not a text file.")
    return text.replace("\r\n", "\n").replace("\r", "\n"), warnings


def _without_bom(data: bytes) -> tuple[str, list[str]]:
    declared = _CHARSET.search(data[:4096])
    if declared:
        label = declared[1].decode().lower()
        # What calls itself latin-1 or ASCII is windows-1252 (WHATWG Encoding, §4.2).
        name = "windows-1252" if label in {"iso-8859-1", "latin1", "us-ascii", "ascii"} else label
        try:
            if _KNOWN_CHARSET.fullmatch(name):
                return data.decode(name), []
        except (LookupError, UnicodeDecodeError):
            pass
    try:
        return data.decode(), []
    except UnicodeDecodeError:
        text = data.decode("windows-1252", "replace")
        return text, ["The file is not UTF-8; it was read as windows-1252. Look at its letters."]


def _kind(text: str, file_name: str) -> Kind:
    start = text[_end_of_comments(text) :]
    if PurePath(file_name).suffix.lower() in {".html", ".htm", ".xhtml"} or _PAGE.match(start):
        return "html"
    whole = _BLOCK.match(start) and text.rstrip().endswith(">") and not _HEADING.search(text)
    return "html" if whole else "markdown"


def _end_of_comments(text: str) -> int:
    found = _COMMENTS.match(text)
    return found.end() if found else 0


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    """Take off YAML between `---` lines, or Pelican's first lines of `Title: …`."""
    text = text.lstrip("\n")
    found = _FRONT.match(text)
    if found:
        return _yaml(found[1]), text[found.end() :]
    head, _, rest = text.partition("\n\n")
    lines = head.split("\n")
    if all(_META_LINE.fullmatch(line) for line in lines):
        meta = {
            key.strip().lower(): value.strip()
            for key, _, value in (ln.partition(":") for ln in lines)
        }
        if "title" in meta:
            return meta, rest
    return {}, text


def _yaml(block: str) -> dict[str, str]:
    """Read the top level only: `key: value`, quoted or folded; what is nested is passed over."""
    meta: dict[str, str] = {}
    folding = ""
    for line in block.split("\n"):
        found = _FRONT_LINE.fullmatch(line)
        if found:
            key, value = found[1].lower(), (found[2] or "").strip()
            folding = key if value in {">", "|", ">-", "|-", ">+", "|+"} else ""
            meta[key] = "" if folding else _unquoted(value)
        elif folding and line[:1] in {" ", "\t"}:
            meta[folding] = f"{meta[folding]} {line.strip()}".strip()
        elif line.strip():
            folding = ""
    return meta


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value


def _first(meta: dict[str, str], *names: str) -> str:
    return next((meta[name] for name in names if meta.get(name)), "")


def _subject(meta: dict[str, str], source: str, kind: Kind, file_name: str) -> str:
    written = _first(meta, "subject", "title")
    source = source[:_TOP]
    if not written and kind == "html":
        title = _TITLE.search(source)
        written = _plain(title[1]) if title else ""
        headings = (_plain(found[2]) for found in _HTML_HEADING.finditer(source))
        written = written or next((heading for heading in headings if heading), "")
    elif not written:
        heading = _HEADING.search(source)
        first = (heading[1] or heading[2])[:1000] if heading else ""
        written = _MARKDOWN.sub(r"\1", first.rstrip(" \t#"))
    subject = _one_line(written) or PurePath(file_name).stem.replace("-", " ").replace("_", " ")
    return subject[:_LONGEST_SUBJECT]


def _plain(fragment: str) -> str:
    return _one_line(unescape(_TAG.sub(" ", fragment)))


def _one_line(text: str) -> str:
    return merge.escaped_unknown(" ".join(text.split()))[0]


def _language(meta: dict[str, str], page: str) -> str:
    found = _HTML_LANGUAGE.search(page[:5000])
    language = _first(meta, "lang", "language", "locale") or (found[1] if found else "")
    return language if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", language) else ""
