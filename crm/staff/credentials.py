"""What a browser or a program shows: session tokens and API keys, business in clear, then secret.

Of both only a SHA-256 is kept: they are random, so a slow hash would add nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from uuid import UUID

from msgspec import Struct

SECRET_SIZE = 32

_UUID_SIZE = 16
_CSRF = b"firsthand/session-secret/v1"
# base32's letters as those of int(…, 32); the module base64 decodes letter by letter in Python.
_LETTERS = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")
# 26 letters of 5 bits hold 128 bits and two more.
_SPARE_BITS = 2
# 16 bytes are 26 letters of base32, 32 are 52; a double click takes the whole of it.
_KEY = re.compile(r"fh_([a-z2-7]{26})_([a-z2-7]{26})_[a-z2-7]{52}", re.ASCII)


class KeyText(Struct, frozen=True):
    """What is to be read in the text of an API key before its secret is checked."""

    business_id: UUID
    key_id: UUID
    hash: bytes


def session_token(business_id: UUID, secret: bytes) -> str:
    """Write a session token: base64url of the business and the secret."""
    return base64.urlsafe_b64encode(business_id.bytes + secret).decode()


def session_business(token: str) -> UUID | None:
    """Read whose session a token is of; None for what is no token."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _UUID_SIZE + SECRET_SIZE:
        return None
    return UUID(bytes=raw[:_UUID_SIZE])


def session_secret(token: str) -> bytes:
    """Derive what the forms of this session are marked with; kept nowhere."""
    return hmac.digest(token.encode(), _CSRF, "sha256")


def key_text(business_id: UUID, key_id: UUID, secret: bytes) -> str:
    """Write an API key: `fh_<business>_<key>_<secret>`."""
    parts = (business_id.bytes, key_id.bytes, secret)
    return "_".join(["fh", *(_base32(part) for part in parts)])


def read_key(text: str) -> KeyText | None:
    """Read the text of an API key; None for what is none."""
    found = _KEY.fullmatch(text)
    if found is None:
        return None
    return KeyText(_uuid(found[1]), _uuid(found[2]), fingerprint(text))


def fingerprint(text: str) -> bytes:
    """Hash a token or key as it is kept; of all its letters, so that any altered one shows."""
    return hashlib.sha256(text.encode()).digest()


def same(one: bytes, other: bytes) -> bool:
    """Compare two hashes in the same time wherever they differ."""
    return hmac.compare_digest(one, other)


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _uuid(text: str) -> UUID:
    return UUID(int=int(text.translate(_LETTERS), 32) >> _SPARE_BITS)
