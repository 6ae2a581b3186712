"""Origins, heads, keys and alarms of a ledger; when it may go on, and what its origin says."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import rfc8785
from msgspec import Struct

from crm.errors import Conflict, NotFound
from crm.ledger.checkpoint import Checkpoint, checkpoint_of
from crm.ledger.note import Verifier

_OPENING = b"firsthand/ledger-origin/v1"


class KeyKind(StrEnum):
    """What a signing key signs."""

    checkpoint = "checkpoint"
    receipt = "receipt"


class Stopped(StrEnum):
    """Why nothing can be sealed."""

    restored = "restored"
    journal_lost = "journal_lost"
    journal_away = "journal_away"
    key_wrong = "key_wrong"
    damaged = "damaged"


class NothingSealed(NotFound):
    """Nothing is sealed here yet."""


class TreeIncomplete(Conflict):
    """A part of the ledger's tree is missing, so nothing can be proved from it now."""


class NoSuchTile(NotFound):
    """There is no such tile, or it is not covered by a signed checkpoint yet."""


class NoSuchOrigin(NotFound):
    """The ledger has no origin of this number."""


class NotStopped(Conflict):
    """The ledger goes on where it was; a new origin is only for one that cannot."""


class JournalKnown(Conflict):
    """The journal knows this ledger already; there is nothing to adopt."""


class Halt(Exception):
    """Nothing may be sealed, for this reason; what the transaction did is not kept."""

    def __init__(self, why: Stopped) -> None:
        """Say why."""
        super().__init__(why.value)
        self.why = why


class Head(Struct, frozen=True, kw_only=True):
    """How far a ledger is sealed, and under which name."""

    origin_number: int
    origin: str
    begins_at: int
    predecessor: str
    size: int
    root: bytes
    signed_size: int
    stopped_why: Stopped | None
    stopped_at: datetime | None
    anchored_size: int
    anchored_at: datetime | None

    @property
    def checkpoint(self) -> Checkpoint:
        """What is signed of it."""
        return Checkpoint(self.origin, self.size, self.root)


class Origin(Struct, frozen=True, kw_only=True):
    """A name the ledger goes or went by; `opening` is what its first leaf says."""

    number: int
    origin: str
    begins_at: int
    predecessor: str
    opening: bytes | None
    opened_at: datetime

    @property
    def lost(self) -> int:
        """How many leaves that the origin before had signed are not here any more."""
        if not self.predecessor:
            return 0
        return max(checkpoint_of(self.predecessor).size - self.begins_at, 0)

    @property
    def said(self) -> dict[str, Any]:
        """What its first leaf says; nothing for the first origin."""
        return json.loads(self.opening) if self.opening else {}


class SignedHead(Struct, frozen=True, kw_only=True):
    """A checkpoint as published."""

    origin_number: int
    size: int
    root: bytes
    note: str
    signed_at: datetime


class PublicKey(Struct, frozen=True, kw_only=True):
    """A key of the business, and when it signed."""

    kind: KeyKind
    number: int
    name: str
    public: bytes
    endorsement: str
    created_at: datetime
    retired_at: datetime | None

    @property
    def verifier(self) -> Verifier:
        """The key as notes are checked with it."""
        return Verifier(self.name, self.public)


class Alarm(Struct, frozen=True, kw_only=True):
    """What the monitor found, and whether an operator has settled it."""

    id: UUID
    kind: str
    subject: str
    detail: str
    found_at: datetime
    seen_at: datetime
    settled_at: datetime | None
    settled_why: str


class Finding(Struct, frozen=True):
    """Something that is not as it was sealed: what kind, about what exactly, and how."""

    kind: str
    subject: str
    detail: str


class Opening(Struct, frozen=True, kw_only=True):
    """What the first leaf of a new origin says."""

    origin: str
    opened_at: str
    begins_at: int
    lost: int
    predecessor: str
    reason: str


def opening_bytes(opening: Opening) -> bytes:
    """Write what an origin says as RFC 8785 JSON: published, and hashed as it stands."""
    said = {name: getattr(opening, name) for name in Opening.__struct_fields__}
    return rfc8785.dumps({"version": 1, **said})


def opening_commitment(opening: bytes) -> bytes:
    """Return the leaf data of what an origin says: everybody can compute it."""
    return hashlib.sha256(_OPENING + opening).digest()


def origin_name(host: str, number: int) -> str:
    """Name an origin: the address of its checkpoints without scheme (C2SP tlog-tiles)."""
    return f"{host}/ledger/{number}"


def number_of(origin: str) -> int:
    """Read the number of an origin from its name; 0 for a name that is not ours."""
    number = origin.rpartition("/ledger/")[2]
    return int(number) if number.isascii() and number.isdigit() else 0


def newer(before: str, note: str) -> str:
    """Choose which of two signed heads to keep: that of the later origin, or the larger one."""
    if not before:
        return note
    old, new = checkpoint_of(before), checkpoint_of(note)
    later = (number_of(new.origin), new.size) > (number_of(old.origin), old.size)
    return note if later else before
