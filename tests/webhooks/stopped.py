"""What tells one endpoint what is due, for a process of its own, which a test kills."""

from __future__ import annotations

import asyncio

from crm.db import open_database
from crm.webhooks import jobs
from tests.conftest import KEYS
from tests.webhooks.site import ctx


def tell(url: str, business_id: str, endpoint_id: str) -> None:
    """Tell it, as a worker's job does."""
    asyncio.run(_tell(url, business_id, endpoint_id))


async def _tell(url: str, business_id: str, endpoint_id: str) -> None:
    async with open_database(url, KEYS) as database:
        await jobs.tell(ctx(database), business_id, endpoint_id)
