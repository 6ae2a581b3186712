"""The linter of promise 4: reads final messages to invented readers, and says what would watch.

It works on the bytes as they go to the relay. Several readers' messages are compared, so that
what differs from reader to reader is seen whatever made it so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from crm.campaigns import wrongs
from crm.campaigns.markup import Token, css, declarations, tokens
from crm.campaigns.reader import Message, read
from crm.campaigns.reference import (
    Reference,
    Use,
    bare,
    decoded,
    embedded,
    enclosed,
    of_message,
    of_token,
    passed,
    wrapped,
)
from crm.campaigns.tracker import Lists
from crm.campaigns.wrongs import Finding, finding

# What the rules say, for a verdict to name; raised with each change of them.
RULES = "firsthand-lint-4"

_TINY, _SMALL = 1.0, 3.0
_SHOWN = 160
_LONG_VALUE = 12
_OPAQUE = re.compile(r"(?=[A-Za-z_-]*\d)(?=[\d_-]*[A-Za-z])[A-Za-z0-9_-]{16,}")
_JUMBLED = re.compile(r"(?=.{6,16}$)[A-Za-z0-9]*[a-z0-9][A-Z][A-Za-z0-9]*")
_COUNTING = re.compile(r"(?:^|[./-])(?:clicks?|track(?:ing|er)?|trk|pixel|beacon|opens?)\d*[.-]")
_AUTHORITY = re.compile(r"https?:[\\/]{1,2}([^\\/?#]*)", re.IGNORECASE)
_HOST = re.compile(r"[\w.-]+")
_ADDRESS = re.compile(
    r"[A-Z0-9._%+-]{1,64}@[A-Z0-9-]{1,63}(?:\.[A-Z0-9-]{1,63})*\.[A-Z]{2,20}", re.IGNORECASE
)
# What is the same for no two messages, and of which nothing is fetched.
_PER_MESSAGE = frozenset(
    {"date", "message-id", "to", "subject", "dkim-signature", "cfbl-feedback-id"}
)
# Each asks a mail program to tell that a mail was read.
_RECEIPTS = frozenset({
    "disposition-notification-to", "return-receipt-to", "x-confirm-reading-to",
    "read-receipt-to", "generate-delivery-report",
})  # fmt: skip


class Rendered(Struct, frozen=True):
    """One invented reader's final message, with the links in it that may be the reader's own."""

    raw: bytes
    own: frozenset[str] = frozenset()
    address: str = ""


class Allowed(Struct, frozen=True):
    """Whose mail it is: the origin of its pages, and the hosts whose pictures it may show."""

    origin: str = ""
    image_hosts: frozenset[str] = frozenset()


def lint(messages: Sequence[Rendered], allowed: Allowed, lists: Lists) -> tuple[Finding, ...]:
    """Judge a message by its final bytes; two readers or more, or nothing can be compared."""
    read_ones = [read(each.raw) for each in messages]
    references = [of_message(each) for each in read_ones]
    first = read_ones[0]
    found: list[Finding] = [*_fields(first, messages[0]), *_parts(first)]
    page = [t for part in first.parts if part.media_type == "text/html" for t in tokens(part.text)]
    often = _counted(page)
    for token in page:
        found += _element(token, often, lists)
    cids = {part.content_id for part in first.parts if part.content_id}
    for each in dict.fromkeys(references[0]):
        found += _url(each, messages[0], allowed, lists, cids)
    found += _varying(messages, read_ones, references)
    return tuple(dict.fromkeys(found))


def _fields(message: Message, reader: Rendered) -> Iterator[Finding]:
    for name, value in message.fields:
        if name.lower() in _RECEIPTS:
            yield finding("read-receipt", name, 0, value)
    if not reader.own:
        return
    leaving = message.every("List-Unsubscribe")
    links = [url for value in leaving for url in re.findall(r"<(https?:[^<>]*)>", value)]
    if len(leaving) != 1 or len(links) != 1 or links[0] not in reader.own:
        yield finding("list-unsubscribe", "List-Unsubscribe", 0, " ".join(leaving))


def _parts(message: Message) -> Iterator[Finding]:
    for part in message.parts:
        if part.media_type == "text/x-amp-html":
            yield finding("amp", part.media_type, 1, part.media_type)
        elif part.media_type in {"image/svg+xml", "text/calendar"} and b"http" in part.content:
            yield finding("active-attachment", part.media_type, 1, part.content_id)


def _element(token: Token, often: dict[str, int], lists: Lists) -> Iterator[Finding]:
    where = "text/html", token.line
    shown = _shown(token)
    if token.name in wrongs.ELEMENTS:
        yield finding(wrongs.ELEMENTS[token.name], *where, shown)
    for name, value in token.attributes:
        if name in {"ping", "attributionsrc"}:
            yield finding("ping", *where, value or shown)
        elif name.startswith("on") and len(name) > 3:  # noqa: PLR2004
            yield finding("script", *where, shown)
    yield from _head(token)
    if token.name in {"img", "input", "image"} and _invisible(token):
        for each in of_token(token, "text/html"):
            if each.use is Use.image and (each.remote or not each.split.scheme):
                yield finding(_watching(each, token, often, lists), *where, each.url or shown)


def _head(token: Token) -> Iterator[Finding]:
    """Look at what stands in a head, and loads or leads elsewhere by itself."""
    where = "text/html", token.line
    if token.name == "meta" and token.get("http-equiv").lower() == "refresh":
        yield finding("meta-refresh", *where, _shown(token))
    if token.name == "link" and (token.has("href") or token.has("imagesrcset")):
        known = token.get("rel").lower().split()
        code = "stylesheet" if "stylesheet" in known else "prefetch"
        yield finding(code, *where, token.get("href") or token.get("imagesrcset"))
    if token.name == "=" and re.search(r"@import", css(token.text), re.IGNORECASE):
        yield finding("import", *where, token.text.strip()[:_SHOWN])


def _watching(each: Reference, token: Token, often: dict[str, int], lists: Lists) -> str:
    """Tell a pixel from a spacer: one address used again and again, with nothing in it to tell."""
    shared = often.get(token.get("src"), 0) > 1 and not each.split.query
    known = lists.tracker(each.url, image=True)
    return "spacer" if shared and not known and not _concealed(token) else "pixel"


def _counted(page: Sequence[Token]) -> dict[str, int]:
    often: dict[str, int] = {}
    for token in page:
        if token.name == "img":
            often[token.get("src")] = often.get(token.get("src"), 0) + 1
    return often


def _invisible(token: Token) -> bool:
    sizes = [_pixels(token.get(name)) for name in ("width", "height") if token.has(name)]
    style = declarations(token.get("style"))
    named = ("width", "height", "max-width", "max-height")
    sizes += [_pixels(style[name]) for name in named if name in style]
    known = [size for size in sizes if size is not None]
    if any(size <= _TINY for size in known):
        return True
    return (len(known) > 1 and max(known) <= _SMALL) or _concealed(token)


def _concealed(token: Token) -> bool:
    style = declarations(token.get("style"))
    return (
        token.has("hidden")
        or style.get("display") == "none"
        or style.get("visibility") in {"hidden", "collapse"}
        or style.get("mso-hide") == "all"
        or _nothing(style.get("opacity", ""))
        or "opacity(0" in style.get("filter", "").replace(" ", "")
        or "scale(0" in style.get("transform", "").replace(" ", "")
        or re.search(r"-\d{3,}", style.get("left", "") + style.get("top", "")
                     + style.get("text-indent", "") + style.get("margin-left", "")) is not None
    )  # fmt: skip


def _nothing(value: str) -> bool:
    try:
        return value != "" and float(value.rstrip("%")) < 0.05  # noqa: PLR2004
    except ValueError:
        return False


def _pixels(value: str) -> float | None:
    found = re.match(r"\s*(\d*\.?\d+)\s*(px|pt|em|rem|vw|vh|mm|cm|in)?\s*(?![%\w])", value)
    return float(found[1]) if found else None


def _url(
    each: Reference, reader: Rendered, allowed: Allowed, lists: Lists, cids: set[str]
) -> Iterator[Finding]:
    where = each.part, each.line
    if each.url in reader.own:
        if each.use is not Use.link:
            yield finding("own-link-loaded", *where, each.url)
        return
    scheme = each.split.scheme
    if scheme in {"javascript", "vbscript"} or (scheme == "data" and each.use is Use.link):
        yield finding("script", *where, each.url[:_SHOWN])
    if scheme == "cid" and unquote(each.split.path) not in cids:
        yield finding("cid", *where, each.url)
    if not each.remote:
        yield from _unasked(each)
        return
    yield from _telling(each, reader, lists)
    if each.use is Use.link:
        yield from _redirecting(each)
    elif each.use is Use.image:
        yield from _picture(each, allowed)
    elif each.tag not in wrongs.FOUND_ITSELF:
        yield finding(wrongs.LOADED_BY.get(each.tag, wrongs.LOADED), *where, each.url)


def _unasked(each: Reference) -> Iterator[Finding]:
    """Look at what asks nobody, as far as we can read it."""
    where = each.part, each.line
    bare = not each.split.scheme and each.url and not each.url.startswith("#")
    if each.use is Use.image and bare:
        yield finding("image-address", *where, each.url)
    elif each.use is Use.load and each.url.startswith(("http://", "https://")):
        yield finding(wrongs.LOADED, *where, each.url)


def _telling(each: Reference, reader: Rendered, lists: Lists) -> Iterator[Finding]:
    """Say what of a URL tells who reads, or belongs to somebody who counts."""
    where = each.part, each.line
    rule = lists.tracker(each.url, image=each.use is not Use.link)
    if rule:
        yield finding("tracker", *where, each.url, rule)
    parameter = lists.parameter(each.url)
    if parameter:
        yield finding("parameter", *where, each.url, parameter)
    if _names_somebody(each.url, reader.address):
        yield finding("address-in-url", *where, each.url)
    if "@" in each.split.netloc:
        yield finding("sign-in-in-url", *where, each.url)


def _redirecting(each: Reference) -> Iterator[Finding]:
    where = each.part, each.line
    short = _shortener(each.host)
    if short:
        yield finding(short, *where, each.url)
    elif _COUNTING.search(each.host) and _opaque(each):
        yield finding("redirector", *where, each.url)
    elif f"{each.host}{each.split.path}".startswith(wrongs.SHARING):
        return
    elif any(_elsewhere(target, each.host) for target in _targets(each)):
        yield finding("redirect", *where, each.url)
    elif any(_elsewhere(target, each.host) for target in _mentioned(each)):
        yield finding("passed-on", *where, each.url)


def _targets(each: Reference) -> list[str]:
    return [*passed(each.split.query), *wrapped(each.split.query)]


def _mentioned(each: Reference) -> list[str]:
    """List what may be a target, or the name of a page, or who signed a token."""
    return [*embedded(each.split.path), *enclosed(f"{each.split.path}?{each.split.query}")]


def _elsewhere(target: str, host: str) -> bool:
    """Whether an address leads to another host than this one, or one below it.

    Not one above it: what counts presses is often given a name below that of the page.
    """
    asked = _host(target)
    bare = host.removeprefix("www.")
    home = bare if "." in bare else host
    below = asked.endswith(f".{home}") and _HOST.fullmatch(asked) is not None
    return asked not in {host, home} and not below


def _shortener(host: str) -> str:
    """Return the code for a host, or for the closest one above it that is known."""
    labels = host.split(".")
    for start in range(len(labels) - 1):
        name = ".".join(labels[start:])
        if name in wrongs.WITH_PAGES and labels[:start] not in ([], ["www"]):
            return ""
        if name in wrongs.COUNTING_SHORTENERS:
            return "redirector"
        if name in wrongs.SHORTENERS:
            return "short-link"
    return ""


def _opaque(each: Reference) -> bool:
    """Whether something in it looks like a number given to one link or one reader."""
    if _OPAQUE.search(f"{each.split.path}?{each.split.query}"):
        return True
    return any(_JUMBLED.fullmatch(segment) for segment in each.split.path.split("/"))


def _host(url: str) -> str:
    found = _AUTHORITY.match(url)
    authority = found[1].rpartition("@")[2] if found else ""
    return authority.partition(":")[0].rstrip(".").lower()


def _picture(each: Reference, allowed: Allowed) -> Iterator[Finding]:
    where = each.part, each.line
    own = allowed.origin.partition("://")[2].partition(":")[0].lower()
    if each.split.scheme != "https" and not (own and each.host == own):
        yield finding("image-address", *where, each.url)
    elif each.host != own and each.host not in allowed.image_hosts:
        yield finding("image-host", *where, each.url, each.host)
    elif any(len(value) > _LONG_VALUE for _, value in parse_qsl(each.split.query)):
        yield finding("image-query", *where, each.url)


def _names_somebody(url: str, address: str) -> bool:
    """Whether an address stands in the URL's path or query, written out or in base64."""
    rest = unquote(url.partition("://")[2].partition("/")[2])
    if address and address.lower() in rest.lower():
        return True
    if any(_ADDRESS.search(clear) for clear in decoded(rest)):
        return True
    # Of a reader who is known, an address that is everybody's tells nothing.
    return not address and _ADDRESS.search(url.partition("?")[2]) is not None


