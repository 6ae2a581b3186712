"""A copy as somebody takes it: asked for, built by the job, and opened."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import UUID
from zipfile import ZipFile

from crm import privacy
from crm.db import Database
from crm.events import Actor
from crm.privacy import Copy, copies
from crm.privacy.copies.building import build_next


async def built(
    database: Database, business_id: UUID, by: Actor, customer_id: UUID, *, reason: str = "asked"
) -> Copy:
    """Ask for a copy and let the job build it."""
    why = "" if by.id == customer_id else reason
    async with database.write(business_id) as db:
        asked = await privacy.ask(db, by, customer_id, reason=why)
    await build_next(database, business_id)
    async with database.read(business_id) as read:
        return await copies.get(read, by, asked.id)


async def content(database: Database, business_id: UUID, copy: Copy) -> bytes:
    """Put the parts of a copy together."""
    whole = b""
    async with database.read(business_id) as db:
        for number in range(copy.parts or 0):
            part = await copies.part(db, copy, number)
            assert part is not None
            whole += part
    return whole


async def taken(database: Database, business_id: UUID, customer_id: UUID) -> bytes:
    """Return the ZIP that she gets."""
    copy = await built(database, business_id, Actor.customer(customer_id), customer_id)
    return await content(database, business_id, copy)


def inside(packed: bytes) -> dict[str, bytes]:
    """Open a copy: each file by its name."""
    with ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def lines(files: dict[str, bytes], name: str) -> list[dict[str, Any]]:
    """Read one list of a copy."""
    return [json.loads(line) for line in files[f"lines/{name}.ndjson"].splitlines()]
