"""DKIM signatures of our own (RFC 6376, RFC 8301, RFC 8463), relaxed in header and body.

A message is signed as it goes on the wire, before its dots are stuffed; our composer writes no line
that begins with one, so there is nothing to stuff. There is no `l=`: what is added is noticed.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from msgspec import Struct

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

# What a signature covers if the message has it, in this order (RFC 6376 §5.4.1, RFC 8058 §4,
# RFC 9477 §3.1).
_SIGNED = (
    "From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version",
    "Content-Type", "Content-Transfer-Encoding", "Content-Language", "List-Id",
    "List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "List-Post", "List-Owner",
    "List-Subscribe", "List-Archive", "Archived-At", "Feedback-ID", "CFBL-Address",
    "CFBL-Feedback-ID", "Auto-Submitted",
)  # fmt: skip
# Named once more than they are there, so that nobody can add another (RFC 6376 §5.4.2).
_OVERSIGNED = (
    "From", "To", "Cc", "Subject", "Date", "Reply-To", "Message-ID", "MIME-Version",
    "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post",
)  # fmt: skip
_REPEATED = frozenset({b"received", b"dkim-signature"})
_BITS = 2048  # RFC 8301 §3.2: verifiers need not go above 4096, and DNS answers stay small
_END = b"\r\n\r\n"
_LINE = 72
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:(?<=\r)\n[ \t][^\n]*)*)\r\n(?![ \t])")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_BLANKS = re.compile(rb"[ \t]+")
# Blanks that the relaxed body does not keep; a single space inside a line stays as it is.
_LOOSE = re.compile(rb"[ \t]{2,}|\t")


class SigningKey(Struct, frozen=True):
    """A private key and the name under which its public half is in DNS."""

    selector: str
    key: PrivateKey

    @property
    def algorithm(self) -> str:
        """The `a=` of its signatures."""
        return "rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256"

    def __repr__(self) -> str:
        """Never show the key."""
        return f"SigningKey({self.selector})"

    def sign(self, digest: bytes) -> bytes:
        """Sign a SHA-256; Ed25519 signs the hash as its message (RFC 8463 §3)."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(digest, padding.PKCS1v15(), Prehashed(SHA256()))
        return self.key.sign(digest)


class Signer:
    """Signs the messages of one domain, each with every key; prepared once for many messages."""

    def __init__(self, domain: str, keys: Sequence[SigningKey]) -> None:
        self._domain = domain
        self._keys = tuple(keys)
        self._names: dict[tuple[bytes, ...], tuple[tuple[bytes, ...], str]] = {}

    def signed(self, content: bytes, at: datetime, *, tidy: bool = False) -> bytes:
        """Return the message with its signatures on top.

        `tidy` says that the body is as relaxed canonicalization leaves it, which a `Skeleton`
        writes: to look at it again would cost more than its hash.
        A ValueError where it has no From, or a field twice that a message has once (RFC 5322 §3.6).
        """
        head, found, body = content.partition(_END)
        fields = _fields(head + b"\r\n")
        covered, names = self._covered(tuple(fields))
        canonical = b"".join([fields[name] for name in covered])
        body_hash = b64encode(sha256(body if tidy else relaxed_body(body)).digest()).decode()
        signatures = [
            self._signature(key, canonical, names, body_hash, int(at.timestamp()))
            for key in self._keys
        ]
        return b"".join((*signatures, head, found, body))

    def _signature(
        self, key: SigningKey, canonical: bytes, names: str, body_hash: str, at: int
    ) -> bytes:
        unsigned = (
            f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n"
            f" d={self._domain}; s={key.selector};\r\n t={at};\r\n"
            f" h={names};\r\n bh={body_hash};\r\n b="
        ).encode()
        name, _, value = unsigned.partition(b":")
        own = name.lower() + b":" + _relaxed(value)
        raw = b64encode(key.sign(sha256(canonical + own).digest())).decode()
        lines = [raw[start : start + _LINE] for start in range(0, len(raw), _LINE)]
        return unsigned + "\r\n ".join(lines).encode() + b"\r\n"

    def _covered(self, present: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], str]:
        """Choose the fields to sign and write their `h=`; the same for all mails of a kind."""
        known = self._names.get(present)
        if known is None:
            known = self._names[present] = _chosen(present)
        return known


def relaxed_body(body: bytes) -> bytes:
    """Return the body as it is hashed (RFC 6376 §3.4.4); an empty one is hashed as nothing."""
    if b"  " in body or b"\t" in body:
        body = _LOOSE.sub(b" ", body)
    if b" \r\n" in body:
        body = body.replace(b" \r\n", b"\r\n")
    if body.endswith(b" "):
        body = body[:-1]
    kept = body
    while kept.endswith(b"\r\n"):
        kept = kept[:-2]
    return kept + b"\r\n" if kept else b""


def new_rsa_key() -> RSAPrivateKey:
    """Make a key of 2048 bits, which every receiver can check (RFC 8301 §3.2)."""
    return generate_private_key(public_exponent=65537, key_size=_BITS)


def kept(key: PrivateKey) -> bytes:
    """Write a private key as PKCS #8, to be encrypted and kept."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def opened(der: bytes) -> PrivateKey:
    """Read what `kept` wrote; a TypeError where it is no key that signs mail."""
    key = load_der_private_key(der, password=None)
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise TypeError("neither RSA nor Ed25519")
    return key


def published(key: PrivateKey) -> str:
    """Return what DNS has to say at `SELECTOR._domainkey.DOMAIN` (RFC 6376 §3.6.1, RFC 8463 §4)."""
    if isinstance(key, RSAPrivateKey):
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={b64encode(der).decode()}"
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k=ed25519; p={b64encode(raw).decode()}"


def _chosen(present: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], str]:
    if b"from" not in present:
        raise ValueError("a message without From cannot be signed (RFC 6376 §5.4)")
    covered = [name for name in _SIGNED if name.lower().encode() in present]
    lines, line = [], ""
    for name in (*covered, *_OVERSIGNED):
        if len(line) + len(name) > _LINE - 4:
            lines.append(line)
            line = ""
        line += f"{name}:"
    names = "\r\n ".join([*lines, line]).removesuffix(":")
    return tuple(name.lower().encode() for name in covered), names


def _fields(head: bytes) -> dict[bytes, bytes]:
    """Name each header field, in canonical form (RFC 6376 §3.4.2)."""
    fields: dict[bytes, bytes] = {}
    for found in _FIELD.finditer(head):
        name = found[1].lower()
        if name in fields and name not in _REPEATED:
            raise ValueError(f"{name.decode()} is there twice")
        fields[name] = name + b":" + _relaxed(found[2]) + b"\r\n"
    return fields


def _relaxed(value: bytes) -> bytes:
    if b"\r\n" in value:
        value = _FOLD.sub(b"", value)
    if b"  " in value or b"\t" in value:
        value = _BLANKS.sub(b" ", value)
    return value.strip(b" \t")
