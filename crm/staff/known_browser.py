"""A browser in which a member has signed in before, known again by a signed mark.

It opens nothing. Tries that come with it are counted apart from those of strangers, so that nobody
keeps a member out by typing wrong passwords with her address.
"""

from __future__ import annotations

import binascii
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from uuid import UUID

from crm.keys import MAC_SIZE, Keys
from crm.staff.model import KNOWN_LASTS

_LABEL = "known-browser"
_NONCE = 16
_STAMP = 8


def mark_of(keys: Keys, business_id: UUID, now: datetime, address_hash: bytes) -> str:
    """Make the mark of a browser in which the member of this address is signed in now."""
    until = int((now + KNOWN_LASTS).timestamp()).to_bytes(_STAMP, "big")
    data = secrets.token_bytes(_NONCE) + until
    signature = keys.sign(business_id, f"{_LABEL}/{address_hash.hex()}", data)
    return urlsafe_b64encode(data + signature).decode()


def nonce_of(keys: Keys, business_id: UUID, now: datetime, address_hash: bytes, mark: str) -> bytes:
    """Return what tries of this browser are counted under; empty where it is not known as hers."""
    try:
        whole = urlsafe_b64decode(mark.encode())
    except (binascii.Error, ValueError):
        return b""
    data, signature = whole[: -MAC_SIZE - 1], whole[-MAC_SIZE - 1 :]
    if not keys.verified(business_id, f"{_LABEL}/{address_hash.hex()}", data, signature):
        return b""
    if int.from_bytes(data[_NONCE:], "big") < now.timestamp():
        return b""
    return data[:_NONCE]
