"""What is done with events: they are recorded, read and, with their customer, forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

from crm.db import Db, ReadDb, Statements
from crm.events.model import Actor, Event, Kind, Look
from crm.ids import time_ordered
from crm.pieces import Piece

sql = Statements("events")

# As long as a dispute about who did what may be carried on.
KEPT = timedelta(days=3 * 365)

_FIRST_PAGE = UUID(int=2**128 - 1)


async def record(
    db: Db,
    by: Actor,
    kind: Kind,
    *,
    customer_id: UUID | None = None,
    ref: UUID | None = None,
    reason: str = "",
) -> None:
    """Record one event in the transaction of what it tells."""
    await db.run(
        sql.record_event,
        event_id=time_ordered(),
        kind=kind,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_name=by.name,
        customer_id=customer_id,
        ref=ref,
        reason=reason,
    )


async def look(db: Db, by: Actor, customer_ids: Sequence[UUID], reason: str) -> bool:
    """Record that each of these customers was looked at, and why (promise 11).

    Returns whether any of them has asked to be erased, and only waits for it.
    """
    if not customer_ids:
        return False
    leaving = await db.many(
        sql.record_looks,
        bool,
        event_ids=[time_ordered() for _ in customer_ids],
        customer_ids=list(customer_ids),
        actor_kind=by.kind,
        actor_id=by.id,
        actor_name=by.name,
        reason=reason,
    )
    return any(leaving)


async def page(db: ReadDb, *, before: UUID | None = None, limit: int = 50) -> list[Event]:
    """Return the newest events of the business before `before`: the audit trail."""
    return await db.many(sql.events_before, Event, before=before or _FIRST_PAGE, limit=limit)


async def looks_at(
    db: ReadDb, customer_id: UUID, *, before: UUID | None = None, limit: int = 50
) -> list[Look]:
    """Return who looked at or exported one customer's record, newest first, as she is told."""
    return await db.many(
        sql.looks_at_customer,
        Look,
        customer_id=customer_id,
        before=before or _FIRST_PAGE,
        limit=limit,
    )


def export(db: ReadDb, customer_id: UUID) -> AsyncIterator[Event]:
    """Yield every event about one customer, oldest first, as she is told."""
    return db.stream(sql.events_of_customer, Event, customer_id=customer_id)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete the events about an erased customer, through the eraser; return how many."""
    return {"event": await db.one(sql.erase_events, int, customer_id=customer_id)}


async def end(db: Db, after: UUID, limit: int) -> Piece:
    """Delete events of long ago, through the eraser, a piece at a time."""
    return await db.one(sql.end_events, Piece, after=after, limit=limit, over_before=db.now - KEPT)
