"""The parts of a mail, whatever its bytes: bounded, every newline one newline, text decoded."""

import email
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from html.parser import HTMLParser

import nh3

from crm.characters import charset as charset_of
from crm.characters import storable

# What of a mail is looked at. Reports and answers come first in a mail, what it cites or carries
# comes after; the parser's time is lines times the parts they are in.
LONGEST = 16 * 1024 * 1024
LONGEST_OF_MANY = 512 * 1024
MANY_PARTS = 12
MANY_LINES = 400_000
LONGEST_HEAD = 256 * 1024
LONGEST_FIELD = 16 * 1024
LONGEST_TEXT = 128 * 1024
DEEPEST = 12
DEEPEST_HTML = 500
LONGEST_ADDRESS = 320
LONGEST_NAME = 255

# Everything the library was seen to raise over broken mail.
BROKEN = (
    MessageError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
    OverflowError,
)

_STRUCTURE = re.compile(
    rb"^content-(?:type|disposition)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE
)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,998}>")
# What is closed by itself, or nests only where another does, is not counted.
_NESTS = re.compile(
    r"<(/?)(?!(?:area|base|body|br|col|dd|dt|head|hr|html|img|input|li|link|meta|p|t[dhr]|tbody|wbr)"
    r"(?:[\s/>]|$))([a-z][^\s/>]*)",
    re.IGNORECASE,
)
# HTML opens each of these that was left open again in every paragraph: that takes squares of time.
_FORMATS = re.compile(
    r"<(/?)(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>]|$)",
    re.IGNORECASE,
)
# The end of a block closes all that was left open in it, the end of anything else no block.
_BLOCK_NAMES = """
address article aside blockquote button center details dialog dir div dl fieldset figcaption figure
footer form h1 h2 h3 h4 h5 h6 header hgroup listing main menu nav ol pre search section summary ul
"""
# What stands in these closes nothing around them.
_HOLDING_NAMES = """
annotation-xml applet caption desc foreignobject iframe marquee mi mn mo ms mtext noembed noframes
noscript object plaintext script select style table template textarea title xmp
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HOLDS = frozenset(_HOLDING_NAMES.split())
# So far back an end tag is asked what it closes.
_BACK = 50
_CHARSETS = {
    "unicode-1-1-utf-7": "utf-7",
    "ansi_x3.110-1983": "latin-1",
    "x-unknown": "utf-8",
}


class TooMuch(ValueError):
    """More than any honest mail has; the message says of what."""


def parse(raw: bytes) -> Message:
    """The mail of these bytes, its lines ended by LF; refuses what would take long to look at."""
    text = raw[:LONGEST]
    if b"\r" in text:
        text = re.sub(rb"(?<!\r)\r+\n", b"\n", text).replace(b"\r", b"\n")
    text = text.lstrip(b"\xef\xbb\xbf\n")
    if text.count(b"boundary") > MANY_PARTS or text.count(b"\n") > MANY_LINES:
        text = text[:LONGEST_OF_MANY]
    if text.find(b"\n\n", 0, LONGEST_HEAD) < 0 and len(text) > LONGEST_HEAD:
        raise TooMuch("its headers are too long")
    if any(len(found[0]) > LONGEST_FIELD for found in _STRUCTURE.finditer(text)):
        raise TooMuch("a header that describes its parts is too long")
    return email.message_from_bytes(text)


def leaves(mail: Message, depth: int = 0) -> Iterator[Message]:
    """Every part that is no container; a mail inside the mail is one part, not opened."""
    if mail.get_content_maintype() != "multipart" or not mail.is_multipart():
        yield mail
        return
    if depth < DEEPEST:
        for part in inside(mail):
            yield from leaves(part, depth + 1)


def inside(part: Message) -> list[Message]:
    """The mails or parts that the parser has found in this one.

    Asked for a text, the library would decode it by whatever codec the mail names.
    """
    found = part.get_payload() if part.is_multipart() else []
    return [each for each in found if isinstance(each, Message)]


def kind(part: Message) -> str:
    """The media type of a part; a container that could not be opened is the text it was."""
    return "text/plain" if part.get_content_maintype() == "multipart" else part.get_content_type()


def field(mail: Message, name: str) -> str:
    """The value of a header on one line, decoded (RFC 2047); empty where there is none."""
    value = mail.get(name)
    if value is None:
        return ""
    text = " ".join(str(value)[:LONGEST_FIELD].split())
    if "=?" not in text:
        return storable(text)
    try:
        words = decode_header(text)
        known = [(said, charset and charset_of(charset)) for said, charset in words]
        return storable(str(make_header(known)))
    except BROKEN:
        return storable(text)


def address(mail: Message, name: str) -> str:
    """The first address of a header, or nothing."""
    value = str(mail.get(name, ""))[:LONGEST_FIELD]
    try:
        return next((who for _, who in getaddresses([storable(value)]) if "@" in who), "")
    except BROKEN:
        return ""


def instant(text: str) -> datetime | None:
    """An instant of RFC 5322 in UTC; without a zone it is taken for UTC."""
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except BROKEN:
        return None


def message_ids(text: str) -> tuple[str, ...]:
    """Every Message-ID in a header, in angle brackets."""
    return tuple(_MESSAGE_ID.findall(text))


def message_id(text: str) -> str:
    """The one Message-ID of a header; brackets are put around one that came without."""
    found = message_ids(text)
    if found:
        return found[0]
    bare = text.strip()
    return f"<{bare}>" if "@" in bare and not re.search(r"[\s<>]", bare) else ""


def text_of(part: Message) -> str:
    """The text of a part, decoded by its charset or what comes closest; never more than fits."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = str(part.get_content_charset() or "utf-8")
    return decoded(payload[:LONGEST_TEXT], charset)


