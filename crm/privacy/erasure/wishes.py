"""What is kept of a deletion that can be called off: read and forgotten."""

from __future__ import annotations

from uuid import UUID

from crm.db import Db, ReadDb, Statements
from crm.privacy.model import Wish

sql = Statements("privacy")


async def wish(db: ReadDb, customer_id: UUID) -> Wish | None:
    """Return the deletion that a customer waits for."""
    return await db.maybe(sql.wish, Wish, customer_id=customer_id)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete the wish of a customer who is being erased; return how many rows of which table."""
    return {"erasure_wish": await db.run(sql.forget_wish, customer_id=customer_id)}
