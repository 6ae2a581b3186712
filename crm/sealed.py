"""A stream, encrypted so that whatever was altered, cut off or put in another order is noticed.

A first line with the time, a salt, then pieces of one mebibyte, each under AES-256-GCM with a nonce
that counts the pieces and marks the last one (the STREAM construction of Hoang, Reyhanitabar,
Rogaway and Vizár, 2015). The key of a file comes from the secret, the salt and the first line by
HKDF (RFC 5869), so no nonce is used twice with a key.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crm.errors import Invalid

KEY_SIZE = 32
_PIECE = 1 << 20
_TAG = 16
_SALT = 16
_COUNTER = 11
_MAGIC = "firsthand-backup-1"
_LONGEST_LINE = 100


class NotSealed(Invalid):
    """This is no sealed backup, or another version made it."""


class SealBroken(Invalid):
    """The backup was altered or cut off, or this is not its key; what came out is not whole."""


def sealed(plain: BinaryIO, secret: bytes, at: datetime) -> Iterator[bytes]:
    """Encrypt a stream, piece by piece."""
    line = f"{_MAGIC} {at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n".encode()
    salt = os.urandom(_SALT)
    yield line + salt
    cipher = _cipher(secret, salt, line)
    number, piece = 0, plain.read(_PIECE)
    while True:
        following = plain.read(_PIECE)
        yield cipher.encrypt(_nonce(number, last=not following), piece, None)
        if not following:
            return
        number, piece = number + 1, following


def made_at(stream: BinaryIO) -> tuple[datetime, bytes]:
    """Read the first line of a sealed stream: when it was made, unproved, and the line itself."""
    line = stream.readline(_LONGEST_LINE)
    magic, _, at = line.decode("ascii", "replace").strip().partition(" ")
    try:
        made = datetime.strptime(at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise NotSealed from None
    if magic != _MAGIC:
        raise NotSealed
    return made, line


def opened(stream: BinaryIO, secret: bytes, line: bytes) -> Iterator[bytes]:
    """Decrypt what follows the first line; SealBroken where it is not whole and unaltered."""
    salt = stream.read(_SALT)
    cipher = _cipher(secret, salt, line)
    number, piece = 0, stream.read(_PIECE + _TAG)
    while True:
        following = stream.read(_PIECE + _TAG)
        try:
            yield cipher.decrypt(_nonce(number, last=not following), piece, None)
        except (InvalidTag, ValueError):
            raise SealBroken from None
        if not following:
            return
        number, piece = number + 1, following


def _cipher(secret: bytes, salt: bytes, line: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_SIZE, salt, line).derive(secret))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER, "big") + bytes([last])