def _varying(
    messages: Sequence[Rendered], read_ones: Sequence[Message], found: Sequence[list[Reference]]
) -> Iterator[Finding]:
    """Compare each other reader's message with the first: only listed things may differ."""
    first, words = messages[0], bare(read_ones[0], messages[0].address)
    for reader, message, references in zip(messages[1:], read_ones[1:], found[1:], strict=True):
        yield from _varying_fields(read_ones[0], message)
        yield from _differing(found[0], references, first, reader)
        yield from _differing(words, bare(message, reader.address), first, reader)


def _differing(
    one: Sequence[Reference], two: Sequence[Reference], first: Rendered, reader: Rendered
) -> Iterator[Finding]:
    before = [_same_for_all(each, first) for each in one]
    after = [_same_for_all(each, reader) for each in two]
    if before == after:
        return
    for kind, start, end, low, high in SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            for each in two[low:high] if high > low else one[start:end]:
                yield finding("per-reader", each.part, each.line, each.url)


def _same_for_all(each: Reference, reader: Rendered) -> str:
    return f"{each.use} {'(own)' if each.url in reader.own else each.url}"


def _varying_fields(first: Message, other: Message) -> Iterator[Finding]:
    names = dict.fromkeys(name.lower() for name, _ in (*first.fields, *other.fields))
    for name in names:
        one, two = first.every(name), other.every(name)
        if name not in {*_PER_MESSAGE, "list-unsubscribe"} and one != two:
            yield finding("per-reader-header", name.title(), 0, " ".join(two or one)[:_SHOWN])


def _shown(token: Token) -> str:
    inside = "".join(f' {name}="{value}"' for name, value in token.attributes)
    text = f"<{token.name}{inside}>"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
