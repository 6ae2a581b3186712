"""Merge values leave deliveries when they were kept as long as the business says."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from crm import businesses
from crm.db import Db, Statements
from crm.pieces import Piece

sql = Statements("campaigns")


async def empty(db: Db, after: UUID, limit: int) -> Piece:
    """Take out what was filled in for customers of campaigns begun long ago, a piece at a time.

    The key is that of a campaign; how far it has come within one the campaign itself keeps.
    """
    days = (await businesses.get(db)).mail_days
    return await db.one(
        sql.empty_deliveries,
        Piece,
        after=after,
        limit=limit,
        started_before=db.now - timedelta(days=days),
    )
