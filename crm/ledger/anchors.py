"""Heads written to a directory of the operator's: a mounted disk, a repository, another firm's.

Whoever keeps such files can show later that the ledger was not rewritten since.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from uuid import UUID

from crm.db import Database, Statements
from crm.ledger.checkpoint import checkpoint_of
from crm.ledger.model import Head, SignedHead

sql = Statements("ledger")


async def write(database: Database, business_id: UUID, directory: Path) -> Path | None:
    """Write the newest signed head unless it is there; return the file, or None.

    An OSError says what is wrong with the directory; the next round tries again.
    """
    async with database.read(business_id) as db:
        head = await db.maybe(sql.head, Head)
        if head is None:
            return None
        newest = await db.maybe(sql.newest_checkpoint, SignedHead, origin_number=head.origin_number)
    if newest is None or newest.size == head.anchored_size:
        return None
    path = await asyncio.to_thread(_written, directory, newest.note)
    async with database.write(business_id) as write:
        await write.run(sql.anchor_head, size=newest.size)
    return path


def _written(directory: Path, note: str) -> Path:
    checkpoint = checkpoint_of(note)
    # An origin is host and path, so its folder is one of its host's.
    folder = directory.joinpath(*(part for part in checkpoint.origin.split("/") if part != ".."))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{checkpoint.size:012}.checkpoint"
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    return path
