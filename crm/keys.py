"""The installation's secrets, and what is derived from them for each business."""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

MAC_SIZE = 16
HASH_SIZE = 16

_NONCE = 12
_TAG = 16


class KeyWrong(Exception):
    """What was kept encrypted cannot be read: its key is not among CRM_STORAGE_KEYS."""


class Keys(Struct, frozen=True):
    """Link keys and storage keys by number (the first is used, all are tried, so keys rotate).

    The pepper is not rotated: it keys the fingerprints of addresses, which outlive the addresses.
    """

    link_keys: tuple[tuple[int, bytes], ...]
    storage_keys: tuple[tuple[int, bytes], ...]
    pepper: bytes

    def __repr__(self) -> str:
        """Show nothing: a secret must not reach a log or a traceback."""
        return "Keys(…)"

    def address_hash(self, business_id: UUID, folded: str) -> bytes:
        """Fingerprint a folded address: 16 bytes that no other business or installation shares."""
        return hmac.digest(_derived(self.pepper, business_id), folded.encode(), "sha256")[
            :HASH_SIZE
        ]

    def sign(self, business_id: UUID, label: str, data: bytes, *, size: int = MAC_SIZE) -> bytes:
        """Sign `data` for one use: the key's number and a MAC of `size` bytes."""
        number, key = self.link_keys[0]
        return bytes([number]) + _mac(key, business_id, label, data)[:size]

    def verified(
        self,
        business_id: UUID,
        label: str,
        data: bytes,
        signature: bytes,
        *,
        size: int = MAC_SIZE,
    ) -> bool:
        """Say whether `signature` was made by `sign` for the same use with any key still kept."""
        if len(signature) != size + 1:
            return False
        key = dict(self.link_keys).get(signature[0])
        if key is None:
            return False
        return hmac.compare_digest(_mac(key, business_id, label, data)[:size], signature[1:])

    def encrypt(self, business_id: UUID, label: str, data: bytes) -> bytes:
        """Encrypt what is kept for one use: the key's number, a nonce, AES-256-GCM.

        The label says what it is and whose, so that nothing passes for something else.
        """
        number, key = self.storage_keys[0]
        nonce = os.urandom(_NONCE)
        cipher = AESGCM(_derived(key, business_id))
        return bytes([number]) + nonce + cipher.encrypt(nonce, data, label.encode())

    def decrypt(self, business_id: UUID, label: str, kept: bytes) -> bytes:
        """Read what `encrypt` wrote for the same use, or raise KeyWrong."""
        key = dict(self.storage_keys).get(kept[0]) if len(kept) > _NONCE + _TAG else None
        if key is None:
            raise KeyWrong(KeyWrong.__doc__)
        cipher = AESGCM(_derived(key, business_id))
        try:
            return cipher.decrypt(kept[1 : 1 + _NONCE], kept[1 + _NONCE :], label.encode())
        except InvalidTag:
            raise KeyWrong(KeyWrong.__doc__) from None


def _mac(key: bytes, business_id: UUID, label: str, data: bytes) -> bytes:
    # Each mail has several: to copy one that has taken in the key is cheaper than to begin anew.
    mac = _keyed(key, business_id).copy()
    mac.update(label.encode() + b"\0" + data)
    return mac.digest()[:MAC_SIZE]


@lru_cache(maxsize=4096)
def _keyed(key: bytes, business_id: UUID) -> hmac.HMAC:
    return hmac.new(_derived(key, business_id), digestmod="sha256")


@lru_cache(maxsize=4096)
def _derived(key: bytes, business_id: UUID) -> bytes:
    return hmac.digest(key, b"firsthand/v1/" + business_id.bytes, hashlib.sha256)
