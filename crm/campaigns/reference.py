"""Every URL of a message: where it stands, what it is for, and what it comes down to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from crm.campaigns.markup import Token, addresses, tokens
from crm.campaigns.reader import Message, Part

_PLAIN = re.compile(r"(?:https?://|www\.)[^\s<>\"'\x00-\x1f]{3,2000}", re.IGNORECASE)
_AFTER = frozenset(".,;:!?)]}*_\N{RIGHT SINGLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}")
_IN_FIELD = re.compile(r"<([^<>]*)>")
_CONTROL = re.compile(r"[\x00-\x20\x7f]+")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_CANDIDATE = re.compile(r"\s*,?\s*([^\s,]\S*)(?:\s+[^,]*)?")
_META_URL = re.compile(r"url\s*=\s*['\"]?([^'\"]+)", re.IGNORECASE)
_LINKS = frozenset({("a", "href"), ("area", "href"), ("form", "action"), ("button", "formaction")})
_IMAGES = frozenset({
    ("img", "src"), ("img", "srcset"), ("img", "lowsrc"), ("img", "dynsrc"), ("image", "href"),
    ("image", "xlink:href"), ("input", "src"), ("source", "srcset"), ("video", "poster"),
    ("v:fill", "src"), ("v:imagedata", "src"), ("v:image", "src"),
})  # fmt: skip
# Of any element: what a mail program may fetch.
_LOADING = frozenset({
    "src", "srcset", "background", "poster", "data", "code", "codebase", "archive", "classid",
    "href", "xlink:href", "ping", "cite", "longdesc", "profile", "manifest", "action",
    "formaction", "imagesrcset", "usemap", "lowsrc", "dynsrc", "icon",
})  # fmt: skip
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
            parts = urlsplit(self.url)
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
    return re.findall(r"https?:/{1,2}[^\s/?#&]+", rest, re.IGNORECASE)


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
            yield from _of_attribute(token, name, value, part)


def _of_attribute(token: Token, name: str, value: str, part: str) -> Iterator[Reference]:
    if name == "style":
        for url in addresses(value):
            yield Reference(cleaned(url), Use.image, part, token.line, token.name)
        return
    if token.name == "meta" and name == "content" and token.get("http-equiv").lower() == "refresh":
        for url in _META_URL.findall(value):
            yield Reference(cleaned(url), Use.load, part, token.line, "meta")
        return
    if name not in _LOADING or name in _NOT_FETCHED or not value.strip():
        return
    use = Use.load
    if (token.name, name) in _LINKS:
        use = Use.link
    elif (token.name, name) in _IMAGES or name == "background":
        use = Use.image
    each = _CANDIDATE.findall(value) if name.endswith("srcset") else [value]
    for url in each:
        yield Reference(cleaned(url), use, part, token.line, token.name)


def _of_text(text: str, part: str) -> Iterator[Reference]:
    line, at = 1, 0
    for found in _PLAIN.finditer(text):
        line += text.count("\n", at, found.start())
        at = found.start()
        url = found[0]
        while url[-1:] in _AFTER and (url[-1:] != ")" or url.count("(") < url.count(")")):
            url = url[:-1]
        yield Reference(cleaned(url if "://" in url else f"https://{url}"), Use.link, part, line)
