"""What a customer decides about how much mail she wants, and what comes of it."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

from crm import campaigns, consent, events
from crm.customers import UnknownCustomer
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.rhythm.model import (
    Attention,
    Changed,
    Rhythm,
    Wanted,
    Week,
    becoming,
    check,
    said,
    stricter,
    waiting,
)

sql = Statements("rhythm")


async def of(db: ReadDb, customer_id: UUID) -> Rhythm:
    """Return what a customer said; no limit and no pause where she said nothing."""
    return await db.maybe(sql.rhythm, Rhythm, customer_id=customer_id) or Rhythm()


async def attention(db: ReadDb, customer_id: UUID) -> Attention:
    """Return her rhythm, her week so far, and what waits for her because of them."""
    held = await of(db, customer_id)
    week = await db.one(sql.week, Week, customer_id=customer_id)
    found = await campaigns.deferred(db, customer_id)
    return Attention(
        rhythm=held,
        week=week,
        deferred=[waiting(each, held, week) for each in found],
        digests=await campaigns.digests_offered(db, customer_id),
    )


async def change(db: Db, customer_id: UUID, wanted: Wanted | Changed) -> None:
    """Let a customer decide how much mail she wants, or change a part of that.

    Nothing is claimed against it once this is committed; what waits already is judged anew.
    Refuses (Invalid) a limit that is not offered, and a pause of more than a year.
    """
    check(wanted, db.now)
    # In the one order of locks: what is hers, ranges, what hangs on them, rhythms.
    if await db.maybe(sql.hold_customer, UUID, customer_id=customer_id) is None:
        raise UnknownCustomer
    await db.run(sql.hold_rhythm, customer_id=customer_id)
    held = await of(db, customer_id)
    kept = becoming(held, wanted, db.now)
    if (held.budget, held.paused_until) == (kept.budget, kept.paused_until):
        return
    await consent.hold_ranges(db, customer_id)
    await campaigns.look_again(db, [customer_id])
    if kept == Wanted():
        await db.run(sql.drop_rhythm, customer_id=customer_id)
    else:
        await db.run(
            sql.keep_rhythm,
            customer_id=customer_id,
            budget=kept.budget,
            paused_until=kept.paused_until,
        )
    until = kept.paused_until and kept.paused_until.astimezone(UTC)
    await events.record(
        db,
        Actor.customer(customer_id),
        Kind.rhythm_changed,
        customer_id=customer_id,
        reason=said(Wanted(kept.budget, until)),
    )


async def choose_digest(db: Db, customer_id: UUID, purpose_id: UUID, *, weekly: bool) -> None:
    """Let a customer take one digest a week instead of single issues, or single issues again.

    It counts from the next issue on; one whose list of customers is written stays as it is. Refuses
    (NotOffered) a digest that there is not.
    """
    if await db.maybe(sql.hold_customer, UUID, customer_id=customer_id) is None:
        raise UnknownCustomer
    if not await campaigns.choose_digest(db, customer_id, purpose_id, weekly=weekly):
        return
    how = "one digest a week" if weekly else "each mail when it is written"
    purpose = await consent.purpose(db, purpose_id)
    await events.record(
        db,
        Actor.customer(customer_id),
        Kind.rhythm_changed,
        customer_id=customer_id,
        ref=purpose_id,
        reason=f"{how}: {purpose.name}",
    )


async def take_over(db: Db, kept_id: UUID, gone_id: UUID) -> bool:
    """Keep to the stricter of two rhythms, where their records become one; say if that changed.

    Both rows are held. Nothing is claimed against it once this is committed.
    """
    mine, other = await of(db, kept_id), await of(db, gone_id)
    held = Wanted(mine.budget, mine.paused_until)
    both = stricter(held, Wanted(other.budget, other.paused_until))
    await db.run(sql.drop_rhythm, customer_id=gone_id)
    if both == held:
        return False
    await consent.hold_ranges(db, kept_id)
    await campaigns.look_again(db, [kept_id])
    await db.run(
        sql.keep_rhythm,
        customer_id=kept_id,
        budget=both.budget,
        paused_until=both.paused_until,
    )
    return True


async def resume(db: Db, customer_id: UUID) -> None:
    """End her pause at once; without one, nothing changes."""
    await change(db, customer_id, Changed(paused_until=None))


async def export(db: ReadDb, customer_id: UUID) -> Rhythm | None:
    """Return what is held of her wishes (promise 9)."""
    return await db.maybe(sql.rhythm, Rhythm, customer_id=customer_id)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete what an erased customer said, and return how many rows of which table."""
    return {"rhythm": await db.run(sql.drop_rhythm, customer_id=customer_id)}
