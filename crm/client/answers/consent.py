"""What the service answers: consent. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Allowed(Struct, frozen=True, kw_only=True):
    """The state of one customer for one purpose, and whether she may be contacted on it now."""

    customer_id: UUID
    purpose_id: UUID
    purpose_version: int
    record_id: UUID
    status: str
    method: str
    event_id: UUID
    notice_id: UUID | None
    at: datetime
    ends_at: datetime | None
    stale_at: datetime | None
    authorises: bool
    reason: str | None


class Bundle(Struct, frozen=True, kw_only=True):
    """Receipts with the keys, signed head, origins and paths they are checked with."""

    format: str = "firsthand/bundle/v1"
    receipts: list[Proved]
    head: str
    jwks: Jwks
    receipt_keys: list[Endorsed]
    checkpoint_keys: list[Endorsed]
    origins: list[BundledOrigin] | None = None
    consistency: list[Path] | None = None


class BundledOrigin(Struct, frozen=True, kw_only=True):
    """A name of the ledger; of one after a restore, what its first leaf says and where that is."""

    origin: str
    begins_at: int
    opening: str
    predecessor: str
    proof: str


class Check(Struct, frozen=True, kw_only=True):
    """The answer to "may I contact this customer for this purpose?"."""

    customer_id: UUID | None
    purpose_id: UUID
    authorises: bool
    reason: str | None
    basis: str
    status: str | None
    event_id: UUID | None
    notice_id: UUID | None
    at: datetime | None
    ends_at: datetime | None


class Checks(Struct, frozen=True, kw_only=True):
    """One answer for each customer asked about, in the order asked."""

    checks: list[Check]


class Endorsed(Struct, frozen=True, kw_only=True):
    """A key as a vkey, and the note by which the one before it named it; empty for the first."""

    vkey: str
    endorsement: str


class Jwk(Struct, frozen=True, kw_only=True):
    """The public half of a receipt key (RFC 8037)."""

    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = "Ed25519"
    use: str = "sig"
    kid: str
    x: str


class Jwks(Struct, frozen=True, kw_only=True):
    """A set of keys (RFC 7517)."""

    keys: list[Jwk]


class Path(Struct, frozen=True, kw_only=True):
    """That the tree of `second` leaves begins with that of `first`; hashes in base64."""

    first: int
    second: int
    path: list[str]


class Proved(Struct, frozen=True, kw_only=True):
    """A receipt, and the proof of its place in the ledger: `.tlog-proof`, empty while pending."""

    receipt: str
    proof: str


class Withdrawal(Struct, frozen=True, kw_only=True):
    """From when on nothing is sent; the same for an address that nobody has."""

    withdrawn_at: datetime
