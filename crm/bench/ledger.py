"""How fast entries are sealed and leaves proved, in a small ledger and in a large one.

A large ledger is grown as every ledger is: entries wait, and are hashed, placed and signed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from uuid import UUID

from crm import ledger
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Run, Say, Series, interleaved
from crm.bench.relay import Failed
from crm.bench.stage import Grown, Stage, found
from crm.db import ReadDb, Statements, parse
from crm.journal import Journal
from crm.ledger import sealing

sql = Statements("ledger")

_SMALL = 10_000
_AT_ONCE = 250_000
_SEED = 20260604
# Entries per second and business to reach; milliseconds to stay below.
_SEALED = 50_000.0
_PROVED = 1.0

# Their ids are 1, 2, 3 …, in order as those of entries that were made one after the other.
_ENTER = parse(
    """-- name: enter
-- Entries that wait to be sealed.
INSERT INTO crm.ledger_unsealed (business_id, entry_id, commitment, entered_at)
SELECT :business_id, lpad(to_hex(n), 32, '0')::uuid, sha256(int8send(n)), :now
  FROM generate_series(:first::bigint, :last::bigint) AS n
"""
)[0]


Ask = Callable[[ReadDb, int], Awaitable[object]]


async def seal(stage: Stage, leaves: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure sealing on top of so many leaves, beside sealing the first ones of a ledger."""
    count = min(_SMALL, leaves)
    large = await _grown(stage, leaves, say)

    async def ours(_: int) -> float:
        return await _sealed(stage, large, count)

    async def small(_: int) -> float:
        return await _sealed(stage, await _empty(stage), count)

    async def ceiling(_: int) -> float:
        return await _moved(stage, await _empty(stage), count)

    first, moved = f"the first {count:,}", "PostgreSQL alone"
    contenders: dict[str, tuple[str, Run]] = {
        "seal": ("entries/s", ours),
        first: ("entries/s", small),
        moved: ("entries/s", ceiling),
    }
    runs = await interleaved(rounds, contenders, say)
    beside = [
        Beside(runs[first], Goal(0.9)),
        Beside(runs[moved]),
        Beside(Series("the goal", "entries/s", [_SEALED]), Goal(1)),
    ]
    notes: Notes = {
        "leaves": leaves,
        "sealed_a_run": count,
        "entries_a_second_while_it_grew": large.per_second,
        "ceiling": "the same entries made leaves by the same statement, nothing hashed or signed",
    }
    return [Figure("seal", runs["seal"], beside, notes)]


async def prove(
    stage: Stage, leaves: int, count: int, rounds: int, say: Say
) -> list[Figure | Missing]:
    """Measure proofs in a ledger of so many leaves, each in a transaction of its own."""
    small = await _grown(stage, min(_SMALL, leaves), say)
    large = await _grown(stage, leaves, say)
    await stage.settle()
    few, query = f"among {small.size:,}", "one indexed query"
    figures: list[Figure | Missing] = []
    for what, asks in (("inclusion proof", _including), ("consistency proof", _consistent)):
        late: list[float] = []
        contenders = {
            what: ("ms", _timed(stage, large, asks(large), count, late)),
            few: ("ms", _timed(stage, small, asks(small), count, [])),
            query: ("ms", _timed(stage, large, _found, count, [])),
        }
        runs = await interleaved(rounds, contenders, say)
        beside = [
            Beside(runs[query]),
            Beside(runs[few]),
            Beside(Series("the goal", "ms", [_PROVED]), Goal(1, at_most=True)),
        ]
        notes: Notes = {
            "leaves": large.size,
            "proofs_a_run": count,
            "p99_ms": median(late),
            "ceiling": "begin, find by its index which leaf an entry is, commit",
        }
        figures.append(Figure(what, runs[what], beside, notes))
    return figures


async def _grown(stage: Stage, leaves: int, say: Say) -> Grown:
    """Find a ledger grown before, or seal so many entries of a new business."""
    if leaves in stage.ledgers:
        return stage.ledgers[leaves]
    grown, seconds = await _empty(stage), 0.0
    while grown.size < leaves:
        count = min(_AT_ONCE, leaves - grown.size)
        await _enter(stage, grown, count)
        seconds += count / await _timed_seal(stage, grown, count)
        grown.per_second = grown.size / seconds
        say(f"{grown.size:,} of {leaves:,} leaves, {grown.per_second:,.0f} entries/s")
    stage.ledgers[leaves] = grown
    return grown


async def _empty(stage: Stage) -> Grown:
    return Grown((await found(stage.quiet)).business.id)


async def _sealed(stage: Stage, grown: Grown, count: int) -> float:
    """Let entries wait, then seal them; return how many a second were sealed."""
    await _enter(stage, grown, count)
    await stage.settle()
    return await _timed_seal(stage, grown, count)


async def _timed_seal(stage: Stage, grown: Grown, count: int) -> float:
    journal = Journal(Path(stage.here.settings.journal))
    began = time.monotonic()
    sealed = await ledger.seal(stage.quiet, grown.business_id, journal, most=count)
    seconds = time.monotonic() - began
    if sealed != count:
        raise Failed(f"{sealed} of {count} entries were sealed")
    grown.size += count
    return count / seconds


async def _moved(stage: Stage, grown: Grown, count: int) -> float:
    """Let entries wait, and make them leaves of no tree."""
    await _enter(stage, grown, count)
    await stage.settle()
    began = time.monotonic()
    async with stage.quiet.write(grown.business_id) as db:
        await db.one(
            sql.take_unsealed, sealing.Taken, size=0, after=sealing.FIRST, limit=sealing.BATCH
        )
    return count / (time.monotonic() - began)


async def _enter(stage: Stage, grown: Grown, count: int) -> None:
    async with stage.quiet.write(grown.business_id) as db:
        await db.run(_ENTER, first=grown.size + 1, last=grown.size + count)


def _timed(stage: Stage, grown: Grown, ask: Ask, count: int, late: list[float]) -> Run:
    """Make a run that asks about leaves anywhere in a ledger; it comes to the median in ms."""

    async def once(round_number: int) -> float:
        chosen, times = random.Random(_SEED + round_number), []
        for _ in range(count):
            number = chosen.randrange(grown.size)
            began = time.perf_counter()
            async with stage.quiet.read(grown.business_id) as db:
                await ask(db, number)
            times.append((time.perf_counter() - began) * 1000)
        late.append(sorted(times)[count * 99 // 100])
        return median(times)

    return once


def _including(_: Grown) -> Ask:
    async def ask(db: ReadDb, number: int) -> None:
        if await ledger.proof(db, UUID(int=number + 1)) is None:
            raise Failed(f"leaf {number} could not be proved")

    return ask


def _consistent(grown: Grown) -> Ask:
    return lambda db, number: ledger.consistency(db, number + 1, grown.size)


async def _found(db: ReadDb, number: int) -> None:
    await ledger.positions(db, [UUID(int=number + 1)])