def decoded(payload: bytes, charset: str) -> str:
    """These bytes as text: a wrong or unknown charset costs single characters, not the text."""
    for name in (_CHARSETS.get(charset, charset), "utf-8"):
        try:
            text = payload.decode(
                charset_of(name), errors="strict" if name == "utf-8" else "replace"
            )
        except BROKEN:
            continue
        return storable(text)
    return storable(payload.decode("latin-1"))


def filename(part: Message) -> str:
    """The name of an attachment, without any folder; empty where it has none."""
    try:
        name = part.get_filename() or ""
    except BROKEN:
        return ""
    return re.split(r"[/\\\\]", storable(" ".join(name.split())))[-1][:LONGEST_NAME]


def size(part: Message) -> int:
    """How many bytes an attachment has, decoded."""
    payload = part.get_payload(decode=True)
    return len(payload) if isinstance(payload, bytes) else len(bytes(part))


def written(mail: Message) -> str:
    """What can be read first: the plain text, or the HTML as text, without what it quotes."""
    shown = [part for part in leaves(mail) if part.get_content_disposition() != "attachment"]
    plain = texts(part for part in shown if kind(part) == "text/plain")
    if any(text.strip() for text in plain):
        return "\n".join(plain)
    pages = texts(part for part in shown if part.get_content_type() == "text/html")
    return "\n".join(plain_of(page) for page in pages)


def texts(chosen: Iterable[Message]) -> list[str]:
    """The texts of these parts, all together no longer than one may be."""
    found: list[str] = []
    left = LONGEST_TEXT
    for part in chosen:
        text = text_of(part)[:left]
        found.append(text)
        left -= len(text)
        if not left:
            break
    return found


def plain_of(html: str) -> str:
    """HTML as lines of text; what is quoted in it (`blockquote`, Gmail's frame) is left out."""
    # As pictures they hold nothing, and like all other tags they go into no text.
    clean = nh3.clean(
        _shallow(_FORMATS.sub(r"<\1img", html)),
        tags={"blockquote", "br", "div", "li", "p", "td", "tr"},
        attributes={"div": {"class"}},
        clean_content_tags={"head", "script", "style", "title"},
    )
    reader = _Lines()
    reader.feed(clean)
    reader.close()
    return "".join(reader.found)


def _shallow(html: str) -> str:
    """The HTML up to where it nests deeper than anybody writes: the sanitiser's time is depth²."""
    opened: list[str] = []
    for tag in _NESTS.finditer(html):
        name = tag[2].casefold()
        if tag[1]:
            _close(opened, name)
        else:
            opened.append(name)
        if len(opened) > DEEPEST_HTML:
            return html[: tag.start()]
    return html


def _close(opened: list[str], name: str) -> None:
    """Close the last of this name and what was left open in it, or nothing where HTML does not."""
    block = name in _BLOCKS
    for back, each in enumerate(reversed(opened[-_BACK:]), 1):
        if each == name:
            del opened[-back:]
            return
        if each in _HOLDS or (each in _BLOCKS and not block):
            return


class _Lines(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[bool] = []  # of div and blockquote: is it a quotation
        self._quoted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("div", "blockquote"):
            frame = dict(attrs).get("class") or ""
            quotes = tag == "blockquote" or "gmail_quote" in frame
            self._open.append(quotes)
            self._quoted += quotes
        if tag != "td":
            self.handle_data("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("div", "blockquote") and self._open:
            self._quoted -= self._open.pop()
        if tag != "td":
            self.handle_data("\n")

    def handle_data(self, data: str) -> None:
        if not self._quoted:
            self.found.append(data)
