"""The end of a record of whom nothing was heard, although she was told."""

from __future__ import annotations

from uuid import UUID

from crm import customers
from crm.db import Db, Statements
from crm.events import Actor
from crm.privacy import dormancy
from crm.privacy.actions import erase

sql = Statements("privacy")


async def end(db: Db, *, customer_id: UUID) -> bool:
    """Erase a customer whose notice is over; False where she was heard of in the last moment.

    The fingerprint of her address stays, as of everybody who does not say otherwise.
    """
    if await customers.hold(db, customer_id) is None:
        await dormancy.forget(db, customer_id)
        return False
    if await db.maybe(sql.still_dormant, UUID, customer_id=customer_id) is None:
        return False
    await erase(db, Actor.system(), customer_id)
    return True
