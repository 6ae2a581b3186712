"""What is done with events: they are recorded, read and, with their customer, forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from crm.db import Db, ReadDb, Statements
from crm.events.model import Actor, Event, Kind, Look, Numbered
from crm.ids import earliest_at, time_ordered
from crm.pieces import Piece

sql = Statements("events")

# As long as a dispute about who did what may be carried on.
KEPT = timedelta(days=3 * 365)

_FIRST_PAGE = UUID(int=2**128 - 1)
_AT_ONCE = 500
_LEAP = 2**32
# An id says when it was made by the clock of its machine, and is numbered once it is committed.
_SLACK = timedelta(minutes=1)


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


def told(by: Actor, kind: Kind) -> dict[str, Any]:
    """Return what a statement is given that calls `crm.record_event` for what it does itself."""
    return {
        "told_id": time_ordered(),
        "kind": kind,
        "actor_kind": by.kind,
        "actor_id": by.id,
        "actor_name": by.name,
    }


async def record_each(db: Db, by: Actor, happened: Sequence[tuple[Kind, UUID, UUID]]) -> None:
    """Record what happened to many customers: for each the kind, the customer and to what."""
    await db.run(
        sql.record_events,
        event_ids=[time_ordered() for _ in happened],
        kinds=[kind.value for kind, _, _ in happened],
        customer_ids=[customer_id for _, customer_id, _ in happened],
        refs=[ref for _, _, ref in happened],
        actor_kind=by.kind,
        actor_id=by.id,
        actor_name=by.name,
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


async def following(db: ReadDb, *, after: int = 0, limit: int = 50) -> list[Numbered]:
    """Return the stream of the business after a number, oldest first; looks are none of it.

    An event comes into it within seconds, once: none is ever put before one that was read.
    """
    return await db.many(sql.events_after, Numbered, number=after, limit=limit)


async def number(db: Db) -> bool:
    """Give the next numbers to events that have none; say whether there may be more.

    In the order in which they were recorded, so those of one customer as they came about. One
    process at a time does it for a business.
    """
    await db.run(sql.open_feed)
    last = await db.one(sql.hold_feed, int)
    looked_at = await db.one(sql.number_events, int, number=last, limit=_AT_ONCE)
    return looked_at == _AT_ONCE


async def leap(db: Db) -> None:
    """Go on with higher numbers than were ever given, in a database that was put back.

    Whoever followed the stream further than the backup goes on with what happens now, and misses
    nothing because a number came twice.
    """
    await db.run(sql.leap, leap=_LEAP)


async def place(db: ReadDb, since: datetime) -> int | None:
    """Return the number after which whatever was recorded since an instant stands; None: nothing.

    A little of what came before may stand there too.
    """
    found = await db.maybe(sql.place_in_feed, int, first=earliest_at(since, slack=_SLACK))
    return None if found is None else found - 1


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
