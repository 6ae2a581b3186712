"""A copy built in the background: packed, cut into parts, and each part kept encrypted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from msgspec import Struct

from crm import businesses
from crm.customers import UnknownCustomer
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
    """Build the copy that has waited longest, and return it as it is then; None where none waits.

    All of it is read in one snapshot, and each part is committed on its own. Killed anywhere, it
    is built anew once its lease is over; erased meanwhile, nothing more is kept.
    """
    async with database.write(business_id) as db:
        copy = await copies.claim(db)
    if copy is None:
        return None
    return await build(database, business_id, copy)


async def build(database: Database, business_id: UUID, copy: Copy) -> Copy:
    """Build one that was claimed, and return it as it is then.

    Where it is not ours any more, or its customer was erased, it is `building` still.
    """
    try:
        return await _built(database, business_id, copy)
    except UnknownCustomer:
        # Before anything was read; the next one waits.
        return copy


async def _built(database: Database, business_id: UUID, copy: Copy) -> Copy:
    async with database.snapshot(business_id) as read:
        total = await copies.extent(read, copy.customer_id)
        held = await contents(read, copy.customer_id)
        business = await businesses.get(read)
        with speaking(chosen(held.customer.locale, business.locale) or ENGLISH):
            kept = await _kept(database, held, copy, total)
    if kept is None:
        return copy
    async with database.write(business_id) as db:
        ready = await copies.finish(db, copy, parts=kept.parts, size=kept.size)
    return ready or copy


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
