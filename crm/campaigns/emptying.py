"""Merge values leave deliveries when they were kept as long as the business says."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from crm import businesses
from crm.db import Db, ReadDb, Statements

sql = Statements("campaigns")

# Deliveries looked at in one transaction: an outcome may wait for these rows.
_PIECE = 1000
_LOWEST = UUID(int=0)


class Due(Struct, frozen=True):
    """A campaign that has had its time; one that is over is emptied for good."""

    id: UUID
    over: bool


class _Piece(Struct, frozen=True):
    last: UUID | None
    emptied: int


async def due(db: ReadDb) -> list[Due]:
    """Return campaigns begun so long ago that nothing filled in may be left of them."""
    days = (await businesses.get(db)).mail_days
    return await db.many(sql.campaigns_to_empty, Due, started_before=db.now - timedelta(days=days))


async def empty_piece(db: Db, campaign: Due, after: UUID | None) -> UUID | None:
    """Empty the next deliveries along the key; returns how far it came, None at the end."""
    piece = await db.one(
        sql.empty_deliveries,
        _Piece,
        campaign_id=campaign.id,
        after=after or _LOWEST,
        size=_PIECE,
    )
    if piece.last is None and campaign.over:
        await db.run(sql.emptied, campaign_id=campaign.id)
    return piece.last
