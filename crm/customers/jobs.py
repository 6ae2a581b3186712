"""What customers' data need done now and then: what is past its retention goes (promise 13)."""

from __future__ import annotations

from typing import Any

from crm import customers
from crm.above import businesses
from crm.db import Database


async def lapse(ctx: dict[str, Any]) -> None:
    """Delete what is kept no longer, business by business; once a day is what was promised."""
    database: Database = ctx["database"]
    for business_id in await businesses(database):
        async with database.write(business_id) as db:
            await customers.lapse(db)
