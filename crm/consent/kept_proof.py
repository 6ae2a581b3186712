"""What is kept of an erased customer's consents: for each purpose what she gave and how it ended.

A proof lies under the keyed hash of her address, or, where she had that deleted as well, under
nothing at all: then only a receipt that she kept finds it. It goes on the day that stands in it and
is used for nothing but to answer on which ground she was written to (Art. 17(3)(e) GDPR).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from datetime import date, datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from crm.consent.ending import PROOF_KEPT_YEARS
from crm.consent.record import commitment, read
from crm.consent.states import Method, Status
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid
from crm.pieces import Piece

sql = Statements("consent")

_UNLESS_DECLARED = f"P{PROOF_KEPT_YEARS}Y"
# The middle of a signed receipt; alone, or in the file of one with its proof. Without what stands
# before it, each letter of a long row would be a beginning.
_RECEIPT = re.compile(r"(?<![\w-])[\w-]{20,}+\.([\w-]{20,}+)\.[\w-]{20,}", re.ASCII)


class NotAReceipt(Invalid):
    """This is no receipt of ours. Take the file as it was downloaded, or all of its text."""


class KeptProof(Struct, frozen=True, kw_only=True):
    """What was given for one purpose, and how it ended."""

    event_id: UUID
    purpose_id: UUID
    purpose: str
    purpose_version: int
    notice_id: UUID | None
    status: Status
    method: Method
    given_at: datetime
    end_event_id: UUID
    end_status: Status
    end_method: Method
    ended_at: datetime
    keep_until: date


class ToKeep(Struct, frozen=True):
    """How many proofs an erasure keeps, and when the last of them goes; nothing where none."""

    proofs: int
    until: date | None

    def __add__(self, other: ToKeep) -> ToKeep:
        """Take both together; the last of it goes on the later day."""
        days = [each for each in (self.until, other.until) if each is not None]
        return ToKeep(self.proofs + other.proofs, max(days, default=None))


class Checked(Struct, frozen=True):
    """A receipt held against what is kept: whether its decision was made here, and its proof."""

    # The stub in the ledger is the checksum of what the receipt says.
    genuine: bool
    proof: KeptProof | None


class _Sealed(Struct):
    salt: str
    canonical: str


class _Said(Struct):
    sealed: _Sealed


async def to_keep(db: ReadDb, customer_id: UUID) -> ToKeep:
    """Say what an erasure at this moment would keep."""
    return await db.one(
        sql.proof_to_keep, ToKeep, customer_id=customer_id, unless_declared=_UNLESS_DECLARED
    )


async def keep_proof(db: Db, customer_id: UUID, address_hash: bytes | None) -> ToKeep:
    """Keep the proof of what an erased customer gave, before her records go.

    All of it has ended by then. Without a hash only a receipt finds it.
    """
    return await db.one(
        sql.keep_proof,
        ToKeep,
        customer_id=customer_id,
        address_hash=address_hash,
        unless_declared=_UNLESS_DECLARED,
    )


async def disown_proofs(db: Db, address_hash: bytes) -> int:
    """Take the fingerprint from every proof kept under it, because its owner had it deleted."""
    return await db.run(sql.disown_proofs, address_hash=address_hash)


async def kept_proofs(db: ReadDb, address_hash: bytes) -> list[KeptProof]:
    """Return what is kept under the fingerprint of an address, the newest end first."""
    return await db.many(sql.kept_proofs, KeptProof, address_hash=address_hash)


async def check_receipt(db: ReadDb, text: str) -> Checked:
    """Hold a receipt that somebody kept against the ledger and what is kept, or NotAReceipt.

    What it says is genuine where the stub of its decision is its checksum: nobody else knows the
    salt (docs/verify.md).
    """
    found = _RECEIPT.search(text)
    if found is None:
        raise NotAReceipt
    try:
        sealed = msgspec.json.decode(_decoded(found[1]), type=_Said).sealed
        salt, canonical = _decoded(sealed.salt), _decoded(sealed.canonical)
        event_id = read(canonical).id
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotAReceipt from None
    stub = await db.maybe(sql.stub, bytes, event_id=event_id)
    if stub != commitment(salt, canonical):
        return Checked(genuine=False, proof=None)
    proof = await db.maybe(sql.kept_proof_of_event, KeptProof, event_id=event_id)
    return Checked(genuine=True, proof=proof)


async def end_kept_proofs(db: Db, after: UUID, limit: int) -> Piece:
    """Delete kept proofs on the day that stands in each, a piece at a time."""
    return await db.one(sql.end_kept_proofs, Piece, after=after, limit=limit, today=db.now.date())


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
