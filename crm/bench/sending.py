"""How fast a campaign goes out, and how much memory its worker needs for more customers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from statistics import median
from uuid import UUID

import asyncpg
from msgspec import Struct

from crm import campaigns
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Run, Say, Series, interleaved
from crm.bench.letter import Letter, letter
from crm.bench.relay import Failed, Relay, program, sink, smtp_source
from crm.bench.stage import SYSTEM, Cast, Stage, audience, cpu_seconds, found, peak_rss_mb
from crm.campaigns import State, jobs
from crm.up import process

_POLL = 0.05
# The naive sender is a hundred times slower: its rate shows after a few hundred.
_NAIVE = 400
_FEW = 2_000
# By the rows themselves: from the first claim to the last answer recorded.
_SPAN = """
SELECT count(*) FILTER (WHERE state = 'sent') AS sent,
       extract(epoch FROM max(done_at) - min(claimed_at))::float8 AS seconds
  FROM crm.delivery WHERE business_id = $1 AND campaign_id = $2
"""


class Span(Struct, frozen=True):
    """How many messages went out, and in which time."""

    sent: int
    seconds: float


class Show(Struct, frozen=True):
    """A stage with an audience and a letter for it."""

    stage: Stage
    cast: Cast
    letter: Letter
    relay: Relay
    count: int


async def send(stage: Stage, messages: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure the real worker beside smtp-source and a naive sender, into the same sink."""
    cast = await found(stage.quiet)
    await audience(stage.quiet, cast, messages)
    written = await letter(stage.quiet, cast)
    # Filled before there is a worker, and paused, so that none ever sends them.
    filled = [await _filled(stage, cast, written) for _ in range(rounds)]
    await stage.settle()
    async with sink() as relay:
        show = Show(stage, cast, written, relay, messages)
        environ = stage.environ(SMTP__HOST="127.0.0.1", SMTP__PORT=relay.port)
        async with process("worker", environ=environ) as worker:
            cpu: list[float] = []
            naive_cpu: list[float] = []
            contenders = {
                "crm worker": ("messages/s", _ours(show, worker, cpu)),
                "smtp-source": ("messages/s", _source(show)),
                "naive Python sender": ("messages/s", _naive(show, filled, naive_cpu)),
            }
            if program("smtp-source") is None:
                del contenders["smtp-source"]
            runs = await interleaved(rounds, contenders, say)
    ours = runs.pop("crm worker")
    goals = {"smtp-source": Goal(0.2)}
    notes: Notes = {
        "message_bytes": written.size,
        "messages": messages,
        "sink": relay.what,
        "cpu_seconds_per_1000": median(cpu),
        "naive_cpu_seconds_per_1000": median(naive_cpu),
    }
    beside = [Beside(series, goals.get(what)) for what, series in runs.items()]
    figures: list[Figure | Missing] = [Figure("send", ours, beside, notes)]
    if "smtp-source" not in runs:
        figures.append(Missing("send beside smtp-source", "install postfix for smtp-source"))
    return figures


async def memory(stage: Stage, customers: int, say: Say) -> list[Figure | Missing]:
    """Measure the peak of a worker that has sent to a few, and of one that has sent to many."""
    runs = {}
    for count in (_FEW, customers):
        cast = await found(stage.quiet)
        await audience(stage.quiet, cast, count)
        written = await letter(stage.quiet, cast)
        await stage.settle()
        async with sink() as relay:
            show = Show(stage, cast, written, relay, count)
            environ = stage.environ(SMTP__HOST="127.0.0.1", SMTP__PORT=relay.port)
            async with process("worker", environ=environ) as worker:
                await _sent(show, worker)
                runs[count] = peak_rss_mb(worker.pid)
        say(f"{count} customers: {runs[count]:.1f} MB")
    series = {
        count: Series(f"worker after {count:,} customers", "MB", [peak])
        for count, peak in runs.items()
    }
    beside = [Beside(series[_FEW], Goal(1.15, at_most=True))]
    notes: Notes = {"few": _FEW, "many": customers}
    return [Figure("memory", series[customers], beside, notes)]


def _ours(show: Show, worker: asyncio.subprocess.Process, cpu: list[float]) -> Run:
    async def run(_: int) -> float:
        before = cpu_seconds(worker.pid)
        span = await _sent(show, worker)
        cpu.append((cpu_seconds(worker.pid) - before) / span.sent * 1000)
        return span.sent / span.seconds

    return run


def _source(show: Show) -> Run:
    async def run(_: int) -> float:
        return await smtp_source(show.relay, show.count, show.letter.size)

    return run


def _naive(show: Show, filled: list[UUID], cpu: list[float]) -> Run:
    count = min(show.count, _NAIVE)

    async def run(number: int) -> float:
        environ = show.stage.environ(SMTP__HOST="127.0.0.1", SMTP__PORT=show.relay.port)
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "crm.bench.naive"),
            *(str(show.cast.business.id), str(filled[number]), str(count)),
            env={**os.environ, **environ},
            stdout=asyncio.subprocess.PIPE,
        )
        answer, _ = await running.communicate()
        if running.returncode:
            message = f"the naive sender ended with {running.returncode}"
            raise Failed(message)
        told = json.loads(answer)
        cpu.append(told["cpu"] / count * 1000)
        return float(count / told["seconds"])

    return run


async def _filled(stage: Stage, cast: Cast, written: Letter) -> UUID:
    async with stage.quiet.write(cast.business.id) as db:
        campaign = await campaigns.draft(db, SYSTEM, written.draft)
        await campaigns.start(db, SYSTEM, campaign.id)
    ctx: jobs.Ctx = {
        "database": stage.quiet,
        "settings": stage.here.settings,
        "sending": asyncio.Lock(),
    }
    await jobs.fill(ctx, str(cast.business.id), str(campaign.id))
    async with stage.quiet.write(cast.business.id) as db:
        await campaigns.pause(db, SYSTEM, campaign.id)
    return campaign.id


async def _sent(show: Show, worker: asyncio.subprocess.Process) -> Span:
    """Start a campaign, and wait until the worker has sent all of it."""
    business_id = show.cast.business.id
    async with show.stage.database.write(business_id) as db:
        campaign = await campaigns.draft(db, SYSTEM, show.letter.draft)
        await campaigns.start(db, SYSTEM, campaign.id)
    state = campaign.state
    while state is not State.done:
        if worker.returncode is not None:
            message = f"the worker ended with {worker.returncode}"
            raise Failed(message)
        # Nothing tells when a campaign is done; a look is cheap beside what is measured.
        await asyncio.sleep(_POLL)
        async with show.stage.quiet.read(business_id) as read:
            state = (await campaigns.get(read, campaign.id)).state
    span = await _span(show, campaign.id)
    if span.sent != show.count:
        message = f"{span.sent} of {show.count} messages were sent"
        raise Failed(message)
    return span


async def _span(show: Show, campaign_id: UUID) -> Span:
    business_id = show.cast.business.id
    conn = await asyncpg.connect(
        show.stage.here.settings.database_url,
        server_settings={"crm.business_id": str(business_id)},
    )
    try:
        row = await conn.fetchrow(_SPAN, business_id, campaign_id)
    finally:
        await conn.close()
    if row is None or not row["seconds"]:
        message = "no message was claimed and answered"
        raise Failed(message)
    return Span(row["sent"], row["seconds"])
