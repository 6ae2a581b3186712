"""Addresses that mail comes back to: each names a mail and whose it was, under a MAC.

A local part has 64 octets (RFC 5321 §4.5.3.1.1) and may have its case folded on the way, so a
token is base32 of at most 38 bytes behind one letter and a plus. The business is not in it: its
return domain leads to it, and its own key made the MAC.

A return-path holds the whole fingerprint of the address (16 bytes), the beginning of the id of the
mail (9: its time to a quarter of a microsecond), the number of the key and a MAC of 96 bits. Who
guesses wins once in 2^96 tries, and then has one address suppressed. Who was sent the mail, or was
given it, can forge a bounce of that one address; its owner lifts that by saying yes again.
"""

from __future__ import annotations

import binascii
from base64 import b32decode, b32encode
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from crm.keys import HASH_SIZE, MAC_SIZE, Keys
from crm.tokens import BadLink, Stop

_BEGINNING = 9
_REST = 16 - _BEGINNING
_SHORT_MAC = 12
_CODE = 4
_LABEL = "return/"
_LEAVE = "leave"
_SEPARATOR = "+"
# Where feedback reports go (RFC 9477): the report itself brings the token.
FEEDBACK = "fbl"


class Way(StrEnum):
    """What a token is good for, by the letter before it; one is never good for another."""

    campaign = "b"
    service = "s"
    leave = "u"
    # The CFBL-Feedback-ID of a mail; it is no address.
    feedback = "f"


class Sent(Struct, frozen=True):
    """The mail that a token names: to whom, and between which ids its own is."""

    way: Way
    address_hash: bytes
    low: UUID
    high: UUID


def sent_token(keys: Keys, business_id: UUID, way: Way, address_hash: bytes, mail_id: UUID) -> str:
    """Name one mail to one address: 61 letters and digits."""
    data = address_hash + mail_id.bytes[:_BEGINNING]
    return _written(data + keys.sign(business_id, _LABEL + way, data, size=_SHORT_MAC))


def open_sent(keys: Keys, business_id: UUID, way: Way, token: str) -> Sent:
    """Read a token made by `sent_token` for the same way, in any case, or refuse with BadLink."""
    whole = _read(token)
    data, signature = whole[: HASH_SIZE + _BEGINNING], whole[HASH_SIZE + _BEGINNING :]
    if not keys.verified(business_id, _LABEL + way, data, signature, size=_SHORT_MAC):
        raise BadLink
    beginning = data[HASH_SIZE:]
    low, high = (UUID(bytes=beginning + rest * _REST) for rest in (b"\0", b"\xff"))
    return Sent(way, data[:HASH_SIZE], low, high)


def return_address(  # noqa: PLR0917  (all of them make the address)
    keys: Keys, business_id: UUID, domain: str, way: Way, address_hash: bytes, mail_id: UUID
) -> str:
    """Write the envelope sender of one mail; the same at every try."""
    token = sent_token(keys, business_id, way, address_hash, mail_id)
    return f"{way}{_SEPARATOR}{token}@{domain}"


def leave_address(keys: Keys, domain: str, stop: Stop) -> str:
    """Write the address of List-Unsubscribe: a mail to it is the wish to leave (RFC 2369 §3.2)."""
    data = stop.address_hash + (stop.purpose_code or 0).to_bytes(_CODE, "big")
    signature = keys.sign(stop.business_id, _LABEL + _LEAVE, data)
    return f"{Way.leave}{_SEPARATOR}{_written(data + signature)}@{domain}"


def open_leave(keys: Keys, business_id: UUID, token: str) -> Stop:
    """Read the token of a leaving address, or refuse with BadLink."""
    whole = _read(token)
    data, signature = whole[: HASH_SIZE + _CODE], whole[HASH_SIZE + _CODE :]
    if not keys.verified(business_id, _LABEL + _LEAVE, data, signature, size=MAC_SIZE):
        raise BadLink
    code = int.from_bytes(data[HASH_SIZE:], "big")
    return Stop(business_id, data[:HASH_SIZE], code or None)


def parted(address: str) -> tuple[Way | None, str, str]:
    """Cut an address into its way, its token and its domain; no way where it carries no token."""
    local, _, domain = address.rpartition("@")
    letter, plus, token = local.partition(_SEPARATOR)
    known = plus and letter.lower() in (Way.campaign, Way.service, Way.leave)
    return (Way(letter.lower()) if known else None), token if known else "", domain.lower()


def _written(data: bytes) -> str:
    return b32encode(data).rstrip(b"=").decode().lower()


def _read(token: str) -> bytes:
    text = token.upper()
    try:
        whole = b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise BadLink from None
    # Only one spelling is good, apart from case: base32 has spare bits at its end.
    if b32encode(whole).rstrip(b"=").decode() != text:
        raise BadLink
    return whole
