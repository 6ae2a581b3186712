"""Every URL of a message: where it stands, what it is for, and what it comes down to."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from crm.campaigns.markup import Token, addresses, tokens
from crm.campaigns.reader import Message, Part
from crm.campaigns.web_address import is_web_address
from crm.characters import parted

_PASSED = re.compile(r"https?:/{1,2}[^\s/?#&]+", re.IGNORECASE)
_WHOLE = re.compile(r"[\\/]{2}[^\s/\\?#&]+\.[^\s/\\?#&]+")
# What is in base64 is often JSON or a row of fields.
_ENCLOSED = re.compile(r"https?:/{1,2}[^\s/?#&\"'<>,;|{}\x00-\x20]+", re.IGNORECASE)
_ADDRESS = re.compile(r"https?:/{1,2}[^\x00-\x20]+", re.IGNORECASE)
# A slash may be part of it, or stand before it.
_BASE64 = (re.compile(r"[A-Za-z0-9+_-]{14,}"), re.compile(r"[A-Za-z0-9+/_-]{14,}"))
_PLAIN = re.compile(r"(?:https?://|www\.)[^\s<>\"'\x00-\x1f]{3,2000}", re.IGNORECASE)
_AFTER = frozenset(".,;:!?)]}*_\N{RIGHT SINGLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}")
_IN_FIELD = re.compile(r"<([^<>]*)>")
_CONTROL = re.compile(r"[\x00-\x20\x7f]+")
_BLANKS = "".join(map(chr, range(0x21)))
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_CANDIDATE = re.compile(r"\s*,?\s*([^\s,]\S*)(?:\s+[^,]*)?")
_META_URL = re.compile(r"url\s*=\s*['\"]?([^'\"]+)", re.IGNORECASE)
_LINKS = frozenset({("a", "href"), ("area", "href"), ("form", "action"), ("button", "formaction")})
_IMAGES = frozenset({
    ("img", "src"), ("img", "srcset"), ("img", "lowsrc"), ("img", "dynsrc"), ("image", "href"),
    ("image", "xlink:href"), ("input", "src"), ("source", "srcset"), ("video", "poster"),
})  # fmt: skip
# Of any element: what a mail program may fetch.
_LOADING = frozenset({
    "src", "srcset", "background", "poster", "data", "code", "codebase", "archive", "classid",
    "href", "xlink:href", "ping", "cite", "longdesc", "profile", "manifest", "action",
    "formaction", "imagesrcset", "usemap", "lowsrc", "dynsrc", "icon",
})  # fmt: skip
# Elements whose `href` is fetched, or changes what is; of others it can be pressed at most.
_FETCHES_HREF = frozenset({"link", "base", "image", "script", "use", "feimage"})
# Shapes of Outlook (VML) whose `href` is a link; of other elements with a prefix it is a picture.
_SHAPES = frozenset({
    "arc", "curve", "group", "line", "oval", "polyline", "rect", "roundrect", "shape", "textbox",
})  # fmt: skip
_PREFIXED = frozenset({"src", "href", "althref"})
_NOT_FETCHED = frozenset({"cite", "longdesc", "usemap", "profile"})


class Use(StrEnum):
    """What a URL is for: opened by a press, shown as a picture, or loaded in another way."""

    link = "link"
    image = "image"
    load = "load"


class Reference(Struct, frozen=True):
    """One URL: cleaned as browsers do it, with the part and line where it stands."""

    url: str
    use: Use
    part: str
    line: int
    tag: str = ""

    @property
    def split(self) -> SplitResult:
        """The URL in its pieces; one that cannot be read has none."""
        try:
            parts = urlsplit(parted(self.url))
            _ = parts.port, parts.hostname
        except ValueError:
            return urlsplit("")
        return parts

    @property
    def host(self) -> str:
        """The host it asks, folded."""
        return (self.split.hostname or "").rstrip(".").lower()

    @property
    def remote(self) -> bool:
        """Whether something is asked of somebody when it is used."""
        return self.split.scheme in {"http", "https", "ftp", "file", "ws", "wss"} or bool(
            self.split.netloc
        )


def cleaned(url: str) -> str:
    """Return the URL as a browser takes it: without blanks, backslashes and capitals."""
    bare = _CONTROL.sub("", url)
    scheme = _SCHEME.match(bare)
    name = scheme[1].lower() if scheme else ""
    if name in {"", "http", "https", "ftp"}:
        bare = bare.replace("\\", "/")
    if name in {"http", "https"}:
        rest = bare[len(name) + 1 :].lstrip("/")
        return f"{name}://{rest}"
    if scheme:
        return f"{name}:{bare[len(name) + 1 :]}"
    return f"https:{bare}" if bare.startswith("//") else bare


def embedded(rest: str) -> list[str]:
    """Return whole addresses that stand, written out or encoded, in a path or a query."""
    for _ in range(2):
        rest = unquote(rest)
    return _PASSED.findall(rest)


def passed(query: str) -> list[str]:
    """Return `embedded` ones of a query, and those that are a value without their `https:`."""
    found = embedded(query)
    for value in re.split("[&;]", query):
        for _ in range(2):
            value = unquote(value)  # noqa: PLW2901
        whole = _WHOLE.match(value.partition("=")[2].strip())
        found += [cleaned(whole[0])] if whole else []
    return found


def decoded(rest: str) -> Iterator[str]:
    """Yield what words of a path or a query are in base64; most of it is noise."""
    for word in (word for pattern in _BASE64 for word in pattern.findall(rest)):
        whole = word.replace("-", "+").replace("_", "/")
        whole = whole[: len(whole) - (len(whole) % 4 == 1)]
        yield b64decode(whole + "=" * (-len(whole) % 4)).decode("latin-1")


def enclosed(rest: str) -> list[str]:
    """Return addresses that stand in base64 in a path or a query, among other things too."""
    for _ in range(2):
        rest = unquote(rest)
    return [each for clear in decoded(rest) for each in _ENCLOSED.findall(clear)]


def wrapped(query: str) -> list[str]:
    """Return addresses that are, in base64, all of a value; a signed token names its maker too."""
    for _ in range(2):
        query = unquote(query)
    values = (clear.strip(_BLANKS) for clear in decoded(query))
    return [value for value in values if _ADDRESS.fullmatch(value)]


def of_message(message: Message) -> list[Reference]:
    """List every URL of fields, text and HTML, in their order."""
    found = []
    for name, value in message.fields:
        if name.lower().startswith("list-") or name.lower() == "archived-at":
            use = Use.link
            found += [
                Reference(cleaned(url), use, name.title(), 0) for url in _IN_FIELD.findall(value)
                if ":" in url and "@" not in url.partition(":")[0]
            ]  # fmt: skip
    for part in message.parts:
        found += of_part(part)
    return found


def of_part(part: Part) -> Iterator[Reference]:
    """List every URL of one part."""
    if part.media_type == "text/html":
        for token in tokens(part.text):
            yield from of_token(token, part.media_type)
    elif part.media_type.startswith("text/"):
        yield from _of_text(part.text, part.media_type)


def bare(message: Message, address: str) -> list[Reference]:
    """List the words that `of_message` leaves and mail programs make links of: `shop.example/page`.

    The reader's own `address` alone is none of them.
    """
    # Without an address, what nowhere stands.
    hers = re.compile(re.escape(address) or r"(?!)", re.IGNORECASE)
    found = []
    for part in message.parts:
        for start, text in _texts(part):
            for line, row in enumerate(text.split("\n"), start):
                found += [
                    Reference(word, Use.link, part.media_type, line, "text")
                    for word in _PLAIN.sub(" ", row).split()
                    if is_web_address(hers.sub("address", word))
                ]
    return found


def _texts(part: Part) -> list[tuple[int, str]]:
    if part.media_type == "text/html":
        return [(each.line, each.text) for each in tokens(part.text) if each.name == ""]
    return [(1, part.text)] if part.media_type.startswith("text/") else []


def of_token(token: Token, part: str) -> Iterator[Reference]:
    """List every URL of one tag, style or text."""
    if token.name == "=":
        for url in addresses(token.text):
            yield Reference(cleaned(url), Use.load, part, token.line, "style")
    elif token.name == "":
        for found in _of_text(token.text, part):
            yield Reference(found.url, Use.link, part, token.line + found.line - 1, "text")
    else:
        for name, value in token.attributes:
            # Not all that read HTML take this for a letter of the name.
            yield from _of_attribute(token, name.lstrip("="), value, part)


def _of_attribute(token: Token, name: str, value: str, part: str) -> Iterator[Reference]:
    if name == "style":
        for url in addresses(value):
            yield Reference(cleaned(url), Use.image, part, token.line, token.name)
        return
    if token.name == "meta" and name == "content" and token.get("http-equiv").lower() == "refresh":
        for url in _META_URL.findall(value):
            yield Reference(cleaned(url), Use.load, part, token.line, "meta")
        return
    if not _fetched(name) or not value.strip():
        return
    use = _use(token.name, name)
    # A report of a press is found under its own name, whatever element has it.
    tag = name if name == "ping" else token.name
    each = _CANDIDATE.findall(value) if name.endswith("srcset") else [value]
    for url in each:
        yield Reference(cleaned(url), use, part, token.line, tag)


def _fetched(name: str) -> bool:
    known = name in _LOADING or name.rpartition(":")[2] in _PREFIXED
    return known and name not in _NOT_FETCHED


def _use(element: str, name: str) -> Use:
    prefix, _, shape = element.rpartition(":")
    if (element, name) in _LINKS:
        return Use.link
    if (element, name) in _IMAGES or name == "background":
        return Use.image
    if prefix and name.rpartition(":")[2] in _PREFIXED:
        return Use.link if name == "href" and shape in _SHAPES else Use.image
    if name in {"href", "xlink:href"} and element not in _FETCHES_HREF:
        return Use.link
    return Use.load


def _of_text(text: str, part: str) -> Iterator[Reference]:
    line, at = 1, 0
    for found in _PLAIN.finditer(text):
        line += text.count("\n", at, found.start())
        at = found.start()
        url = found[0]
        while url[-1:] in _AFTER and (url[-1:] != ")" or url.count("(") < url.count(")")):
            url = url[:-1]
        yield Reference(cleaned(url if "://" in url else f"https://{url}"), Use.link, part, line)
