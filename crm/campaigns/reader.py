"""Our own reader of a message as it arrived (RFC 5322, 2045, 2046, 2047), apart from the composer.

It shares no code with what writes messages, so that the linter does not believe the composer; and
it takes what relays make of a message: other encodings, other line ends, more headers.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from itertools import chain

from msgspec import Struct

from crm.characters import charset as charset_of

_DEEPEST = 20
_MOST_PARTS = 200
_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
# Who it is from and to whom one answers: words, and then an address, which is never encoded.
PHRASED = frozenset({"from", "reply-to", "list-id"})
_PHRASE = re.compile(r'((?:[^"<]|"(?:[^"\\]|\\.)*+")*+)(<.*)', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"|([^"]+)')
# What every mail program reads, and reads alike.
_CHARSET = re.compile(
    r"(?:us-)?ascii|utf-?8|iso-8859-(?:[1-9]|1[0-6])|windows-125[0-8]", re.IGNORECASE
)
_PARAMETER = re.compile(r';\s*([A-Za-z0-9_.*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]")
_END_OF_DELIMITER = re.compile(rb"(--)?[ \t]*(?=\n|\Z)")
# What says how a part is to be read: of two, some programs obey the first and some the last.
_HOW = (
    "Content-Type",
    "Content-Transfer-Encoding",
    "MIME-Version",
    "Content-Disposition",
    "Content-ID",
)
_HOW_PARAMETERS = ("boundary", "charset")


class Part(Struct, frozen=True):
    """One leaf of a message, decoded; `within` names the multiparts around it, outermost first."""

    media_type: str
    within: tuple[str, ...]
    content: bytes
    charset: str = ""
    content_id: str = ""
    disposition: str = ""
    # Header fields, of this part or one around it, that tell two ways to read it: with what they
    # say, of which there is one where it contradicts itself. Said twice alike is one way.
    doubtful: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def legible(self) -> bool:
        """Whether its text is in a charset of which all mail programs make the same letters."""
        try:
            _strictly(self.content, self.charset or "us-ascii")
        except (LookupError, UnicodeError):
            return False
        return True

    @property
    def text(self) -> str:
        """The characters of a text part, with line feeds only."""
        raw = self.content
        for charset in (self.charset or "utf-8", "utf-8", "windows-1252"):
            try:
                found = raw.decode(charset_of(charset))
                break
            except (LookupError, UnicodeError, ValueError):
                continue
        else:
            found = raw.decode("latin-1")
        return found.replace("\r\n", "\n").replace("\r", "\n")


class Message(Struct, frozen=True):
    """A message, read: its fields in their order, unfolded and decoded, and its leaves.

    Decoded is only what mail programs decode (RFC 2047 §5): a subject, and the words before an
    address, from which quotation marks and backslashes are taken.
    """

    fields: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]

    def every(self, name: str) -> list[str]:
        """Return the values of all fields of this name."""
        return [value for known, value in self.fields if known.lower() == name.lower()]

    def first(self, name: str) -> str:
        """Return the first field of this name, or nothing."""
        return next(iter(self.every(name)), "")


def read(raw: bytes) -> Message:
    """Read a message; whatever is wrong in it is read as far as it makes sense."""
    fields, body = _split(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    parts = list(_leaves(fields, body, ()))
    shown = tuple((name, _shown(name.lower(), value)) for name, value in fields)
    return Message(shown, tuple(parts[:_MOST_PARTS]))


def _shown(name: str, value: str) -> str:
    if name == "subject":
        return _decoded_words(value)
    found = _PHRASE.fullmatch(value) if name in PHRASED else None
    if found is None:
        return " ".join(value.split())
    words = [
        _decoded_words(each[2]) if each[1] is None else each[1]
        for each in _QUOTED.finditer(found[1])
    ]
    return " ".join([*unquoted(" ".join(words)).split(), *found[2].split()])


def unquoted(phrase: str) -> str:
    """Return words before an address without what only says that they are words."""
    return phrase.replace('"', "").replace("\\", "")


def _decoded_words(value: str) -> str:
    """Decode encoded words between blanks (RFC 2047 §5); those in a row are one."""
    out: list[str] = []
    before = False
    for each in value.split():
        found = _WORD.fullmatch(each)
        text = _word(found) if found else None
        out += ["" if before and text is not None else " ", each if text is None else text]
        before = text is not None
    return " ".join("".join(out).split())


def _word(found: re.Match[str]) -> str | None:
    """Decode one; None where not all mail programs would, or not alike."""
    charset, kind, text = found[1], found[2].lower(), found[3]
    raw = text.encode("latin-1", "replace")
    raw = _base64(raw) if kind == "b" else binascii.a2b_qp(raw, header=True)
    try:
        return _strictly(raw, charset)
    except (LookupError, UnicodeError):
        return None


def _strictly(raw: bytes, charset: str) -> str:
    if not _CHARSET.fullmatch(charset):
        raise LookupError(charset)
    return raw.decode(charset_of(charset))


def _split(raw: bytes) -> tuple[list[tuple[str, str]], bytes]:
    if raw.startswith(b"\n"):
        return [], raw[1:]
    head, _, body = raw.partition(b"\n\n")
    folded: list[list[str]] = []
    for line in head.split(b"\n"):
        text = line.decode("utf-8", "surrogateescape")
        if text[:1] in {" ", "\t"} and folded:
            folded[-1].append(text.strip())
        else:
            folded.append([text])
    found = [_FIELD.fullmatch(" ".join(lines)) for lines in folded]
    fields = [
        (field[1], field[2].strip().encode("utf-8", "replace").decode()) for field in found if field
    ]
    return fields, body


def _leaves(
    fields: list[tuple[str, str]],
    body: bytes,
    within: tuple[str, ...],
    doubtful: tuple[tuple[str, tuple[str, ...]], ...] = (),
) -> Iterator[Part]:
    doubtful += tuple(_doubtful(fields))
    kind, parameters = _value(_field(fields, "content-type") or "text/plain")
    boundary = parameters.get("boundary", "")
    nests = kind.startswith("multipart/") and boundary and len(within) < _DEEPEST
    pieces = _pieces(body, boundary) if nests else []
    for piece in pieces:
        inside = (*within, kind.removeprefix("multipart/"))
        yield from _leaves(*_split(piece), inside, doubtful)
    if pieces:
        return
    disposition, _ = _value(_field(fields, "content-disposition"))
    yield Part(
        media_type=kind,
        within=within,
        content=_plain(body, _field(fields, "content-transfer-encoding").strip().lower()),
        # Also where it is said in a way that few know (RFC 2231).
        charset=next((v for n, v in parameters.items() if n.partition("*")[0] == "charset"), ""),
        content_id=_field(fields, "content-id").strip("<> "),
        disposition=disposition,
        doubtful=doubtful,
    )


def _doubtful(fields: list[tuple[str, str]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in _HOW:
        values = tuple(value for known, value in fields if known.lower() == name.lower())
        said = {_meant(name, value) for value in values}
        if len(said) > 1 or any(len(each) > 1 for each in _how(values).values()):
            yield name, values


def _meant(name: str, value: str) -> str:
    """Fold a value, unless its case says something, as that of a boundary does."""
    folded = value.casefold()
    return value if name == "Content-ID" or "boundary" in folded else folded


def _how(values: Sequence[str]) -> dict[str, set[tuple[str, str]]]:
    """Collect what each parameter that decides is said to be, in whole or in pieces."""
    found: dict[str, set[tuple[str, str]]] = {each: set() for each in _HOW_PARAMETERS}
    for each in chain.from_iterable(map(_PARAMETER.finditer, values)):
        name = each[1].lower()
        known = name.partition("*")[0]
        if known in found:
            said = each[3] if each[2] is None else each[2]
            found[known].add((name, said if known == "boundary" else said.casefold()))
    return found


def _pieces(body: bytes, boundary: str) -> list[bytes]:
    """Cut at delimiters (RFC 2046 §5.1.1): the line end before one belongs to it."""
    whole = b"\n" + body
    mark = b"\n--" + boundary.encode("utf-8", "replace")
    found: list[bytes] = []
    start = -1
    at = whole.find(mark)
    while at >= 0:
        each = _END_OF_DELIMITER.match(whole, at + len(mark))
        if each:
            if start >= 0:
                found.append(whole[start:at])
            start = each.end() + 1
            if each[1] or len(found) > _MOST_PARTS:
                return found
        at = whole.find(mark, each.end() if each else at + 1)
    if start >= 0:
        found.append(whole[start:])
    return found


def _field(fields: list[tuple[str, str]], name: str) -> str:
    return next((value for known, value in fields if known.lower() == name), "")


def _value(value: str) -> tuple[str, dict[str, str]]:
    kind, _, rest = value.partition(";")
    parameters: dict[str, str] = {}
    for each in _PARAMETER.finditer(f";{rest}"):
        quoted = re.sub(r"\\(.)", r"\1", each[2]) if each[2] is not None else each[3]
        parameters.setdefault(each[1].lower(), quoted)
    return kind.strip().lower(), parameters


def _plain(body: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return _base64(body)
    return binascii.a2b_qp(body) if encoding == "quoted-printable" else body


def _base64(raw: bytes) -> bytes:
    clean = _NOT_BASE64.sub(b"", raw).rstrip(b"=")
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    try:
        return b64decode(clean + b"=" * (-len(clean) % 4))
    except (binascii.Error, ValueError):
        return b""
