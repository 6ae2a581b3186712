"""Tries counted per subject and window, for every domain that checks something guessable."""

from __future__ import annotations

from crm.db import Db
from crm.staff.actions import sql
from crm.staff.model import ATTEMPT_WINDOW, window_of


async def count_attempt(db: Db, kind: str, subject: bytes, *, most: int) -> int:
    """Count one more try of a kind; return the seconds to wait if it is one too many, or 0.

    The caller commits before it checks anything, so that no refusal takes the count back.
    """
    window = window_of(db.now)
    count = await db.one(sql.count_attempt, int, kind=kind, subject=subject, window_start=window)
    if count <= most:
        return 0
    return max(1, round((window + ATTEMPT_WINDOW - db.now).total_seconds()))


async def forgive_attempts(db: Db, kind: str, subject: bytes) -> None:
    """Forget the tries for a subject: they were those of its owner."""
    await db.run(sql.forgive_attempts, kind=kind, subject=subject)
