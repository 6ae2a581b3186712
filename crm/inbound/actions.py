"""What is done with mail that comes in: heard once, counted always, and forgotten in time."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from crm.db import Db, ReadDb, Statements
from crm.inbound.effects import step_of
from crm.inbound.model import REMEMBERED, Arrival, Count, Effect, Return, SoftBounce, Via
from crm.inbound.proof import proven

sql = Statements("inbound")


async def hear(db: Db, arrival: Arrival, via: Via) -> Effect:
    """Do what a mail to one of our addresses asks for, in this transaction and only once.

    Only what a token proves changes anything; a person's own words are kept with the customer who
    wrote them. Everything is counted, and of what proves nothing that is all.
    """
    step = await step_of(db, arrival, proven(db.keys, db.business_id, arrival))
    effect = Effect.counted
    if step.act is not None:
        known = {"digest": arrival.digest, "via": via, "kind": step.kind, "code": step.code}
        if not await db.run(sql.add_report, **known):
            return Effect.repeated
        await step.act()
        effect = Effect.done
    # Last: every report of a day waits for this one row.
    await db.run(sql.count_report, via=via, kind=step.kind)
    return effect


async def counts(db: ReadDb, days: int) -> list[Count]:
    """Return what came in during the last days, by kind and way."""
    return await db.many(sql.counts_since, Count, since=db.now - timedelta(days=days))


async def returns(db: ReadDb, campaign_id: UUID) -> list[Return]:
    """Return what came back of a campaign, by kind."""
    return await db.many(sql.returns, Return, campaign_id=campaign_id)


async def export(db: ReadDb, customer_id: UUID) -> list[SoftBounce]:
    """Return how her mailbox could not take mail lately; nothing where it could."""
    return await db.many(sql.soft_bounce_of, SoftBounce, customer_id=customer_id)


async def forget_address(db: Db, address_hash: bytes, until: datetime | None) -> dict[str, int]:
    """Forget how an erased address bounced until then."""
    gone = await db.run(sql.forget_soft_bounce, address_hash=address_hash, until=until)
    return {"soft_bounce": gone}


async def tidy(db: Db) -> None:
    """Forget reports and soft bounces of more than a year ago."""
    await db.run(sql.drop_reports, before=db.now - REMEMBERED)
    await db.run(sql.drop_old_soft_bounces, before=db.now - REMEMBERED)
