"""The installation's secrets, and what is derived from them for each business."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from uuid import UUID

from msgspec import Struct

MAC_SIZE = 16
HASH_SIZE = 16


class Keys(Struct, frozen=True):
    """Link keys by number (the first signs, all verify, so keys rotate) and the pepper.

    The pepper is not rotated: it keys the fingerprints of addresses, which outlive the addresses.
    """

    link_keys: tuple[tuple[int, bytes], ...]
    pepper: bytes

    def __repr__(self) -> str:
        """Show nothing: a secret must not reach a log or a traceback."""
        return "Keys(…)"

    def address_hash(self, business_id: UUID, folded: str) -> bytes:
        """Fingerprint a folded address: 16 bytes that no other business or installation shares."""
        return hmac.digest(_derived(self.pepper, business_id), folded.encode(), "sha256")[
            :HASH_SIZE
        ]

    def sign(self, business_id: UUID, label: str, data: bytes) -> bytes:
        """Sign `data` for one use: the key's number and a MAC of 16 bytes."""
        number, key = self.link_keys[0]
        return bytes([number]) + _mac(key, business_id, label, data)

    def verified(self, business_id: UUID, label: str, data: bytes, signature: bytes) -> bool:
        """Say whether `signature` was made by `sign` for the same use with any key still kept."""
        if len(signature) != MAC_SIZE + 1:
            return False
        key = dict(self.link_keys).get(signature[0])
        if key is None:
            return False
        return hmac.compare_digest(_mac(key, business_id, label, data), signature[1:])


def _mac(key: bytes, business_id: UUID, label: str, data: bytes) -> bytes:
    message = label.encode() + b"\0" + data
    return hmac.digest(_derived(key, business_id), message, "sha256")[:MAC_SIZE]


@lru_cache(maxsize=4096)
def _derived(key: bytes, business_id: UUID) -> bytes:
    return hmac.digest(key, b"firsthand/v1/" + business_id.bytes, hashlib.sha256)
