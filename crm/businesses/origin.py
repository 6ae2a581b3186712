"""An origin: scheme, host and port where pages are, as browsers write it (WHATWG URL, RFC 6454)."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import urlsplit

from email_validator import validate_email

from crm.errors import Invalid, Problem

_SENTENCE = "An origin is scheme and host, such as https://letters.example.com."
_LONGEST = 253
# Ports that browsers leave out.
_USUAL = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_PORT = re.compile(r":[0-9]*\Z")
_IN_BRACKETS = re.compile(r"\[([0-9a-f:.]+)\]")
# Browsers read such a last label as part of a number (WHATWG URL §3.5).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def checked_origin(origin: str) -> tuple[str, str]:
    """Return the origin and its host, as browsers and their Host header write both, or refuse.

    International names come in ASCII (RFC 5891). It becomes the base of every link of every mail,
    so that nothing of it is kept as it was typed.
    """
    text = origin.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _no_origin() from None
    bare = parts.path in {"", "/"} and not parts.query and not parts.fragment
    # What cannot be seen is left out by urlsplit.
    plain = text.isprintable() and not any(char in text for char in " \\@")
    if parts.scheme not in _USUAL or not bare or not plain or port == 0:
        raise _no_origin()
    host = _host(_PORT.sub("", parts.netloc.lower()))
    usual = port in {None, _USUAL[parts.scheme]}
    return f"{parts.scheme}://{host}" + ("" if usual else f":{port}"), host


def _host(typed: str) -> str:
    try:
        bracketed = _IN_BRACKETS.fullmatch(typed)
        if bracketed:
            return f"[{IPv6Address(bracketed[1]).compressed}]"
        host = typed if typed.isascii() and "xn--" not in typed else _in_ascii(typed)
        if len(host) > _LONGEST or not _NAME.fullmatch(host):
            raise _no_origin()
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            return str(IPv4Address(host))
    except AddressValueError:
        raise _no_origin() from None
    return host


def _in_ascii(host: str) -> str:
    try:
        found = validate_email(f"a@{host}", check_deliverability=False).ascii_domain
    except ValueError:  # EmailNotValidError, and what IDNA raises below it
        raise _no_origin() from None
    return (found or "").lower()


def _no_origin() -> Invalid:
    return Invalid(_SENTENCE, [Problem("origin", _SENTENCE)])
