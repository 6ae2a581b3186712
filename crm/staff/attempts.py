"""Tries counted per subject and window, for every domain that checks something guessable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from crm.db import Db
from crm.staff.actions import sql
from crm.staff.model import ATTEMPT_WINDOW, window_of


async def count_attempt(
    db: Db, kind: str, subject: bytes, *, most: int, lasts: timedelta = ATTEMPT_WINDOW
) -> int:
    """Count one more try of a kind; return the seconds to wait if it is one too many, or 0.

    The caller commits before it checks anything, so that no refusal takes the count back. A kind
    is counted in windows of one length, of a day at most.
    """
    if await counted(db, kind, subject, lasts=lasts) <= most:
        return 0
    return max(1, round((window_of(db.now, lasts) + lasts - db.now).total_seconds()))


async def counted(db: Db, kind: str, subject: bytes, *, lasts: timedelta = ATTEMPT_WINDOW) -> int:
    """Count one more of a kind; return how many there are in this window, with it."""
    window = window_of(db.now, lasts)
    return await db.one(sql.count_attempt, int, kind=kind, subject=subject, window_start=window)


async def forgive_about(db: Db, kinds: Sequence[str], address_hash: bytes) -> None:
    """Forget what was counted of these kinds for subjects that begin with this fingerprint."""
    await db.run(sql.forgive_about, kinds=list(kinds), address_hash=address_hash)


async def forgive_attempts(db: Db, kind: str, subject: bytes) -> None:
    """Forget the tries for a subject: they were those of its owner."""
    await db.run(sql.forgive_attempts, kind=kind, subject=subject)
