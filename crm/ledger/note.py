"""Signed notes (C2SP signed-note): text that anybody can check with a key given in one line.

Only Ed25519 signatures are made and known here; a note may carry others, which are passed over.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

_DASH = "\N{EM DASH}"
_ED25519 = b"\x01"
_KEY_ID = 4
_PUBLIC = 32
# The specification asks for 16 at least; whoever sends more wants to keep us busy.
_MOST_SIGNATURES = 64
_SPACE = 0x20


class BadNote(ValueError):
    """A note, or the key to check it with, is not written like one, or was not signed by it."""


class Verifier(Struct, frozen=True):
    """A public key under the name it signs with."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart; not a secret, and no proof."""
        data = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(data).digest()[:_KEY_ID]

    def __str__(self) -> str:
        """Write the key as one line, a vkey: `name+4f2a…+AXq3…`."""
        key = b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


# Keys by what a signature says of its own: a name, and four bytes.
Known: TypeAlias = Mapping[tuple[str, bytes], Verifier]


class Signature(Struct, frozen=True):
    """One line of a note: whose it says it is, and its bytes."""

    name: str
    key_id: bytes
    signature: bytes


class Note(Struct, frozen=True):
    """A text and its signatures; nothing is proved until `check` has looked at them."""

    text: str
    signatures: tuple[Signature, ...]

    def check(self, verifiers: Iterable[Verifier]) -> Verifier:
        """Return the first of these keys that signed, or refuse with BadNote.

        A signature of a known key that does not verify spoils the note, whoever else signed it.
        """
        return self.signer(keyed(verifiers))

    def signer(self, known: Known) -> Verifier:
        """Do the same with keys that are asked for more than one note: each is hashed once."""
        signers = []
        for each in self.signatures:
            verifier = known.get((each.name, each.key_id))
            if verifier is None:
                continue
            _verify(verifier, each.signature, self.text)
            signers.append(verifier)
        if not signers:
            names = ", ".join(f"{each.name}+{each.key_id.hex()}" for each in self.signatures)
            message = f"none of the known keys signed it; it names {names}"
            raise BadNote(message)
        return signers[0]


def keyed(verifiers: Iterable[Verifier]) -> dict[tuple[str, bytes], Verifier]:
    """Return the keys as a signature names them."""
    return {(each.name, each.key_id): each for each in verifiers}


def sign(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """Write a note with one signature; the same text and key always give the same note."""
    _check_text(text)
    verifier = Verifier(check_name(name), key.public_key().public_bytes_raw())
    signed = b64encode(verifier.key_id + key.sign(text.encode())).decode()
    return f"{text}\n{_DASH} {name} {signed}\n"


def read(note: str) -> Note:
    """Cut a note into its text and its signatures, or refuse with BadNote."""
    _check_characters(note)
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        message = "it has no blank line before its signatures, or no end of line after them"
        raise BadNote(message)
    signatures = lines.removesuffix("\n").split("\n")
    if len(signatures) > _MOST_SIGNATURES:
        message = f"it has {len(signatures)} signatures, more than {_MOST_SIGNATURES}"
        raise BadNote(message)
    return Note(f"{text}\n", tuple(_signature(line) for line in signatures))


def read_vkey(line: str) -> Verifier:
    """Read a key written as one line, or refuse with BadNote."""
    name, _, rest = line.partition("+")
    key_id, _, key = rest.partition("+")
    data = decoded(key)
    if len(data) != 1 + _PUBLIC or data[:1] != _ED25519:
        message = "the key is not one of Ed25519"
        raise BadNote(message)
    verifier = Verifier(check_name(name), data[1:])
    if verifier.key_id.hex() != key_id:
        message = f"name and key have the id {verifier.key_id.hex()}, not {key_id}"
        raise BadNote(message)
    return verifier


def check_name(name: str) -> str:
    """Return a name that a key may sign with, or refuse with BadNote."""
    if not name or "+" in name or any(char.isspace() or ord(char) < _SPACE for char in name):
        message = "a key's name has no space and no plus sign, and is not empty"
        raise BadNote(message)
    return name


def decoded(text: str) -> bytes:
    """Read standard base64 in its one spelling, or refuse with BadNote."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if b64encode(data).decode() != text:
        message = "it holds something that is no base64"
        raise BadNote(message)
    return data


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH:  # noqa: PLR2004  (dash, name, signature)
        message = "a signature is a dash, a name and base64, parted by single spaces"
        raise BadNote(message)
    data = decoded(parts[2])
    if len(data) <= _KEY_ID:
        message = "a signature is too short"
        raise BadNote(message)
    return Signature(check_name(parts[1]), data[:_KEY_ID], data[_KEY_ID:])


def _verify(verifier: Verifier, signature: bytes, text: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        message = f"the signature of {verifier.name} does not belong to this text"
        raise BadNote(message) from None


def _check_text(text: str) -> None:
    _check_characters(text)
    if not text.endswith("\n"):
        message = "its text does not end with a line feed"
        raise BadNote(message)


def _check_characters(text: str) -> None:
    if any(ord(char) < _SPACE and char != "\n" for char in text):
        message = "it holds a control character"
        raise BadNote(message)
