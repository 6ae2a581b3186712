"""In which encoding a file of text is: tried one by one, and the guess is told."""

import codecs
import re
from hashlib import sha256
from typing import BinaryIO

from msgspec import Struct

from crm.imports.columns import Unreadable

_CHUNK = 1 << 16
_ESCAPED = re.compile("[\udc80-\udcff]+")
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PACKED = (
    (b"\x1f\x8b", "This is a gzip archive. "),
    (b"%PDF", "This is a PDF. "),
    (b"\xd0\xcf\x11\xe0", "This is an Excel workbook. "),
)
# What the uploader may name when the guess was wrong.
ENCODINGS = (
    "utf-8",
    "utf-16",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "koi8-r",
    "shift_jis",
    "euc-jp",
    "euc-kr",
    "gb18030",
    "big5",
)


class Measured(Struct, frozen=True):
    """What one pass over a file found out.

    `guessed` when the bytes allow another reading; `damaged` when some of them are not of the
    encoding (such bytes become lone surrogates); `nul` when there are NUL characters.
    """

    encoding: str
    guessed: bool
    damaged: bool
    nul: bool
    sha256: str
    size: int


def measure(source: BinaryIO, *, named: str | None, size_limit: int) -> Measured:
    """Read the file once, in small pieces, and say what it is; Unreadable if it is not text."""
    source.seek(0)
    head = source.read(_CHUNK)
    for mark, what in _PACKED:
        if head.startswith(mark):
            raise Unreadable(f"{what}Unpack it or save it as CSV (UTF-8), and import that.")
    encoding, guessed = _by_mark(head, named)
    # UTF-16 has no bytes to put aside: half a character shifts all that follow.
    errors = "strict" if encoding.startswith("utf-16") else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    try:
        tally = _count(source, head, decoder, size_limit)
    except UnicodeDecodeError:
        raise Unreadable(
            f"The file begins as {encoding} and then breaks off or is damaged. Export it again."
        ) from None
    return _settle(tally, encoding, guessed=guessed)


def _by_mark(head: bytes, named: str | None) -> tuple[str, bool]:
    if named is not None:
        if named not in ENCODINGS:
            raise Unreadable(
                f"The encoding “{named[:40]}” is not known here. Use one of: {', '.join(ENCODINGS)}"
            )
        return ("utf-8-sig" if named == "utf-8" else named), False
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, False
    # Without a mark UTF-16 shows by a NUL in every other byte of its ASCII part, the header.
    start = head[:200]
    if start.count(b"\0") > len(start) // 3:
        return ("utf-16-le" if start[1:2] == b"\0" else "utf-16-be"), True
    return "utf-8-sig", False


class _Tally(Struct):
    """What the pass counts: bytes put aside, characters beyond ASCII, and what is not text."""

    sha256: str = ""
    size: int = 0
    broken: int = 0
    wide: int = 0
    nul: bool = False
    control: bool = False

    def take(self, text: str) -> None:
        """Count one piece of decoded text."""
        self.nul = self.nul or "\0" in text
        if text.isascii():
            return
        try:
            self.wide += len(text.encode()) - len(text)
        except UnicodeEncodeError:
            broken = sum(map(len, _ESCAPED.findall(text)))
            self.broken += broken
            self.wide += len(text) - len(text.encode("ascii", "ignore")) - broken


def _count(
    source: BinaryIO, head: bytes, decoder: codecs.IncrementalDecoder, size_limit: int
) -> _Tally:
    tally, digest, chunk = _Tally(control=_CONTROL.search(head) is not None), sha256(), head
    while chunk:
        tally.size += len(chunk)
        if tally.size > size_limit:
            raise Unreadable(
                f"The file is larger than {size_limit / 1_000_000:,.1f} MB. Split it and import "
                "the parts one after the other."
            )
        digest.update(chunk)
        tally.take(decoder.decode(chunk))
        chunk = source.read(_CHUNK)
    tally.take(decoder.decode(b"", final=True))
    tally.sha256 = digest.hexdigest()
    return tally


def _settle(tally: _Tally, encoding: str, *, guessed: bool) -> Measured:
    """Tell a slip in a file of UTF-8 from a file that has another encoding throughout."""
    if tally.broken > tally.wide and encoding == "utf-8-sig":
        if tally.control or tally.nul:
            raise Unreadable("This is not a file of text. Export the list as CSV (UTF-8).")
        encoding, guessed = "windows-1252", True
    return Measured(
        encoding=encoding,
        guessed=guessed,
        damaged=tally.broken > 0,
        nul=tally.nul,
        sha256=tally.sha256,
        size=tally.size,
    )
