"""How long staff wait for the count of a segment of three tests, with some of whom it selects."""

from __future__ import annotations

import time
from statistics import median

import asyncpg

from crm import customers, segments
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Run, Say, Series, interleaved
from crm.bench.stage import SYSTEM, TOWN, Cast, Stage, crowd
from crm.customers import AttributeType, LawfulBasis, NewAttribute, NewTag
from crm.segments import Written

_TIMES = 7
# Milliseconds for each million customers.
_A_MILLION = 300.0
_POINTS = """
INSERT INTO crm.attribute_value (business_id, customer_id, name, text_value, number, set_at)
SELECT c.business_id, c.customer_id, 'points', p.points::text, p.points, now()
  FROM crm.customer c
 CROSS JOIN LATERAL (SELECT abs(hashtext(c.customer_id::text)) % 1000 AS points) p
 WHERE c.business_id = $1
"""
_TAGS = """
INSERT INTO crm.customer_tag (business_id, customer_id, name, set_at)
SELECT c.business_id, c.customer_id, 'bakes', now()
  FROM crm.customer c
 WHERE c.business_id = $1 AND hashtext(c.address) % 3 = 0
"""
# The same question as somebody would write it by hand, and no sample.
_ALONE = """
SELECT count(*) FROM crm.customer c
 WHERE c.business_id = $1 AND c.erased_at IS NULL AND c.restricted_at IS NULL
   AND EXISTS (SELECT FROM crm.attribute_value v
                WHERE v.business_id = $1 AND v.customer_id = c.customer_id
                  AND v.name = 'points' AND v.number >= 500)
   AND NOT EXISTS (SELECT FROM crm.attribute_value v
                    WHERE v.business_id = $1 AND v.customer_id = c.customer_id
                      AND v.name = $2 AND v.text_value = 'Exampleton 7')
   AND NOT EXISTS (SELECT FROM crm.customer_tag v
                    WHERE v.business_id = $1 AND v.customer_id = c.customer_id
                      AND v.name = 'bakes')
"""
RULE: Written = {
    "test": "all",
    "of": [
        {"test": "attribute", "name": "points", "is": "at_least", "value": 500},
        {
            "test": "not",
            "of": {"test": "attribute", "name": TOWN, "is": "equals", "value": "Exampleton 7"},
        },
        {"test": "not", "of": {"test": "tag", "name": "bakes"}},
    ],
}


async def segment(stage: Stage, count: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure the count of a rule over so many customers, of whom it selects a third."""
    say(f"adding {count:,} customers")
    cast = await crowd(stage, count)
    await _lay(stage, cast)
    selected: list[int] = []
    alone = "PostgreSQL alone"
    contenders = {
        "segment, count": ("ms", _counted(stage, cast, selected)),
        alone: ("ms", _by_hand(stage, cast, selected)),
    }
    runs = await interleaved(rounds, contenders, say)
    goal = Series("the goal", "ms", [_A_MILLION * count / 1_000_000])
    beside = [Beside(runs[alone]), Beside(goal, Goal(1, at_most=True))]
    notes: Notes = {
        "customers": count,
        "selected": selected[0],
        "ceiling": "the same question written by hand, without some of them",
    }
    return [Figure("segment, count", runs["segment, count"], beside, notes)]


async def _lay(stage: Stage, cast: Cast) -> None:
    async with stage.quiet.write(cast.business.id) as db:
        points = NewAttribute(
            basis=LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Points",
            type=AttributeType.number,
            purpose="For the till.",
            retention="P2Y",
        )
        await customers.declare_attribute(db, SYSTEM, "points", points)
        tag = NewTag(label="Bakes at home", purpose="To tell of courses.", retention="P2Y")
        await customers.declare_tag(db, SYSTEM, "bakes", tag)
    conn = await _connected(stage, cast)
    try:
        await conn.execute(_POINTS, cast.business.id)
        await conn.execute(_TAGS, cast.business.id)
    finally:
        await conn.close()
    await stage.settle()


def _counted(stage: Stage, cast: Cast, selected: list[int]) -> Run:
    async def run(_: int) -> float:
        took = []
        async with stage.quiet.read(cast.business.id) as db:
            selected.append((await segments.count(db, RULE)).customers)
            for _ in range(_TIMES):
                began = time.perf_counter()
                await segments.count(db, RULE)
                took.append((time.perf_counter() - began) * 1000)
        return median(took)

    return run


def _by_hand(stage: Stage, cast: Cast, selected: list[int]) -> Run:
    async def run(_: int) -> float:
        took = []
        conn = await _connected(stage, cast)
        try:
            found = await conn.fetchval(_ALONE, cast.business.id, TOWN)
            for _ in range(_TIMES):
                began = time.perf_counter()
                await conn.fetchval(_ALONE, cast.business.id, TOWN)
                took.append((time.perf_counter() - began) * 1000)
        finally:
            await conn.close()
        if found != selected[-1]:
            message = f"the rule selects {selected[-1]}, and PostgreSQL {found}"
            raise RuntimeError(message)
        return median(took)

    return run


async def _connected(stage: Stage, cast: Cast) -> asyncpg.Connection:
    return await asyncpg.connect(
        stage.here.settings.database_url,
        server_settings={"crm.business_id": str(cast.business.id)},
    )
