"""How a quiet record ends: the customer is told, and thirty days later it is erased.

A record is quiet where she allows nothing, waits for nothing, and nothing was heard of her for as
many months as the business has set: no decision, purchase, reply, request, sign-in that is still
known, or change of hers. Any of these after the letter keeps it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm import businesses
from crm.db import Db, ReadDb, Statements
from crm.pieces import Piece
from crm.privacy.requests import wording

sql = Statements("privacy")

# Between the letter and the end: for whoever is on holiday.
NOTICE = timedelta(days=30)
# So many letters a day and business, or a list of old would be mailed all at once.
MOST_A_DAY = 1000
# How many are ended in one turn of the job.
_AT_ONCE = 200


class Dormancy(Struct, frozen=True, kw_only=True):
    """When she was told that her record ends, when it does, and since when she keeps it."""

    told_at: datetime
    due_at: datetime
    kept_at: datetime | None


class _Quiet(Struct, frozen=True):
    customer_id: UUID
    address: str
    locale: str


async def tell(db: Db, after: UUID, limit: int) -> Piece:
    """Mail whoever has been quiet for long that her record will be erased, a piece at a time.

    Nothing is deleted by it. Where the business keeps records for ever, those told before are not
    erased either.
    """
    months = (await businesses.get(db)).dormant_months
    if months == 0:
        await db.run(sql.forget_dormancies)
        return Piece(0, None)
    upto = await db.maybe(sql.customers_upto, UUID, after=after, limit=limit)
    today = await db.one(sql.told_lately, int, since=db.now - timedelta(days=1))
    told = await db.many(
        sql.tell_dormant,
        _Quiet,
        after=after,
        through=upto,
        months=months,
        due_at=db.now + NOTICE,
        most=max(MOST_A_DAY - today, 0),
    )
    for each in told:
        to = wording.Recipient(each.address, each.locale, each.customer_id)
        await wording.dormant(db, to, months=months, ends_at=db.now + NOTICE)
    return Piece(0, upto if today + len(told) < MOST_A_DAY else None)


async def wake(db: Db) -> int:
    """Keep the records of whoever gave a sign of life since she was told; return how many."""
    return await db.run(sql.wake_dormant)


async def due(db: ReadDb) -> list[UUID]:
    """Return whose notice is over, the first first, so many as one turn of the job ends."""
    return await db.many(sql.dormant_due, UUID, limit=_AT_ONCE)


async def of_customer(db: ReadDb, customer_id: UUID) -> Dormancy | None:
    """Return what a customer was told of the end of her record, if she was."""
    return await db.maybe(sql.dormancy, Dormancy, customer_id=customer_id)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Forget that she was told; return how many rows of which table."""
    return {"dormancy": await db.run(sql.forget_dormancy, customer_id=customer_id)}
