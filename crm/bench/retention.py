"""How fast what has had its time is deleted, and the longest that anybody waits for its locks."""

from __future__ import annotations

import time
from datetime import timedelta

import asyncpg

from crm import customers
from crm.bench import stage as staging
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Say, Series, interleaved
from crm.bench.stage import TOWN, Cast, Stage
from crm.privacy.retention import sweeping
from crm.privacy.retention.sweeping import Report

# Milliseconds that one transaction may hold locks at most, however many customers there are.
_LONGEST = 100.0
_WHAT = "attributes"

# A value for each customer again; those of every other one have had their time.
_CLEAR = "DELETE FROM crm.attribute_value WHERE business_id = $1"
_LAY = """
INSERT INTO crm.attribute_value (business_id, customer_id, name, text_value, set_at)
SELECT c.business_id, c.customer_id, $2, 'Exampleton',
       now() - CASE WHEN hashtext(c.customer_id::text) % 2 = 0 THEN interval '3 years'
                    ELSE interval '0' END
  FROM crm.customer c
 WHERE c.business_id = $1
"""
_DELETE = """
DELETE FROM crm.attribute_value v
 USING crm.attribute a
 WHERE v.business_id = $1
   AND a.business_id = $1
   AND a.name = v.name
   AND v.set_at + a.retention::interval <= now()
"""


async def retention(stage: Stage, count: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure a round over the details of so many customers, half of which have had their time."""
    say(f"adding {count:,} customers")
    cast = await staging.found(stage.quiet)
    await staging.audience(stage.quiet, cast, count)
    reports: list[Report] = []
    alone: list[float] = []

    async def ours(_: int) -> float:
        await _lay(stage, cast)
        began = time.monotonic()
        reports.append(await _swept(stage, cast))
        return count / (time.monotonic() - began)

    async def ceiling(_: int) -> float:
        await _lay(stage, cast)
        seconds = await _deleted(stage, cast)
        alone.append(seconds * 1000)
        return count / seconds

    one = "one DELETE by PostgreSQL alone"
    contenders = {"retention": ("rows/s", ours), one: ("rows/s", ceiling)}
    runs = await interleaved(rounds, contenders, say)
    notes: Notes = {
        "customers": count,
        "deleted_a_round": reports[-1].deleted,
        "pieces_a_round": reports[-1].pieces,
        "ceiling": "the same rows by the same rule, all of them locked until the end",
    }
    held = _held(reports, Series(one, "ms", alone), count)
    return [Figure("retention", runs["retention"], [Beside(runs[one])], notes), held]


def _held(reports: list[Report], alone: Series, count: int) -> Figure:
    """Say how long the longest transaction of each round took, locks and all."""
    held = Series("retention, longest lock", "ms", [float(each.longest_ms) for each in reports])
    goal = Series("the goal", "ms", [_LONGEST])
    beside = [Beside(alone), Beside(goal, Goal(1, at_most=True))]
    return Figure(held.what, held, beside, {"customers": count, "worst_ms": max(held.runs)})


async def _lay(stage: Stage, cast: Cast) -> None:
    conn = await _connected(stage, cast)
    try:
        await conn.execute(_CLEAR, cast.business.id)
        await conn.execute(_LAY, cast.business.id, TOWN)
    finally:
        await conn.close()
    await stage.settle()


async def _swept(stage: Stage, cast: Cast) -> Report:
    business_id = cast.business.id
    act = customers.lapse_values
    await sweeping.sweep(stage.quiet, business_id, _WHAT, act, every=timedelta(0))
    async with stage.quiet.read(business_id) as db:
        return (await sweeping.reports(db))[_WHAT]


async def _deleted(stage: Stage, cast: Cast) -> float:
    conn = await _connected(stage, cast)
    try:
        began = time.monotonic()
        await conn.execute(_DELETE, cast.business.id)
        return time.monotonic() - began
    finally:
        await conn.close()


async def _connected(stage: Stage, cast: Cast) -> asyncpg.Connection:
    return await asyncpg.connect(
        stage.here.settings.database_url,
        server_settings={"crm.business_id": str(cast.business.id)},
    )
