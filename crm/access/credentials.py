"""What a mailed link, a typed code and a session cookie are made of; of each only a hash is kept.

Links and sessions carry the business in clear before the secret.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from msgspec import Struct

from crm.keys import HASH_SIZE, MAC_SIZE, Keys
from crm.tokens import BadLink

SECRET_SIZE = 32

_ID = 16
_CONFIRM = "confirm"
_CSRF = b"firsthand/portal-session-secret/v1"
# Crockford's base32: nothing that is mistaken for something else when it is typed off a mail.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISTAKEN = str.maketrans({"I": "1", "L": "1", "O": "0", " ": None, "-": None, "\u00a0": None})
_CODE_SIZE = 8
_GROUP = 4


class ConfirmLink(Struct, frozen=True):
    """What a confirmation link says, once its signature is checked."""

    business_id: UUID
    signup_id: UUID
    address_hash: bytes


def confirm_token(keys: Keys, link: ConfirmLink) -> str:
    """Write a confirmation link: signed, so that a cut or forged one is known as such for ever."""
    data = link.signup_id.bytes + link.address_hash
    signature = keys.sign(link.business_id, _CONFIRM, data)
    return _text(link.business_id.bytes + data + signature)


def open_confirm(keys: Keys, business_id: UUID, token: str) -> ConfirmLink:
    """Read a confirmation link of this business, or refuse with BadLink."""
    whole = _bytes(token)
    if len(whole) != _ID + _ID + HASH_SIZE + MAC_SIZE + 1 or whole[:_ID] != business_id.bytes:
        raise BadLink
    data, signature = whole[_ID : -MAC_SIZE - 1], whole[-MAC_SIZE - 1 :]
    if not keys.verified(business_id, _CONFIRM, data, signature):
        raise BadLink
    return ConfirmLink(business_id, UUID(bytes=data[:_ID]), data[_ID:])


def secret_token(business_id: UUID, secret: bytes) -> str:
    """Write a sign-in link or a session: base64url of the business and the secret."""
    return _text(business_id.bytes + secret)


def check_token(business_id: UUID, token: str) -> None:
    """Refuse with BadLink what cannot be a token of this business; its hash decides the rest."""
    whole = _bytes(token)
    if len(whole) != _ID + SECRET_SIZE or whole[:_ID] != business_id.bytes:
        raise BadLink


def fingerprint(text: str) -> bytes:
    """Hash a token as it is kept; it is random, so a slow hash would add nothing."""
    return hashlib.sha256(text.encode()).digest()


def session_secret(token: str) -> bytes:
    """Derive what the forms of this session are marked with; kept nowhere."""
    return hmac.digest(token.encode(), _CSRF, "sha256")


def new_code() -> str:
    """Make a code to type: 40 bits, good only together with a bound on tries."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_CODE_SIZE))


def grouped(code: str) -> str:
    """Show a code so that it can be read and typed: `K7M4 QX2P`."""
    return " ".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))


def code_hash(keys: Keys, business_id: UUID, address_hash: bytes, typed: str) -> bytes:
    """Hash a code as it is kept: for one address, under the pepper, since a code can be guessed."""
    code = typed.upper().translate(_MISTAKEN)
    return hashlib.sha256(
        keys.address_hash(business_id, f"\0code {address_hash.hex()} {code}")
    ).digest()


def same(one: bytes, other: bytes) -> bool:
    """Compare two hashes in the same time wherever they differ."""
    return hmac.compare_digest(one, other)


def _text(whole: bytes) -> str:
    return urlsafe_b64encode(whole).rstrip(b"=").decode()


def _bytes(token: str) -> bytes:
    try:
        whole = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise BadLink from None
    # Only one spelling is good: base64 has spare bits, and Python skips what is no base64.
    if _text(whole) != token:
        raise BadLink
    return whole
