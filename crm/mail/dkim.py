"""DKIM signatures of our own (RFC 6376, RFC 8301, RFC 8463), relaxed in header and body.

A message is signed as it goes on the wire, before its dots are stuffed; our composer writes no line
that begins with one, so there is nothing to stuff. There is no `l=`: what is added is noticed.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache, partial
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

from crm.mail.side_by_side import side_by_side

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
_NEXT = re.compile(rb"\r\n(?![ \t])")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:(?<=\r)\n[ \t][^\n]*)*)")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_BLANKS = re.compile(rb"[ \t]+")
# Blanks that the relaxed body does not keep; a single space inside a line stays as it is.
_LOOSE = re.compile(rb"[ \t]{2,}|\t")
_PADDING, _HASHED = padding.PKCS1v15(), Prehashed(SHA256())


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
            return self.key.sign(digest, _PADDING, _HASHED)
        return self.key.sign(digest)


class _Form(Struct, frozen=True):
    """A signature but for its time, the hash of a body and itself: as it is written, and signed."""

    key: SigningKey
    written: tuple[bytes, bytes]
    relaxed: tuple[bytes, bytes]

    def digest(self, draft: _Draft, at: bytes) -> bytes:
        """Hash what is signed: the header fields of a mail, and the signature's own."""
        head, rest = self.relaxed
        own = (draft.canonical, head, at, rest, draft.body_hash, b"; b=")
        return sha256(b"".join(own)).digest()

    def field(self, draft: _Draft, at: bytes, signature: bytes) -> bytes:
        """Write the signature as a header field."""
        before, after = self.written
        raw = b64encode(signature)
        lines = b"\r\n ".join([raw[start : start + _LINE] for start in range(0, len(raw), _LINE)])
        return b"".join((before, at, after, draft.body_hash, b";\r\n b=", lines, b"\r\n"))


class _Draft(Struct, frozen=True):
    """A mail before its signatures, with what they cover of it."""

    content: bytes
    canonical: bytes
    body_hash: bytes
    forms: list[_Form]


class Signer:
    """Signs the messages of one domain, each with every key; prepared once for many messages."""

    def __init__(self, domain: str, keys: Sequence[SigningKey]) -> None:
        self._domain = domain
        self._keys = tuple(keys)
        # By the fields that a message has: what is signed of them, and the signatures' own.
        self._known: dict[tuple[bytes, ...], tuple[tuple[bytes, ...], list[_Form]]] = {}

    def signed(self, content: bytes, at: datetime, *, tidy: bool = False) -> bytes:
        """Return one message with its signatures on top; see `signed_each`."""
        return self.signed_each([content], at, tidy=tidy)[0]

    def signed_each(
        self, contents: Sequence[bytes], at: datetime, *, tidy: bool = False
    ) -> list[bytes]:
        """Return these messages with their signatures on top, made side by side.

        `tidy` says that bodies are as relaxed canonicalization leaves them, which a `Skeleton`
        writes: to look at them again would cost more than their hash.
        A ValueError where one has no From, a field twice that a message has once (RFC 5322 §3.6),
        or a line that is no field.
        """
        second = b"%d" % int(at.timestamp())
        drafts = [self._draft(content, tidy=tidy) for content in contents]
        signatures = iter(
            side_by_side(
                [
                    partial(form.key.sign, form.digest(draft, second))
                    for draft in drafts
                    for form in draft.forms
                ]
            )
        )
        return [
            b"".join(
                (
                    *[form.field(draft, second, next(signatures)) for form in draft.forms],
                    draft.content,
                )
            )
            for draft in drafts
        ]

    def _draft(self, content: bytes, *, tidy: bool) -> _Draft:
        head, _, body = content.partition(_END)
        fields = _fields(head)
        present = tuple(fields)
        known = self._known.get(present)
        if known is None:
            known = self._known[present] = self._prepared(present)
        covered, forms = known
        canonical = b"".join([fields[name] for name in covered])
        hashed = sha256(body if tidy else relaxed_body(body))
        return _Draft(content, canonical, b64encode(hashed.digest()), forms)

    def _prepared(self, present: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], list[_Form]]:
        covered, names = _chosen(present)
        return covered, [self._form(key, names) for key in self._keys]

    def _form(self, key: SigningKey, names: str) -> _Form:
        before = (
            f"v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n"
            f" d={self._domain}; s={key.selector};\r\n t="
        ).encode()
        after = f";\r\n h={names};\r\n bh=".encode()
        return _Form(
            key,
            (b"DKIM-Signature: " + before, after),
            (b"dkim-signature:" + _relaxed(before), _relaxed(after)),
        )


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
    # It was sealed since, so nobody has changed it; to check its primes again takes long.
    key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
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
    for raw in _NEXT.split(head.removesuffix(b"\r\n")):
        name, canonical = _field(raw)
        if name in fields and name not in _REPEATED:
            raise ValueError(f"{name.decode()} is there twice")
        fields[name] = canonical
    return fields


# Most fields are the same in the next mail.
@lru_cache(maxsize=256)
def _field(raw: bytes) -> tuple[bytes, bytes]:
    found = _FIELD.fullmatch(raw)
    if found is None:
        raise ValueError("a line in the header is no field")
    name = found[1].lower()
    return name, name + b":" + _relaxed(found[2]) + b"\r\n"


def _relaxed(value: bytes) -> bytes:
    if b"\r\n" in value:
        value = _FOLD.sub(b"", value)
    if b"  " in value or b"\t" in value:
        value = _BLANKS.sub(b" ", value)
    return value.strip(b" \t")
