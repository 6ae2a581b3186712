"""A newsletter sender as it is first written: `python -m crm.bench.naive BUSINESS CAMPAIGN COUNT`.

Each message is an EmailMessage, handed over by aiosmtplib's `send_message`, with three statements
a row. What the service does differently is to be measured against this.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from email.message import EmailMessage
from uuid import UUID

import aiosmtplib
import asyncpg
from msgspec import Struct

from crm import businesses, campaigns
from crm.bench.stage import CONNECTIONS
from crm.businesses import Business
from crm.campaigns import Preview
from crm.db import open_database
from crm.settings import Settings

_NAME = "Reader"

_ROWS = """
SELECT customer_id FROM crm.delivery
 WHERE business_id = $1 AND campaign_id = $2 AND state = 'waiting'
 ORDER BY customer_id LIMIT $3
"""
_LOOK = """
SELECT c.address, c.name
  FROM crm.delivery d
  JOIN crm.customer c USING (business_id, customer_id)
  JOIN crm.consent s USING (business_id, customer_id)
 WHERE d.business_id = $1 AND d.campaign_id = $2 AND d.customer_id = $3
   AND d.state = 'waiting' AND s.status = 'given'
"""
_TAKE = """
UPDATE crm.delivery SET state = 'sending', attempt = attempt + 1, claimed_at = now()
 WHERE business_id = $1 AND campaign_id = $2 AND customer_id = $3
"""
_DONE = """
UPDATE crm.delivery SET state = 'sent', code = 250, done_at = now()
 WHERE business_id = $1 AND campaign_id = $2 AND customer_id = $3
"""


class Job(Struct, frozen=True):
    """What every connection needs to know."""

    pool: asyncpg.Pool
    smtp: tuple[str, int]
    business: Business
    campaign_id: UUID
    preview: Preview


async def send(settings: Settings, business_id: UUID, campaign_id: UUID, count: int) -> float:
    """Send so many messages of a filled campaign; return how many seconds it took."""
    async with (
        open_database(settings.database_url, settings.keys(), size=1) as database,
        database.read(business_id) as db,
    ):
        business = await businesses.get(db)
        compiled = await campaigns.compiled(db, await campaigns.get(db, campaign_id))
    preview = compiled.preview({"first_name": _NAME})
    pool = await asyncpg.create_pool(
        settings.database_url,
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        server_settings={"crm.business_id": str(business_id)},
    )
    async with pool:
        rows = await pool.fetch(_ROWS, business_id, campaign_id, count)
        smtp = (settings.smtp.host, settings.smtp.port)
        job = Job(pool, smtp, business, campaign_id, preview)
        ids = iter([row["customer_id"] for row in rows])
        began = time.monotonic()
        await asyncio.gather(*(_lane(job, ids) for _ in range(CONNECTIONS)))
        return time.monotonic() - began


async def _lane(job: Job, ids: Iterator[UUID]) -> None:
    host, port = job.smtp
    async with aiosmtplib.SMTP(hostname=host, port=port, start_tls=False) as smtp:
        for customer_id in ids:
            key = job.business.id, job.campaign_id, customer_id
            row = await job.pool.fetchrow(_LOOK, *key)
            if row is None:
                continue
            await job.pool.execute(_TAKE, *key)
            await smtp.send_message(_message(job, row["address"], row["name"]))
            await job.pool.execute(_DONE, *key)


def _message(job: Job, address: str, name: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = job.business.sender_address
    message["To"] = address
    message["Subject"] = job.preview.subject
    message["List-Unsubscribe"] = f"<{job.business.origin}/u/{address}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(job.preview.text.replace(_NAME, name))
    message.add_alternative(job.preview.html.replace(_NAME, name), subtype="html")
    return message


if __name__ == "__main__":
    arguments = UUID(sys.argv[1]), UUID(sys.argv[2]), int(sys.argv[3])
    seconds = asyncio.run(send(Settings.read(os.environ), *arguments))
    print(json.dumps({"seconds": seconds, "cpu": time.process_time()}))  # noqa: T201  (the answer)
