"""Lines of the journal of which nobody knew whether they were committed: what they say is done.

Whoever asked was told that it failed or that nobody can say; the journal has it, and leaving,
freezing and deleting are what she wanted.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from crm import journal
from crm.db import Database
from crm.journal import Keeper
from crm.restore.replaying import replay

# By how much the clocks of two hosts may differ.
_CLOCKS = timedelta(minutes=1)


async def settle(database: Database, keeper: Keeper, business_id: UUID) -> int:
    """Carry out what is open in the journal of a business; returns how many lines that were.

    With the mark held nothing is under way: what the database has not committed by then, it never
    will.
    """
    log = keeper.journal.log(business_id)
    async with database.write(business_id) as db:
        mark = await journal.hold(db)
        lines = await keeper.do(lambda: dict(log.tail().open))
    if mark.number in lines:
        del lines[mark.number]
        await keeper.do(lambda: log.committed(mark.number))
    for line in lines.values():
        async with database.write(business_id) as db:
            for entry in line.entries:
                await replay(db, entry, line.at, unless_since=line.at + _CLOCKS)
    if lines:
        await keeper.do(lambda: log.settle(list(lines)))
    return len(lines)
