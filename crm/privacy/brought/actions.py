"""What a customer brought along from another business: shown to her, in her copy, and forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from crm.db import Db, ReadDb, Statements
from crm.ids import opaque
from crm.pieces import Piece
from crm.privacy.brought.foreign import Brought
from crm.privacy.copies.archive import brought_file

sql = Statements("privacy")

# What came along is kept as long as it is likely to be asked for.
BROUGHT_FOR = timedelta(days=3 * 365)
_TEXTS = 10
_LOWEST = UUID(int=0)


class HeldBrought(Struct, frozen=True, kw_only=True):
    """One thing that happened elsewhere, as it was told there; `file` has the text of a mail."""

    id: UUID
    list: str
    at: datetime
    origin: str
    said: dict[str, Any]
    file: str
    ends_at: datetime

    @property
    def title(self) -> str:
        """What it was about: the subject of a mail, or the purpose of a decision."""
        said = self.said.get("delivery", self.said)
        return str(said.get("subject") or said.get("purpose") or "")


class BroughtText(Struct, frozen=True):
    """The text of a mail that another business sent."""

    id: UUID
    content: str


class _Kept(Struct, frozen=True):
    id: UUID
    list: str
    at: datetime
    origin: str
    said: str
    texted: bool
    ends_at: datetime


async def bring(db: Db, customer_id: UUID, brought: Brought, content: str) -> int:
    """Keep one thing; brought again, it is here once. Returns whether it was new, as 1 or 0."""
    said = msgspec.json.encode(brought.said)
    return await db.run(
        sql.bring,
        brought_id=opaque(),
        customer_id=customer_id,
        list=brought.list,
        at=brought.at,
        origin=brought.origin,
        said=said.decode(),
        content=content,
        digest=sha256(f"{brought.list}\n".encode() + said).digest(),
        ends_at=db.now + BROUGHT_FOR,
    )


async def export(db: ReadDb, customer_id: UUID) -> AsyncIterator[HeldBrought]:
    """Yield what she brought along, newest first, mails without their texts."""
    async for each in db.stream(
        sql.brought_of_customer, _Kept, customer_id=customer_id, limit=None
    ):
        yield _held(each)


async def newest(db: ReadDb, customer_id: UUID, limit: int) -> list[HeldBrought]:
    """Return the newest of it."""
    found = await db.many(sql.brought_of_customer, _Kept, customer_id=customer_id, limit=limit)
    return [_held(each) for each in found]


async def texts(db: ReadDb, customer_id: UUID) -> AsyncIterator[BroughtText]:
    """Yield the texts of the mails among it, a few at a time."""
    after = _LOWEST
    while found := await db.many(
        sql.brought_texts, BroughtText, customer_id=customer_id, after=after, limit=_TEXTS
    ):
        for text in found:
            yield text
        after = found[-1].id


def _held(each: _Kept) -> HeldBrought:
    return HeldBrought(
        id=each.id,
        list=each.list,
        at=each.at,
        origin=each.origin,
        said=msgspec.json.decode(each.said, type=dict[str, Any]),
        file=brought_file(each.id) if each.texted else "",
        ends_at=each.ends_at,
    )


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete what an erased customer had brought along."""
    return {"brought": await db.run(sql.forget_brought, customer_id=customer_id)}


async def lapse(db: Db, after: UUID, limit: int) -> Piece:
    """Delete what was brought along so long ago that its time is over, a piece at a time."""
    return await db.one(sql.lapse_brought, Piece, after=after, limit=limit)
