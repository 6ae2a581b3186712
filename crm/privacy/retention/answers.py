"""Answers that are kept for programs, past their time.

They belong to crm/web, which no front door may know; its statement is all that is needed of it.
"""

from __future__ import annotations

from uuid import UUID

from crm.db import Db, Statements
from crm.pieces import Piece

sql = Statements("web")


async def forget_answers(db: Db, after: UUID, limit: int) -> Piece:
    """Delete answers whose time is over, a piece at a time."""
    return await db.one(sql.forget_idempotency_keys, Piece, after=after, limit=limit)
