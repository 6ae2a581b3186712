"""Campaigns in a database that was put back: what was handed over since then is not known.

So nothing of them is sent again by itself. What waited is uncertain, range by range; what was
scheduled, or has begun since, is held for staff.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

from crm import events
from crm.campaigns.cancelling import Range
from crm.campaigns.digests import unsent_digests
from crm.campaigns.filling import fill_piece
from crm.campaigns.model import State
from crm.db import Database, Db, Statements
from crm.events import Actor, Kind

sql = Statements("campaigns")

_PIECE = 10_000
_RUNNING = frozenset({State.starting, State.sending, State.paused})
# What the console shows staff of such a campaign.
_WHY = (
    "Our database was put back to an earlier state. To whom it went after that is not known, so "
    "whoever waited then is uncertain now: nobody is mailed twice. Your relay's log may tell."
)


class Held(Struct, frozen=True):
    """A campaign that was stopped: what it was doing, and how many deliveries are uncertain."""

    id: UUID
    subject: str
    state: State
    uncertain: int = 0


async def hold_restored(database: Database, business_id: UUID, begun: Iterable[UUID]) -> list[Held]:
    """Stop whatever was running or scheduled, and what has `begun` since; again changes nothing.

    A digest whose week is over may have gone as well, under a number of which nothing is left.
    """
    async with database.read(business_id) as read:
        found = await read.many(sql.campaigns_to_hold, Held, campaign_ids=list(begun))
    held = [await _hold(database, business_id, each) for each in found]
    # Behind those: an issue in the middle of its start is accounted for by now.
    async with database.write(business_id) as db:
        digests = await unsent_digests(db)
    fresh = [Held(each.id, each.subject, each.state) for each in digests]
    return held + [await _hold(database, business_id, each) for each in fresh]


async def _hold(database: Database, business_id: UUID, campaign: Held) -> Held:
    running = campaign.state in _RUNNING
    if campaign.state is State.starting:
        # Whoever is left out of it has to be accounted for, too.
        await _fill(database, business_id, campaign.id)
    uncertain = 0
    while running:
        async with database.write(business_id) as db:
            doubted = await _doubt_range(db, campaign.id)
        if not doubted:
            break
        uncertain += doubted
    async with database.write(business_id) as db:
        await db.run(sql.hold_restored, campaign_id=campaign.id, paused=running, why=_WHY)
        kind = Kind.campaign_paused if running else Kind.campaign_held
        await events.record(db, Actor.system(), kind, ref=campaign.id)
    return Held(campaign.id, campaign.subject, campaign.state, uncertain)


async def _fill(database: Database, business_id: UUID, campaign_id: UUID) -> None:
    more = True
    while more:
        async with database.write(business_id) as db:
            more = await fill_piece(db, campaign_id, _PIECE)


async def _doubt_range(db: Db, campaign_id: UUID) -> int:
    """Doubt one more range; returns how many deliveries, and 0 when no range is left."""
    found = await db.maybe(sql.lease_to_doubt, Range, campaign_id=campaign_id)
    if found is None:
        return 0
    bounds = {"campaign_id": campaign_id, "low": found.low, "high": found.high}
    doubted = await db.run(sql.doubt_all, **bounds)
    await db.run(sql.drop_retries, **bounds)
    await db.run(sql.count_doubted, campaign_id=campaign_id, number=found.number, doubted=doubted)
    return doubted
