"""What goes with an erased customer: what hangs on her, and what waits under her address."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm.access.model import Former
from crm.db import Db, ReadDb, Statements

sql = Statements("access")


async def former_addresses(db: ReadDb, customer_id: UUID) -> list[Former]:
    """Return the fingerprints of addresses that were hers, and until when."""
    return await db.many(sql.formers_to_forget, Former, customer_id=customer_id)


async def forget_address(db: Db, address_hash: bytes, until: datetime | None) -> dict[str, int]:
    """Delete what waits under an erased address, or what did until then."""
    gone = await db.run(sql.forget_signups_of, address_hash=address_hash, until=until)
    return {"signup": gone}


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete all that hangs on her, and return how many rows of which table."""
    return {
        "portal_link": await db.run(sql.forget_link, customer_id=customer_id),
        "portal_session": await db.run(sql.forget_sessions, customer_id=customer_id),
        "address_change": await db.run(sql.forget_changes, customer_id=customer_id),
        "former_address": await db.run(sql.forget_formers, customer_id=customer_id),
    }
