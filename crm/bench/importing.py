"""How fast a customer list is imported, beside PostgreSQL running the same statements alone."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from crm import imports
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Say, interleaved
from crm.bench.replaying import Recording
from crm.bench.stage import SYSTEM, Cast, Stage, found
from crm.db import Database
from crm.demo.people import write_export

_SEED = 20260604


async def importing(stage: Stage, customers: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure the import of a file in Mailchimp's format, new customers all of them."""
    path = stage.directory / "subscribers.csv"
    expected = await asyncio.to_thread(write_export, path, customers=customers, seed=_SEED)
    used: list[float] = []

    async def imported(database: Database) -> tuple[Cast, float]:
        cast = await found(stage.quiet)
        began, before = time.monotonic(), time.process_time()
        done = await imports.work_file(database, cast.business.id, SYSTEM, cast.purpose.slug, path)
        used.append(time.process_time() - before)
        if done.given != expected.mailable:
            message = f"{done.given} customers may be mailed, and not {expected.mailable}"
            raise RuntimeError(message)
        return cast, time.monotonic() - began

    recording = Recording(stage)
    async with recording.listening() as database:
        last, _ = await imported(database)
    used.clear()

    async def ours(_: int) -> float:
        await stage.settle()
        return expected.rows / (await imported(stage.quiet))[1]

    async def ceiling(_: int) -> float:
        nonlocal last
        await stage.settle()
        before, last = last, await found(stage.quiet)
        return expected.rows / await recording.again(last.business.id, _changed(before, last))

    alone = "PostgreSQL alone"
    both = {"crm import": ("rows/s", ours), alone: ("rows/s", ceiling)}
    runs = await interleaved(rounds, both, say)
    notes: Notes = {
        "rows": expected.rows,
        "ceiling": "the statements of such an import, with the same arguments, by PostgreSQL alone",
        "milliseconds of processor for 1,000 rows": min(used) / expected.rows * 1_000_000,
    }
    return [Figure("import", runs["crm import"], [Beside(runs[alone], Goal(0.75))], notes)]


def _changed(before: Cast, after: Cast) -> dict[UUID, UUID]:
    return {
        before.business.id: after.business.id,
        before.purpose.id: after.purpose.id,
        before.notice.id: after.notice.id,
    }
