"""A copy built in the background: packed, cut into parts, and each part kept encrypted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from msgspec import Struct

from crm import businesses
from crm.db import Database
from crm.languages import ENGLISH, chosen, speaking
from crm.privacy import copies
from crm.privacy.copies.contents import Contents, contents
from crm.privacy.copies.model import PART, Copy
from crm.privacy.copies.packing import Packing


class _Kept(Struct):
    parts: int = 0
    size: int = 0


class _Progress(Struct):
    done: int = 0
    total: int = 0

    def count(self, rows: int) -> None:
        """Note that so many rows more were read."""
        self.done += rows


async def build_next(database: Database, business_id: UUID) -> Copy | None:
    """Build the copy that has waited longest; None where none waits, or it is not to be had.

    All of it is read in one snapshot, and each part is committed on its own. Killed anywhere, it
    is built anew once its lease is over; erased meanwhile, nothing more is kept.
    """
    async with database.write(business_id) as db:
        copy = await copies.claim(db)
    return None if copy is None else await _build(database, business_id, copy)


async def _build(database: Database, business_id: UUID, copy: Copy) -> Copy | None:
    async with database.snapshot(business_id) as read:
        total = await copies.extent(read, copy.customer_id)
        held = await contents(read, copy.customer_id)
        business = await businesses.get(read)
        with speaking(chosen(held.customer.locale, business.locale) or ENGLISH):
            kept = await _kept(database, held, copy, total)
    if kept is None:
        return None
    async with database.write(business_id) as db:
        return await copies.finish(db, copy, parts=kept.parts, size=kept.size)


async def _kept(database: Database, held: Contents, copy: Copy, total: int) -> _Kept | None:
    """Keep part by part what is packed; None once the copy is no more wanted."""
    progress = _Progress(total=total)
    kept = _Kept()
    async with aclosing(_parts(Packing(held, progress.count))) as parts:
        async for part in parts:
            async with database.write(held.db.business_id) as db:
                if not await copies.keep(
                    db, copy, kept.parts, part, done=progress.done, total=progress.total
                ):
                    return None
            kept.parts, kept.size = kept.parts + 1, kept.size + len(part)
    return kept


async def _parts(packing: Packing) -> AsyncGenerator[bytes, None]:
    """Cut into parts of one size; the last is what remains."""
    waiting = bytearray()
    async with aclosing(packing.pieces()) as pieces:
        async for piece in pieces:
            waiting += piece
            while len(waiting) >= PART:
                yield bytes(waiting[:PART])
                del waiting[:PART]
    if waiting:
        yield bytes(waiting)
