"""Lines of the journal of which nobody knew whether they were committed: what they say is done.

Whoever asked was told that it failed or that nobody can say; the journal has it, and leaving,
freezing and deleting are what she wanted. The end of a freeze, and letting a member of staff in
again, are passed over: they are asked for again, or were decided otherwise since. In a line that a
restore left they may have been committed, and stay open: only a person can say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

from crm import journal
from crm.db import Database
from crm.journal import Ending, Entry, Keeper, Log, Withdrawn, Written
from crm.restore.replaying import replay
from crm.rounds import apart

# By how much the clocks of two hosts may differ.
_CLOCKS = timedelta(minutes=1)
# Decisions in one transaction: one line may hold those of a whole import.
_PIECE = 500


async def settle(database: Database, keeper: Keeper, business_id: UUID) -> int:
    """Carry out what is open in the journal of a business; returns how many lines that were.

    With the mark held nothing is under way: what the database has not committed by then, it never
    will. A line is carried out in pieces, and again from its beginning where somebody was killed.
    One that cannot be carried out stays open, and keeps no other waiting; so does what loosens in
    a line that a restore left.
    """
    log = keeper.journal.log(business_id)
    async with database.write(business_id) as db:
        mark = await journal.hold(db)
        with suppress(OSError):
            await keeper.say_refused(business_id)
        lines, left = await keeper.do(lambda: _open(log))
    if mark.number in lines:
        del lines[mark.number]
        await keeper.do(lambda: log.committed(mark.number))
    settled = 0
    for number, line in lines.items():
        if number in left and all(map(journal.loosens, line.entries)):
            continue
        with apart("restore.sweep", business_id, f"line {number}"):
            await _carry_out(database, business_id, line)
            await keeper.do(partial(log.settle, [number], _ending(line, left)))
            settled += 1
    return settled


def _open(log: Log) -> tuple[dict[int, Written], set[int]]:
    tail = log.tail()
    return dict(tail.open), set(tail.left)


def _ending(line: Written, left: set[int]) -> Ending:
    passes = line.n not in left and any(map(journal.loosens, line.entries))
    return Ending.passed_over if passes else Ending.carried_out


async def _carry_out(database: Database, business_id: UUID, line: Written) -> None:
    for piece in _pieces(line.entries):
        async with database.write(business_id) as db:
            await replay(db, piece, line.at, unless_since=line.at + _CLOCKS)


def _pieces(entries: list[Entry]) -> Iterator[Entry]:
    for entry in entries:
        if isinstance(entry, Withdrawn):
            for start in range(0, len(entry.decisions), _PIECE):
                yield Withdrawn(entry.decisions[start : start + _PIECE])
        else:
            yield entry
