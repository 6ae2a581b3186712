"""Writes a campaign's deliveries: the audience at its start, range by range."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm import events
from crm.campaigns.aim import of_segment
from crm.campaigns.model import KeptSegment
from crm.db import Db, Statements
from crm.events import Actor, Kind

sql = Statements("campaigns")

_LOWEST = UUID(int=0)


class Filling(Struct, frozen=True):
    """How far the deliveries of a campaign are written."""

    purpose_id: UUID
    filled_to: UUID | None
    filled_by: int | None
    # The segment as it was at the start, where it goes to one.
    segment_kept: KeptSegment | None
    started_at: datetime
    # Whether it is a digest; else whether its purpose offers one.
    digest: bool
    offers_digest: bool


class Piece(Struct, frozen=True):
    """What one piece of the audience came to."""

    waiting: int
    excluded: int
    reasons: list[str]
    last: UUID | None


_NOBODY = Piece(waiting=0, excluded=0, reasons=[], last=None)


async def fill_piece(db: Db, campaign_id: UUID, size: int) -> bool:
    """Write the next range of deliveries with its lease, in one transaction; False at the end.

    A crash between two pieces loses nothing: the next call goes on after the last one.
    """
    await db.maybe(sql.hold_plan_of_digest, UUID, campaign_id=campaign_id)
    await db.maybe(sql.share_digest_plan, UUID, campaign_id=campaign_id)
    filling = await db.maybe(sql.campaign_to_fill, Filling, campaign_id=campaign_id)
    if filling is None or filling.filled_by is not None:
        return False
    after = filling.filled_to or _LOWEST
    piece = await _write(db, campaign_id, filling, after, size)
    if piece.last is None:
        await db.run(sql.filled, campaign_id=campaign_id)
        return False
    # Where a segment or a digest has nobody there is nothing to lease.
    if piece.waiting or piece.excluded:
        await db.run(
            sql.add_lease,
            campaign_id=campaign_id,
            low=after,
            high=piece.last,
            waiting=piece.waiting,
            excluded=piece.excluded,
            reasons=piece.reasons,
        )
    await db.run(sql.filled_to, campaign_id=campaign_id, filled_to=piece.last)
    return True


async def _write(db: Db, campaign_id: UUID, filling: Filling, after: UUID, size: int) -> Piece:
    keys = {"campaign_id": campaign_id, "purpose_id": filling.purpose_id, "after": after}
    if filling.digest:
        return await db.one(sql.write_digest_deliveries, Piece, **keys, size=size)
    among, upto = None, None
    if filling.segment_kept is not None:
        asked = await db.many(
            sql.customers_to_fill, UUID, purpose_id=filling.purpose_id, after=after, size=size
        )
        if not asked:
            return _NOBODY
        # Whoever goes or comes before the next statement moves nobody into or out of this piece.
        upto = asked[-1]
        among = await of_segment(db, filling.segment_kept, filling.started_at, asked)
    return await db.one(
        sql.write_deliveries,
        Piece,
        **keys,
        offers_digest=filling.offers_digest,
        size=size,
        among=among,
        upto=upto,
    )


async def begin_sending(db: Db, campaign_id: UUID) -> bool:
    """Open a filled campaign for claims, or say that an older transaction is still at work.

    That transaction may be a withdrawal that could not see the deliveries (promise 2).
    """
    return bool(await db.run(sql.begin_sending, campaign_id=campaign_id))


async def finish_if_done(db: Db, campaign_id: UUID) -> None:
    """End a campaign of which nothing waits: the audience may be empty, or all of it excluded."""
    if await db.run(sql.finish_campaign, campaign_id=campaign_id):
        await events.record(db, Actor.system(), Kind.campaign_done, ref=campaign_id)
