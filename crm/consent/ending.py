"""When the proof of a consent goes: what its purpose declares, counted from the end of the consent.

The newest record stays, because the opt-out that it says does; the stubs stay, so that everybody
else's proofs hold.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from crm.db import Db, Statements
from crm.pieces import Piece

sql = Statements("consent")

# Where a purpose declares no time for its proof: the longest in which such claims are usually made.
PROOF_KEPT_YEARS = 6
# That a mailbox spoke, after the last that rests on it: a sign-in nobody asks about any more.
PROOF_RESTS = timedelta(days=30)


async def end_records(db: Db, after: UUID, limit: int) -> Piece:
    """Delete decisions with their evidence whose consent ended long ago, a piece at a time."""
    return await db.one(
        sql.end_records, Piece, after=after, limit=limit, unless_declared=f"P{PROOF_KEPT_YEARS}Y"
    )


async def end_proofs(db: Db, after: UUID, limit: int) -> Piece:
    """Delete that mailboxes spoke, where nothing rests on it, a piece at a time."""
    before = db.now - PROOF_RESTS
    return await db.one(sql.end_proofs, Piece, after=after, limit=limit, over_before=before)


async def end_files(db: Db, after: UUID, limit: int) -> Piece:
    """Delete files about customers of whom no decision is kept, a piece at a time."""
    before = db.now - PROOF_RESTS
    return await db.one(sql.end_files, Piece, after=after, limit=limit, over_before=before)
