"""How long somebody waits for her letter while a large campaign is sent by all workers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from statistics import median
from uuid import UUID

import asyncpg

from crm import campaigns, mail
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Say, Series
from crm.bench.relay import Failed, NoCompiler, fast_sink
from crm.bench.sending import Show, prepared, workers
from crm.bench.stage import SYSTEM, Cast, Stage
from crm.campaigns import State
from crm.mail import Letter, LetterKind

_WORKERS = 2
# Letters asked for while the campaign goes, spread over it.
_EVERY = 0.2
_LOOK = 0.2
# Letters are handed over within so many seconds, and given up here after so many.
_GOAL = 10.0
_PATIENCE = 60.0
# From the commit that asked for it, as PostgreSQL has it, to the answer of the relay.
_LAGS = """
SELECT extract(epoch FROM done_at - created_at)::float8 AS lag
  FROM crm.service_message WHERE business_id = $1 AND state = 'sent'
"""


async def service(stage: Stage, messages: int, say: Say) -> list[Figure | Missing]:
    """Ask for letters, of the same business and of another, while one campaign is sent."""
    cast, written = await prepared(stage, messages)
    other, _ = await prepared(stage, 1)
    await stage.settle()
    try:
        async with fast_sink(stage.directory) as relay:
            show = Show(stage, cast, written, relay, messages)
            async with workers(show, count=_WORKERS):
                asked, rate = await _asked_meanwhile(show, other, say)
                lags = await _lags(stage, asked)
    except NoCompiler as why:
        return [Missing("letters beside a campaign", str(why))]
    notes: Notes = show.notes | {
        "workers": _WORKERS,
        "letters": len(lags),
        "median_seconds": median(lags),
        "p99_seconds": lags[math.ceil(len(lags) * 0.99) - 1],
        "campaign_mails_per_second": rate,
    }
    worst = Series("the slowest letter", "s", [lags[-1]])
    goal = Series("the goal", "s", [_GOAL])
    return [
        Figure("letters beside a campaign", worst, [Beside(goal, Goal(1, at_most=True))], notes)
    ]


async def _asked_meanwhile(show: Show, other: Cast, say: Say) -> tuple[dict[UUID, int], float]:
    """Ask for letters until the campaign is done; say how many for whom, and its speed."""
    mine = show.cast.business
    async with show.stage.database.write(mine.id) as db:
        campaign = await campaigns.draft(db, SYSTEM, show.letter.draft)
        await campaigns.start(db, SYSTEM, campaign.id)
    asked = {mine.id: 0, other.business.id: 0}
    await _begun(show, campaign.id)
    began = time.monotonic()
    state = State.sending
    while state is not State.done:
        for business_id, number in asked.items():
            await _ask(show.stage, business_id, number)
            asked[business_id] = number + 1
        await asyncio.sleep(_EVERY)
        async with show.stage.quiet.read(mine.id) as read:
            state = (await campaigns.get(read, campaign.id)).state
    seconds = time.monotonic() - began
    say(f"{show.count:,} mails in {seconds:.1f} s, and {sum(asked.values())} letters beside them")
    return asked, show.count / seconds


async def _begun(show: Show, campaign_id: UUID) -> None:
    """Wait for the first mail: workers take seconds to start, which are no part of this."""
    sent = 0
    while not sent:
        await asyncio.sleep(_LOOK)
        async with show.stage.quiet.read(show.cast.business.id) as read:
            sent = (await campaigns.counts(read, campaign_id)).sent


async def _ask(stage: Stage, business_id: UUID, number: int) -> None:
    address = f"asking{number}@example.com"
    async with stage.database.write(business_id) as db:
        letter = Letter(
            kind=LetterKind.confirmation, address=address,
            address_hash=db.keys.address_hash(business_id, address),
            subject="Please confirm", text="Is it you?", html="<p>Is it you?</p>", locale="en",
        )  # fmt: skip
        await mail.post_letter(db, letter)


async def _lags(stage: Stage, asked: Mapping[UUID, int]) -> list[float]:
    """Return how long each took, in order; all of them were sent."""
    until = time.monotonic() + _PATIENCE
    lags: list[float] = []
    while len(lags) < sum(asked.values()):
        if time.monotonic() > until:
            message = f"{len(lags)} of {sum(asked.values())} letters were sent"
            raise Failed(message)
        await asyncio.sleep(_LOOK)
        lags = [lag for business_id in asked for lag in await _of(stage, business_id)]
    return sorted(lags)


async def _of(stage: Stage, business_id: UUID) -> list[float]:
    conn = await asyncpg.connect(
        stage.here.settings.database_url,
        server_settings={"crm.business_id": str(business_id)},
    )
    try:
        return [row["lag"] for row in await conn.fetch(_LAGS, business_id)]
    finally:
        await conn.close()
