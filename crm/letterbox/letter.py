"""A caught message, read back: headers, both bodies, and every address it links to."""

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.policy import default
from html.parser import HTMLParser

from msgspec import Struct

_URL = re.compile(r"https?://[^\s<>\"']+")
_HEADER_URL = re.compile(r"<(https?://[^<>\s]+)>")
_ANCHOR = re.compile(r"<(a|area)(?=[\s>])", re.IGNORECASE)


class Letter(Struct, frozen=True):
    """What a mail program would show, and what it would follow."""

    subject: str
    sender: str
    headers: list[tuple[str, str]]
    text: str
    html: str
    links: list[str]


def parse(message: bytes) -> Letter:
    """Read a message leniently: whatever cannot be read is left out, nothing is refused."""
    parsed = message_from_bytes(message, policy=default)
    headers = [(name, _readable(value)) for name, value in parsed.raw_items()]
    named = {name.lower(): value for name, value in reversed(headers)}
    text, html = _body(parsed, "plain"), _body(parsed, "html")
    return Letter(
        subject=named.get("subject", ""),
        sender=named.get("from", ""),
        headers=headers,
        text=text,
        html=html,
        links=_links(html, text, named.get("list-unsubscribe", "")),
    )


def framed(html: str) -> str:
    """The HTML as it goes into the frame: every link opens in a page of its own."""
    return _ANCHOR.sub(r'<\1 target="_blank" rel="noopener noreferrer"', html)


def _readable(raw: str) -> str:
    """A header unfolded and decoded (RFC 2047), whatever is in it."""
    unfolded = " ".join(raw.split())
    try:
        return str(make_header(decode_header(unfolded)))
    except (ValueError, LookupError):
        return unfolded.encode("utf-8", "surrogateescape").decode(errors="replace")


def _body(parsed: Message, kind: str) -> str:
    if not isinstance(parsed, EmailMessage):
        return ""
    part = parsed.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    try:
        return content.decode(part.get_content_charset("utf-8"), errors="replace")
    except LookupError:
        return content.decode(errors="replace")


class _Hrefs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("a", "area"):
            self.found += [value for name, value in attrs if name == "href" and value]


def _links(html: str, text: str, unsubscribe: str) -> list[str]:
    hrefs = _Hrefs()
    hrefs.feed(html)
    in_text = [url.rstrip(".,;:!?)]}") for url in _URL.findall(text)]
    return list(dict.fromkeys([*hrefs.found, *in_text, *_HEADER_URL.findall(unsubscribe)]))
