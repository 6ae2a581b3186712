"""What staff need done now and then: ended sessions, reasons and tries go."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from crm import staff
from crm.db import Database
from crm.rounds import each_business


async def sweep(ctx: dict[str, Any]) -> None:
    """Delete what has ended, business by business; once an hour is plenty."""
    database: Database = ctx["database"]

    async def swept(business_id: UUID) -> None:
        await database.attempt(business_id, staff.sweep)

    await each_business(database, "staff.sweep", swept)
