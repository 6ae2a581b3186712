"""How retention is enforced: in rounds, each of short pieces, and reported.

A piece is one transaction that looks at so many rows and deletes those whose time is over. Its size
follows how long the last one took, so that no lock is held longer than a tenth of a second however
many customers there are. What somebody else holds is left for the next round. A round that is
killed goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm.db import Database, Db, ReadDb, Statements
from crm.pieces import Piece, Sweep

sql = Statements("privacy")

# A round of each kind begins this long after the last one, at the earliest.
EVERY = timedelta(hours=20)
REPORTS_KEPT = timedelta(days=365)

_FIRST_SIZE, _SMALLEST, _LARGEST = 500, 20, 4_000
# A piece that took longer makes the next one smaller; one that took less, larger.
_TOO_LONG, _SHORT = 0.03, 0.01
# Between two pieces as long as the last one took, for whoever waits; a dry run takes one of all.
_LONGEST_REST = 0.05
_ALL = 1_000_000
_FROM = UUID(int=0)


class _Round(Struct, frozen=True):
    begun_at: datetime
    upto: UUID


class Report(Struct, frozen=True, kw_only=True):
    """The newest round over one kind of thing, and what all of the last thirty days deleted."""

    what: str
    begun_at: datetime
    ended_at: datetime | None
    pieces: int
    deleted: int
    longest_ms: int
    lately: int


def size_after(size: int, seconds: float) -> int:
    """Say how many rows the next piece looks at, after one of `size` that took so long."""
    if seconds > _TOO_LONG:
        return max(_SMALLEST, int(size * _TOO_LONG / seconds / 2))
    return min(_LARGEST, size * 2) if seconds < _SHORT else size


async def sweep(
    database: Database, business_id: UUID, what: str, act: Sweep, *, every: timedelta = EVERY
) -> None:
    """Do one round over one kind of thing, or go on with it; nothing where none is due."""
    async with database.write(business_id) as db:
        await db.run(sql.begin_sweep, what=what, since=db.now - every)
    size, longest = _FIRST_SIZE, 0.0
    begun_at = None
    while True:
        began = time.monotonic()
        async with database.write(business_id) as db:
            current = await db.maybe(sql.hold_sweep, _Round, what=what)
            if current is None:
                break
            begun_at = current.begun_at
            piece = await act(db, current.upto, size)
            await db.run(
                sql.go_on_sweeping,
                what=what,
                begun_at=begun_at,
                upto=piece.upto,
                deleted=piece.deleted,
            )
        seconds = time.monotonic() - began
        size, longest = size_after(size, seconds), max(longest, seconds)
        if piece.upto is None:
            await _end(database, business_id, what, begun_at, longest)
            break
        await asyncio.sleep(min(seconds, _LONGEST_REST))


async def rehearse(database: Database, business_id: UUID, act: Sweep) -> int:
    """Count what a round would delete, by the same statements; each piece is taken back."""
    deleted, after, size = 0, _FROM, _LARGEST
    while True:
        transaction = database.write(business_id)
        db = await transaction.begin()
        try:
            piece = await act(db, after, size)
        finally:
            await transaction.roll_back()
        if piece.upto == after:
            # It has no key to go on after, and what it took back is there again: all at once.
            size = _ALL
            continue
        deleted += piece.deleted
        if piece.upto is None:
            return deleted
        after = piece.upto


async def reports(db: ReadDb) -> dict[str, Report]:
    """Return the newest round of each kind, by its name."""
    found = await db.many(sql.sweeps, Report, since=db.now - timedelta(days=30))
    return {each.what: each for each in found}


async def lapse_sweeps(db: Db, after: UUID, limit: int) -> Piece:
    """Delete reports of a year ago, a piece at a time."""
    before = db.now - REPORTS_KEPT
    return await db.one(sql.lapse_sweeps, Piece, after=after, limit=limit, over_before=before)


async def _end(
    database: Database, business_id: UUID, what: str, begun_at: datetime, longest: float
) -> None:
    async with database.write(business_id) as db:
        await db.run(sql.end_sweep, what=what, begun_at=begun_at, longest_ms=round(longest * 1000))
