"""How long the copy of many years takes, beside COPY of the same rows and zlib alone."""

from __future__ import annotations

import io
import os
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg

from crm import privacy
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Run, Say, Series, interleaved
from crm.bench.stage import Cast, Stage, audience, found, peak_rss_mb
from crm.events import Actor
from crm.privacy.copies.building import build_next

_LETTER = 30_000
_SMALL = 10
# Seconds to stay under, and how much more memory than for next to nothing.
_SECONDS = 3.0
_MORE_MB = 48.0
# As the product presses.
_LEVEL = 3

_CAMPAIGNS = """
WITH written AS (
  INSERT INTO crm.campaign (business_id, campaign_id, purpose_id, subject, source, format, state,
                            created_at, changed_at, started_at, ended_at)
  SELECT $1, gen_random_uuid(), $2, 'Letter ' || n, (
           SELECT string_agg(md5(n::text || w::text), ' ')
             FROM generate_series(1, $5::integer / 33) AS w),
         'markdown', 'done', now(), now(), now(), now()
    FROM generate_series(1, $4::integer) AS n
  RETURNING campaign_id)
INSERT INTO crm.delivery (business_id, campaign_id, customer_id, state, event_id, notice_id,
                          claimed_at, done_at, code, reply)
SELECT $1, w.campaign_id, s.customer_id, 'sent', s.event_id, s.notice_id, now(), now(), 250, 'ok'
  FROM written w
  JOIN crm.consent s ON s.business_id = $1 AND s.customer_id = $3
"""
_EVENTS = """
INSERT INTO crm.event (business_id, event_id, at, kind, actor_kind, actor_id, actor_name,
                       customer_id, reason)
SELECT $1, gen_random_uuid(), now(), 'customer.looked', 'key', gen_random_uuid(), 'Shop till', $2,
       'to print the list of ' || n
  FROM generate_series(1, $3::integer) AS n
"""
# The rows that a copy is made of, once each.
_ROWS = (
    """SELECT c.source
         FROM crm.delivery d
         JOIN crm.campaign c ON c.business_id = $1 AND c.campaign_id = d.campaign_id
        WHERE d.business_id = $1 AND d.customer_id = $2""",
    "SELECT d.* FROM crm.delivery d WHERE d.business_id = $1 AND d.customer_id = $2",
    "SELECT e.* FROM crm.event e WHERE e.business_id = $1 AND e.customer_id = $2",
)


async def copy(
    stage: Stage, mails: int, events: int, rounds: int, say: Say
) -> list[Figure | Missing]:
    """Measure building the copy of a customer with so many mails and events; and its memory."""
    cast = await found(stage.quiet)
    many, few = await audience(stage.quiet, cast, 2)
    say(f"writing {mails:,} mails of {_LETTER:,} bytes and {events:,} events")
    await lived(stage, cast, many, mails, events)
    await lived(stage, cast, few, _SMALL, _SMALL)
    await stage.settle()
    sizes: dict[UUID, int] = {}
    _, small_mb = await _built(stage, cast, few, sizes)
    # Before the ceiling is measured, which holds all of it.
    _, large_mb = await _built(stage, cast, many, sizes)

    async def ours(_: int) -> float:
        return (await _built(stage, cast, many, sizes))[0]

    async def ceiling(_: int) -> float:
        return await _alone(stage, cast, many)

    alone = "COPY and zlib alone"
    contenders: dict[str, tuple[str, Run]] = {"copy": ("s", ours), alone: ("s", ceiling)}
    runs = await interleaved(rounds, contenders, say)
    notes: Notes = {"mails": mails, "events": events, "bytes": sizes[many]}
    limit = Series("the goal", "s", [_SECONDS])
    more = Series("copy, memory", "MB", [large_mb])
    flat = Series("with next to nothing, and the goal", "MB", [small_mb + _MORE_MB])
    return [
        Figure(
            "copy", runs["copy"], [Beside(runs[alone]), Beside(limit, Goal(1, at_most=True))], notes
        ),
        Figure("copy, memory", more, [Beside(flat, Goal(1, at_most=True))], {"small_mb": small_mb}),
    ]


async def _built(
    stage: Stage, cast: Cast, customer_id: UUID, sizes: dict[UUID, int]
) -> tuple[float, float]:
    """Ask for a copy and build it; return the seconds, and the most memory this process held."""
    business_id, by = cast.business.id, Actor.customer(customer_id)
    async with stage.quiet.write(business_id) as db:
        # Otherwise the one of the round before would be the same one.
        await privacy.copies.forget(db, customer_id)
        await privacy.ask(db, by, customer_id)
    _begin_peak()
    began = time.perf_counter()
    built = await build_next(stage.quiet, business_id)
    seconds = time.perf_counter() - began
    assert built is not None  # noqa: S101  (nobody else builds here)
    assert built.size is not None  # noqa: S101
    sizes[customer_id] = built.size
    return seconds, peak_rss_mb(os.getpid())


def _begin_peak() -> None:
    """Begin the kernel's account of the most memory anew (proc(5))."""
    Path("/proc/self/clear_refs").write_text("5")


async def _alone(stage: Stage, cast: Cast, customer_id: UUID) -> float:
    """Read the same rows by COPY and press them, and do nothing else with them."""
    async with _connected(stage, cast) as conn:
        began = time.perf_counter()
        press = zlib.compressobj(_LEVEL)
        for rows in _ROWS:
            out = io.BytesIO()
            await conn.copy_from_query(rows, cast.business.id, customer_id, output=out)
            press.compress(out.getvalue())
        press.flush()
        return time.perf_counter() - began


async def lived(stage: Stage, cast: Cast, customer_id: UUID, mails: int, events: int) -> None:
    """Let a customer have had so many newsletters, and been looked at so often."""
    async with _connected(stage, cast) as conn:
        business_id = cast.business.id
        await conn.execute(_CAMPAIGNS, business_id, cast.purpose.id, customer_id, mails, _LETTER)
        await conn.execute(_EVENTS, business_id, customer_id, events)


@asynccontextmanager
async def _connected(stage: Stage, cast: Cast) -> AsyncIterator[asyncpg.Connection]:
    conn = await asyncpg.connect(stage.here.settings.database_url)
    try:
        async with conn.transaction():
            await conn.execute("SELECT crm.begin_business($1)", cast.business.id)
            yield conn
    finally:
        await conn.close()
