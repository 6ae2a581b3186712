"""What staff need done now and then: ended sessions, reasons and tries go."""

from __future__ import annotations

from typing import Any

from crm import staff
from crm.above import businesses
from crm.db import Database


async def sweep(ctx: dict[str, Any]) -> None:
    """Delete what has ended, business by business; once an hour is plenty."""
    database: Database = ctx["database"]
    for business_id in await businesses(database):
        async with database.write(business_id) as db:
            await staff.sweep(db)
