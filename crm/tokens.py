"""Links in mails: the business in clear, what it names, and a MAC over both.

A link opens nothing but what it names, needs no sign-in, never ends, and works after erasure and
key rotation, because it names an address by fingerprint and not a customer by id. What is written
into an address instead is in `crm/return_path.py`.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from msgspec import Struct

from crm.errors import NotFound
from crm.keys import HASH_SIZE, MAC_SIZE, Keys

_ID = 16
_SIGNATURE = MAC_SIZE + 1
_ALL_PURPOSES = 0
# Characters with which every token of a business begins: those that its id fills alone.
SAME_FOR_ALL = _ID * 8 // 6


class BadLink(NotFound):
    """This link is incomplete or was changed; copy it whole from the mail, or sign in instead."""


class Stop(Struct, frozen=True):
    """Stop mails for one purpose to one address; `purpose_code` None means all marketing."""

    business_id: UUID
    address_hash: bytes
    purpose_code: int | None


class Why(Struct, frozen=True):
    """Why one campaign went to one address."""

    business_id: UUID
    address_hash: bytes
    campaign_id: UUID


def stop_token(keys: Keys, stop: Stop) -> str:
    """Make the token of an unsubscribe or preferences link."""
    data = stop.address_hash + (stop.purpose_code or _ALL_PURPOSES).to_bytes(4, "big")
    return _sealed(keys, stop.business_id, "stop", data)


def open_stop(keys: Keys, token: str) -> Stop:
    """Read an unsubscribe token, or refuse with BadLink."""
    business_id, data = _opened(keys, token, "stop", HASH_SIZE + 4)
    code = int.from_bytes(data[HASH_SIZE:], "big")
    return Stop(business_id, data[:HASH_SIZE], code or None)


def why_token(keys: Keys, why: Why) -> str:
    """Make the token of a why-did-I-get-this link."""
    data = why.address_hash + why.campaign_id.bytes
    return _sealed(keys, why.business_id, "why", data)


def open_why(keys: Keys, token: str) -> Why:
    """Read a why token, or refuse with BadLink."""
    business_id, data = _opened(keys, token, "why", HASH_SIZE + _ID)
    return Why(business_id, data[:HASH_SIZE], UUID(bytes=data[HASH_SIZE:]))


def _sealed(keys: Keys, business_id: UUID, label: str, data: bytes) -> str:
    whole = business_id.bytes + data + keys.sign(business_id, label, data)
    return urlsafe_b64encode(whole).rstrip(b"=").decode()


def _opened(keys: Keys, token: str, label: str, size: int) -> tuple[UUID, bytes]:
    whole = _decoded(token)
    if len(whole) != _ID + size + _SIGNATURE:
        raise BadLink
    business_id = UUID(bytes=whole[:_ID])
    data, signature = whole[_ID : _ID + size], whole[_ID + size :]
    if not keys.verified(business_id, label, data, signature):
        raise BadLink
    return business_id, data


def _decoded(token: str) -> bytes:
    try:
        whole = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise BadLink from None
    # Only one spelling of a token is good: base64 has spare bits at its end.
    if len(whole) < _ID or urlsafe_b64encode(whole).rstrip(b"=").decode() != token:
        raise BadLink
    return whole
