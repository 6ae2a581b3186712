"""Rows that ask for a consent and have no evidence of it: kept apart until it comes, or they go.

Such a row allows nothing, whatever becomes of it here: only a decision does, which needs evidence
that the text accepts, or the customer's own word (promise 7). PostgreSQL ends the quarantine with
that decision (`consent_leaves_quarantine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm.db import Db, ReadDb, Statements
from crm.errors import NotFound
from crm.imports.model import Spot, placed

sql = Statements("imports")

# So long evidence may come; then whoever is known by nothing else is deleted.
QUARANTINED = timedelta(days=90)
_LONGEST_WHY = 500
_FIRST = UUID(int=0)
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


class UnknownRow(NotFound):
    """No row of this import keeps this customer apart: it was released, let go, or has ended."""


class Unproven(Struct, frozen=True):
    """A row without evidence: whom it is of, where it stands, and what it lacks."""

    customer_id: UUID
    spot: Spot
    why: str


class Kept(Struct, frozen=True, kw_only=True):
    """A row in quarantine, until an instant; `silenced` where mail to the address is suppressed."""

    customer_id: UUID
    purpose_id: UUID
    import_id: UUID
    address: str
    part: str
    line: int
    why: str
    since: datetime
    ends_at: datetime
    silenced: bool


class HeldRow(Struct, frozen=True, kw_only=True):
    """The same for the customer herself."""

    purpose_id: UUID
    import_id: UUID
    part: str
    line: int
    why: str
    since: datetime
    ends_at: datetime


class Over(Struct, frozen=True):
    """A row whose time is over, or that is let go before."""

    customer_id: UUID
    purpose_id: UUID
    ends_at: datetime


class After(Struct, frozen=True):
    """A row to go on after."""

    part: str
    line: int
    customer_id: UUID


async def keep_apart(db: Db, import_id: UUID, purpose_id: UUID, rows: Sequence[Unproven]) -> None:
    """Put rows into quarantine; a customer is in it once for each purpose, by the first row.

    One that was let go, and is still there, does not count.
    """
    spots = [placed(each.spot) for each in rows]
    await db.run(
        sql.add_to_quarantine,
        import_id=import_id,
        purpose_id=purpose_id,
        customer_ids=[each.customer_id for each in rows],
        parts=[part for part, _ in spots],
        lines=[line for _, line in spots],
        whys=[each.why[:_LONGEST_WHY] for each in rows],
        ends_at=db.now + QUARANTINED,
    )


async def quarantined(
    db: ReadDb, import_id: UUID, *, after: After | None = None, limit: int = 50
) -> list[Kept]:
    """Return rows of an import that are in quarantine, in the order of its file."""
    return await db.many(
        sql.quarantine_after,
        Kept,
        import_id=import_id,
        part=after.part if after else "",
        line=after.line if after else 0,
        after=after.customer_id if after else _FIRST,
        limit=limit,
    )


async def row_of(db: ReadDb, import_id: UUID, customer_id: UUID) -> Kept:
    """Return the row of an import that keeps a customer apart, or refuse with UnknownRow."""
    found = await db.maybe(
        sql.row_in_quarantine, Kept, import_id=import_id, customer_id=customer_id
    )
    if found is None:
        raise UnknownRow
    return found


async def count(db: ReadDb, import_id: UUID) -> int:
    """Say how many rows of an import are in quarantine."""
    return await db.one(sql.count_quarantine, int, import_id=import_id)


async def end_all(db: Db, import_id: UUID) -> int:
    """Let the time of all rows of an import be over; a job lets them go. Returns how many."""
    return await db.run(sql.end_quarantine, import_id=import_id)


async def over(db: ReadDb, limit: int, *, after: Over | None = None) -> list[Over]:
    """Return the next rows whose time is over, the first first."""
    return await db.many(
        sql.quarantine_over,
        Over,
        since=after.ends_at if after else _EARLIEST,
        after=after.customer_id if after else _FIRST,
        after_purpose=after.purpose_id if after else _FIRST,
        limit=limit,
    )


async def leave(db: Db, row: Over) -> bool:
    """Take one row out; what it asked for is allowed no more than before.

    False where a decision has ended it, or a newer list has put off its end.
    """
    found = await db.run(
        sql.leave_quarantine,
        customer_id=row.customer_id,
        purpose_id=row.purpose_id,
        until=row.ends_at,
    )
    return found > 0


async def export(db: ReadDb, customer_id: UUID) -> list[HeldRow]:
    """Return the rows that keep one customer apart, for herself."""
    return await db.many(sql.quarantine_of_customer, HeldRow, customer_id=customer_id)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete the rows that keep an erased customer apart; return how many of which table."""
    return {"quarantine": await db.run(sql.forget_quarantine, customer_id=customer_id)}
