"""A worker of its own that tells one endpoint what is due: for a test that kills it."""

from __future__ import annotations

import asyncio
import sys

from crm.db import open_database
from crm.webhooks import jobs
from tests.conftest import KEYS
from tests.webhooks.site import ctx


async def _tell(url: str, business_id: str, endpoint_id: str) -> None:
    async with open_database(url, KEYS) as database:
        await jobs.tell(ctx(database), business_id, endpoint_id)


if __name__ == "__main__":
    asyncio.run(_tell(*sys.argv[1:]))
