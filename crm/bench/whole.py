"""One campaign of many, once through: how fast, how evenly, and with how much memory."""

from __future__ import annotations

import asyncio
import time

from msgspec import Struct

from crm import campaigns
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Say, Series
from crm.bench.relay import Failed, NoCompiler, fast_sink
from crm.bench.sending import Show, prepared, workers
from crm.bench.stage import SYSTEM, Stage, rss_mb
from crm.campaigns import Counts, State

_LOOK = 1.0
_SAY = 10.0
_WORKERS = 2


class Look(Struct, frozen=True):
    """What one look at the running campaign saw."""

    at: float
    settled: int
    memory: float


async def whole(stage: Stage, messages: int, say: Say) -> list[Figure | Missing]:
    """Send one campaign by two workers; the sums must be right, and the memory must not grow."""
    say(f"adding {messages:,} customers")
    cast, written = await prepared(stage, messages)
    await stage.settle()
    try:
        async with fast_sink(stage.directory) as relay:
            show = Show(stage, cast, written, relay, messages)
            async with workers(show, count=_WORKERS) as running:
                looks = await _watched(show, [each.pid for each in running], say)
    except NoCompiler as why:
        return [Missing("whole campaign", str(why))]
    seconds = max(looks[-1].at - looks[0].at, _LOOK)
    rates = _rates(looks)
    early = Series("a tenth of the way", "MB", [_memory_at(looks, messages, 0.1)])
    late = Series("workers at the end", "MB", [looks[-1].memory])
    notes: Notes = show.notes | {
        "workers": _WORKERS,
        "seconds": seconds,
        "slowest_messages_per_second": min(rates),
        "fastest_messages_per_second": max(rates),
    }
    speed = Series("two workers", "messages/s", [messages / seconds])
    return [
        Figure("whole campaign", speed, [], notes),
        Figure("its memory", late, [Beside(early, Goal(1.15, at_most=True))], {}),
    ]


async def _watched(show: Show, pids: list[int], say: Say) -> list[Look]:
    business_id = show.cast.business.id
    async with show.stage.database.write(business_id) as db:
        campaign = await campaigns.draft(db, SYSTEM, show.letter.draft)
        await campaigns.start(db, SYSTEM, campaign.id)
        counts = await campaigns.counts(db, campaign.id)
    looks: list[Look] = []
    state, said = campaign.state, 0.0
    while state is not State.done:
        # Nothing tells when a campaign is done; a look is cheap beside what is measured.
        await asyncio.sleep(_LOOK)
        async with show.stage.quiet.read(business_id) as read:
            state = (await campaigns.get(read, campaign.id)).state
            counts = await campaigns.counts(read, campaign.id)
        now = time.monotonic()
        if counts.sent or looks:
            looks.append(Look(now, counts.sent, max(rss_mb(pid) for pid in pids)))
        if looks and now - said >= _SAY:
            said = now
            say(f"{counts.sent:,} of {counts.audience:,} sent, {looks[-1].memory:.1f} MB")
    async with show.stage.quiet.read(business_id) as read:
        _check(show, counts, await campaigns.recount(read, campaign.id))
    return looks


def _check(show: Show, counts: Counts, recounted: Counts) -> None:
    same = (counts.sent, counts.audience) == (recounted.sent, recounted.audience)
    if not same or recounted.sent != show.count:
        message = f"{recounted.sent} of {show.count} were sent, and the ranges say {counts.sent}"
        raise Failed(message)


def _rates(looks: list[Look]) -> list[float]:
    """Return the rate of every stretch of ten looks, so that one late look makes no peak."""
    pairs = list(zip(looks[::10], looks[10::10], strict=False)) or [(looks[0], looks[-1])]
    return [(b.settled - a.settled) / max(b.at - a.at, _LOOK) for a, b in pairs]


def _memory_at(looks: list[Look], messages: int, share: float) -> float:
    return next(look.memory for look in looks if look.settled >= messages * share)
