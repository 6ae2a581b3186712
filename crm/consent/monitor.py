"""The monitor's other half: what the leaves stand for is still what was recorded (promise 6).

A round derives the ledger anew from what is kept of each decision, and compares rows, states and
stubs with it. Whatever was altered, lost or put in beside is named by its event.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from msgspec import MsgspecError, Struct

from crm import ledger
from crm.consent.grounds import kind_of
from crm.consent.model import ConsentEvent
from crm.consent.record import commitment, read
from crm.db import Db, ReadDb, Statements
from crm.ledger import Finding, leaf_hash, opening_commitment

sql = Statements("consent")

# Rows looked at in one statement: few, since for so long the worker does nothing else, some five
# thousandths of a second. Larger pieces cost as much for each row.
_AT_ONCE = 128
_NO_HASH = bytes(32)
# Alarms that one piece raises at most: who reads a thousand knows enough.
_TOLD = 1_000
# What a row says besides its bytes, each as the bytes say it.
_COLUMNS = (
    "customer_id",
    "purpose_id",
    "purpose_version",
    "basis",
    "notice_id",
    "status",
    "method",
    "actor_kind",
    "actor_id",
    "at",
    "recorded_at",
    "valid_until",
)


class _Leaf(Struct, frozen=True, kw_only=True):
    """A leaf, and what is kept of what it stands for."""

    leaf_index: int
    entry_id: UUID
    commitment: bytes | None
    opening: bytes | None
    erased: bool
    salt: bytes | None
    canonical: bytes | None
    customer_id: UUID | None
    purpose_id: UUID | None
    purpose_version: int | None
    basis: str | None
    notice_id: UUID | None
    status: str | None
    method: str | None
    actor_kind: str | None
    actor_id: UUID | None
    at: datetime | None
    recorded_at: datetime | None
    valid_until: datetime | None
    evidence_kind: str | None
    proof_id: UUID | None


class _Stray(Struct, frozen=True):
    """A row that follows from nothing that was recorded, and why not."""

    subject: UUID
    why: str


async def watch_next(db: Db) -> ledger.Round | None:
    """Look at the next piece of a round, and raise an alarm for whatever is not as it was.

    Returns the round as it is now; None where there is none under way, or another worker has it.
    Inserts go on meanwhile: nothing is locked but the row that says how far the round has come.
    """
    current = await ledger.hold_watch(db)
    if current is None or current.ended_at is not None:
        return None
    if current.leaves_left:
        leaves, found = await _leaves(db, current.position, current.leaves_left)
        found += await ledger.compare(db, current, leaves)
        await ledger.go_on(db, current, found[:_TOLD])
    else:
        await ledger.go_on(db, current, await _strays(db), ended=True)
    return await ledger.watch(db)


async def _leaves(db: ReadDb, begin: int, count: int) -> tuple[bytes, list[Finding]]:
    """Derive the hashes of so many leaves, and say what of their decisions was changed."""
    hashes, found = [], []
    for low in range(begin, begin + count, _AT_ONCE):
        high = min(low + _AT_ONCE, begin + count)
        rows = await db.many(sql.leaves, _Leaf, low=low, high=high)
        by_index = {row.leaf_index: row for row in rows}
        for index in range(low, high):
            row = by_index.get(index)
            if row is None:
                found.append(Finding("leaf_missing", f"leaf {index}", "No entry has this place."))
                hashes.append(_NO_HASH)
                continue
            hashes.append(_hash(row))
            found += _wrong(row)
    return b"".join(hashes), found


def _hash(row: _Leaf) -> bytes:
    if row.opening is not None:
        return leaf_hash(opening_commitment(row.opening))
    return leaf_hash(row.commitment) if row.commitment is not None else _NO_HASH


def _wrong(row: _Leaf) -> Iterator[Finding]:
    if row.opening is not None:
        return
    subject = f"event {row.entry_id}"
    where = f"It is leaf {row.leaf_index}."
    if row.commitment is None:
        yield Finding("stub_missing", subject, f"The entry is gone. {where}")
    elif row.salt is None or row.canonical is None:
        if not row.erased:
            yield Finding("record_missing", subject, f"Gone, and no erasure took it. {where}")
    elif row.erased:
        yield Finding("record_returned", subject, f"It was erased, and is there again. {where}")
    elif commitment(row.salt, row.canonical) != row.commitment:
        yield Finding("record_changed", subject, f"It is not what was committed to. {where}")
    else:
        differing = _differing(row, row.canonical)
        if differing:
            names = ", ".join(differing)
            yield Finding("row_changed", subject, f"The record says otherwise: {names}. {where}")


def _differing(row: _Leaf, canonical: bytes) -> list[str]:
    try:
        event = read(canonical)
    except (KeyError, ValueError, MsgspecError):
        return ["canonical"]
    said = [name for name in _COLUMNS if getattr(row, name) != getattr(event, name)]
    if event.id != row.entry_id:
        said.append("event_id")
    if kind_of(event.evidence) != row.evidence_kind:
        said.append("evidence_kind")
    return said if _proof(row, event) == row.proof_id else [*said, "proof_id"]


def _proof(row: _Leaf, event: ConsentEvent) -> UUID | None:
    if event.opt_in is not None:
        return event.opt_in.proof_id
    # Recorded before proofs were rows of their own: it is its own proof.
    return row.entry_id if row.proof_id == row.entry_id else None


async def _strays(db: ReadDb) -> list[Finding]:
    """Say what is kept and follows from no leaf: stubs put in beside, and states of no record."""
    beside = "It is neither in the ledger nor waiting to be sealed."
    gone = "A decision is kept, and the state that it led to is not."
    return [
        *(
            Finding("stub_astray", f"event {each}", beside)
            for each in await db.many(sql.strays, UUID)
        ),
        *(
            Finding("state_changed", f"state of event {each.subject}", each.why)
            for each in await db.many(sql.states_astray, _Stray)
        ),
        *(
            Finding("state_missing", f"state of event {each}", gone)
            for each in await db.many(sql.states_missing, UUID)
        ),
    ]
