"""How a copy leaves: part by part, decrypted on the way, and in no cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from litestar.response import Stream

from crm.db import Database
from crm.privacy import copies
from crm.privacy.copies.model import Copy


def download(database: Database, business_id: UUID, copy: Copy) -> Stream:
    """Answer with the file; its name tells nobody's.

    It says how long it is: what ends too soon, by an erasure meanwhile, is seen to be cut.
    """
    name = f"your-data-{copy.ready_at:%Y-%m-%d}.zip"
    return Stream(
        _pieces(database, business_id, copy),
        media_type="application/zip",
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "content-length": str(copy.size),
            "cache-control": "no-store",
        },
    )


async def _pieces(database: Database, business_id: UUID, copy: Copy) -> AsyncIterator[bytes]:
    # Each in a transaction of its own: none waits for the network.
    for number in range(copy.parts or 0):
        async with database.read(business_id) as db:
            part = await copies.part(db, copy, number)
        if part is None:
            return
        yield part
