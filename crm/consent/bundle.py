"""A bundle: receipts with all that is needed to check them with the network off.

`crm verify` and deploy/verify.py read it; docs/verify.md says what each member means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from crm.consent.receipt import ALGORITHM, encoded

# So many receipts are written before anybody else has a turn.
_AT_ONCE = 20
FORMAT = "firsthand/bundle/v1"


class Proved(Struct, frozen=True):
    """A receipt, and the proof of its place in the ledger: `.tlog-proof`, empty while pending."""

    receipt: str
    proof: str


class Jwk(Struct, frozen=True, kw_only=True):
    """The public half of a receipt key (RFC 8037)."""

    kty: str = "OKP"
    crv: str = ALGORITHM
    alg: str = ALGORITHM
    use: str = "sig"
    kid: str
    x: str

    @classmethod
    def of(cls, public: bytes) -> Jwk:
        """Write 32 bytes as a JWK."""
        return cls(kid=thumbprint(public), x=encoded(public))


class Jwks(Struct, frozen=True):
    """A set of keys (RFC 7517)."""

    keys: list[Jwk]


class Endorsed(Struct, frozen=True):
    """A key as a vkey, and the note by which the one before it named it; empty for the first."""

    vkey: str
    endorsement: str


class BundledOrigin(Struct, frozen=True, kw_only=True):
    """A name of the ledger; of one after a restore, what its first leaf says and where that is."""

    origin: str
    begins_at: int
    opening: str
    predecessor: str
    proof: str


class Path(Struct, frozen=True, kw_only=True):
    """That the tree of `second` leaves begins with that of `first`; hashes in base64."""

    first: int
    second: int
    path: list[str]


class Bundle(Struct, frozen=True, kw_only=True):
    """Receipts with the keys, signed head, origins and paths they are checked with."""

    format: str = FORMAT
    receipts: list[Proved]
    head: str
    jwks: Jwks
    receipt_keys: list[Endorsed]
    checkpoint_keys: list[Endorsed]
    origins: list[BundledOrigin] = field(default_factory=list)
    consistency: list[Path] = field(default_factory=list)


def packed(bundle: Bundle) -> bytes:
    """Write a bundle so that a person can read it too."""
    return msgspec.json.format(msgspec.json.encode(bundle), indent=2) + b"\n"


def pieces(bundle: Bundle) -> Iterator[bytes]:
    """Write the same bytes, some receipts at a time: there may be thousands, of 10 kB each."""
    before, name, after = packed(replace(bundle, receipts=[])).partition(b'"receipts": [')
    yield before + name
    for at in range(0, len(bundle.receipts), _AT_ONCE):
        some = msgspec.json.encode(bundle.receipts[at : at + _AT_ONCE])
        listed = msgspec.json.format(some, indent=2).removeprefix(b"[").removesuffix(b"\n]")
        # No text of JSON has a line feed of its own: each is one of the layout.
        yield (b"," if at else b"") + listed.replace(b"\n", b"\n  ")
    yield (b"\n  " if bundle.receipts else b"") + after


def thumbprint(public: bytes) -> str:
    """Name a key by its content (RFC 7638, for the members that RFC 8037 §2 requires)."""
    said = f'{{"crv":"{ALGORITHM}","kty":"OKP","x":"{encoded(public)}"}}'
    return encoded(hashlib.sha256(said.encode()).digest())
