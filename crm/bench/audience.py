"""How long staff wait: the audience counted before a start, a page of it, and the figures."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from uuid import UUID

import asyncpg

from crm import campaigns
from crm.bench.figure import Beside, Figure, Goal, Missing, Run, Say, Series, interleaved
from crm.bench.sending import filled, prepared
from crm.bench.stage import SYSTEM, Cast, Stage
from crm.campaigns import DeliveryState
from crm.db import ReadDb
from crm.ids import opaque

# Each of a round; what is slow once is not hidden, as the worst is shown too.
_TIMES = 15
_PAGE = 100
# Milliseconds: for each million customers, and for whatever size.
_COUNT_A_MILLION = 120.0
_LISTED = 2.0
_SHOWN = 100.0
# The least that counting can be: the same rows, and nothing asked about them.
_ROWS = "SELECT count(*) FROM crm.consent WHERE business_id = $1 AND purpose_id = $2"

_SUPPRESS = """
INSERT INTO crm.suppression (business_id, address_hash, scope, reason, at)
SELECT c.business_id, c.address_hash, 'marketing', 'bounced', now()
  FROM crm.customer c
 WHERE c.business_id = $1 AND hashtext(c.address) % 100 = 0
"""

Ask = Callable[[ReadDb], Awaitable[object]]


async def audience(stage: Stage, customers: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure what staff look at before, during and after a campaign to so many."""
    say(f"adding {customers:,} customers")
    cast, written = await prepared(stage, customers)
    await _set_apart(stage, cast)
    async with stage.quiet.write(cast.business.id) as db:
        draft = await campaigns.draft(db, SYSTEM, written.draft)
    begun = await filled(stage, cast, written)
    await stage.settle()
    worst: dict[str, float] = {}

    def asked(what: str, ask: Ask) -> tuple[str, Run]:
        return "ms", _asked(stage, cast, ask, worst, what)

    contenders = {
        "count": asked("count", lambda db: campaigns.review(db, draft.id)),
        "PostgreSQL counting the rows": ("ms", _rows(stage, cast)),
        "page": asked("page", lambda db: _page(db, begun)),
        "figures": asked("figures", lambda db: campaigns.figures(db, begun)),
    }
    runs = await interleaved(rounds, contenders, say)
    counting = _limit(_COUNT_A_MILLION * customers / 1_000_000)
    beside = [
        Beside(runs["PostgreSQL counting the rows"]),
        Beside(counting, Goal(1, at_most=True)),
    ]
    notes = {"customers": customers}
    return [
        Figure("audience, count", runs["count"], beside, notes | {"worst_ms": worst["count"]}),
        *(
            Figure(
                f"audience, {what}",
                runs[what],
                [Beside(_limit(most), Goal(1, at_most=True))],
                notes | {"worst_ms": worst[what]},
            )
            for what, most in (("page", _LISTED), ("figures", _SHOWN))
        ),
    ]


async def _set_apart(stage: Stage, cast: Cast) -> None:
    """Suppress one address in a hundred, as bounces do in time."""
    async with _connected(stage, cast) as conn:
        await conn.execute(_SUPPRESS, cast.business.id)


def _limit(milliseconds: float) -> Series:
    return Series("the goal", "ms", [milliseconds])


async def _page(db: ReadDb, campaign_id: UUID) -> list[campaigns.Delivery]:
    """List a page somewhere in the middle: opaque identifiers are spread evenly."""
    return await campaigns.deliveries(
        db, campaign_id, DeliveryState.waiting, after=opaque(), limit=_PAGE
    )


def _asked(stage: Stage, cast: Cast, ask: Ask, worst: dict[str, float], what: str) -> Run:
    async def run(_: int) -> float:
        took = []
        async with stage.quiet.read(cast.business.id) as db:
            await ask(db)
            for _ in range(_TIMES):
                began = time.perf_counter()
                await ask(db)
                took.append((time.perf_counter() - began) * 1000)
        worst[what] = max(worst.get(what, 0.0), *took)
        return median(took)

    return run


def _rows(stage: Stage, cast: Cast) -> Run:
    async def run(_: int) -> float:
        took = []
        async with _connected(stage, cast) as conn:
            for _ in range(_TIMES):
                began = time.perf_counter()
                await conn.fetchval(_ROWS, cast.business.id, cast.purpose.id)
                took.append((time.perf_counter() - began) * 1000)
        return median(took)

    return run


@asynccontextmanager
async def _connected(stage: Stage, cast: Cast) -> AsyncIterator[asyncpg.Connection]:
    conn = await asyncpg.connect(
        stage.here.settings.database_url,
        server_settings={"crm.business_id": str(cast.business.id)},
    )
    try:
        yield conn
    finally:
        await conn.close()
