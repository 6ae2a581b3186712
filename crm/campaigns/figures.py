"""Figures of a campaign for staff: what became of it, how fast leaving took effect, what it took.

Nothing here says who opened or followed anything: nobody is watched, so nobody can be counted.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.campaigns.actions import counts, get
from crm.campaigns.documents import Tally, tally_of
from crm.campaigns.poll import Result, result
from crm.campaigns.troubles import Trouble, troubles
from crm.db import ReadDb, Statements

sql = Statements("campaigns")


class Leavers(Struct, frozen=True, kw_only=True):
    """Who left a campaign's purpose since its start, and what had been claimed for them before.

    `longest` is the longest time in seconds from such a withdrawal to the end of the hand-over
    that was under way (promise 2).
    """

    withdrawals: int
    # Of them, those to whom this campaign had been sent.
    after_mail: int
    # On its way when the withdrawal was recorded; nothing is claimed afterwards.
    on_the_way: int
    longest: float


class Figures(Struct, frozen=True, kw_only=True):
    """A campaign in numbers; seconds from start to end, or until now."""

    counts: Tally
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float
    leavers: Leavers
    # Hard refusals and bounces, and complaints, of those to whom it was sent.
    hard: int
    complaints: int
    troubles: list[Trouble]
    # What came of the question to the readers, where there is one.
    poll: Result | None


class _Returned(Struct, frozen=True):
    hard: int
    complaints: int


async def figures(db: ReadDb, campaign_id: UUID) -> Figures:
    """Return what a campaign came to, from sums over ranges and the withdrawals since its start."""
    campaign = await get(db, campaign_id)
    began = campaign.started_at or campaign.ended_at or db.now
    leavers = await db.one(
        sql.leavers,
        Leavers,
        campaign_id=campaign_id,
        purpose_id=campaign.purpose_id,
        since=began,
    )
    returned = await db.one(sql.returned, _Returned, campaign_id=campaign_id)
    return Figures(
        counts=tally_of(await counts(db, campaign_id)),
        started_at=campaign.started_at,
        ended_at=campaign.ended_at,
        seconds=((campaign.ended_at or db.now) - began).total_seconds(),
        leavers=leavers,
        hard=returned.hard,
        complaints=returned.complaints,
        troubles=await troubles(db, campaign_id),
        poll=await result(db, campaign_id),
    )
