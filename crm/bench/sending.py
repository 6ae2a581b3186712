"""How fast a campaign goes out: through which sink, how far away, with TLS, and by how many."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from uuid import UUID

import asyncpg
from msgspec import Struct

from crm import campaigns, ledger
from crm.bench import certificate
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Run, Say, Series, interleaved
from crm.bench.letter import Letter, letter
from crm.bench.relay import (
    Failed,
    NoCompiler,
    Relay,
    fast_sink,
    program,
    sink,
    smtp_source,
    tls_sink,
)
from crm.bench.stage import (
    CONNECTIONS,
    SYSTEM,
    Cast,
    Stage,
    audience,
    cpu_seconds,
    found,
    peak_rss_mb,
)
from crm.campaigns import State, jobs
from crm.consent import monitor
from crm.journal import journal_of
from crm.up import process

_POLL = 0.05
# The naive sender is a hundred times slower: its rate shows after a few hundred.
_NAIVE = 400
_FEW = 2_000
_SEALED = 100_000
# A relay far away, and as many connections as it takes to keep it busy.
_DELAY = 0.005
_FAR = 50
_NO_SOURCE = "install postfix for smtp-source"
_LARGEST_WORKER = 120.0
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

    @property
    def notes(self) -> dict[str, float | int | str]:
        """Say what was sent, and where to."""
        return {
            "message_bytes": self.letter.size,
            "messages": self.count,
            "sink": self.relay.what,
        }


async def send(stage: Stage, messages: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure the real worker beside smtp-source and a naive sender, into Debian's sink."""
    cast, written = await prepared(stage, messages)
    # Filled before there is a worker, and paused, so that none ever sends them.
    begun = [await filled(stage, cast, written) for _ in range(rounds)]
    await stage.settle()
    async with sink() as relay:
        show = Show(stage, cast, written, relay, messages)
        cpu: list[float] = []
        naive_cpu: list[float] = []
        contenders = {
            "crm worker": ("messages/s", ours(show, cpu)),
            "smtp-source": ("messages/s", _source(show)),
            "naive Python sender": ("messages/s", _naive(show, begun, naive_cpu)),
        }
        runs = await _without_source(rounds, contenders, say)
    notes: Notes = show.notes | {
        "cpu_seconds_per_1000": median(cpu),
        "naive_cpu_seconds_per_1000": median(naive_cpu),
    }
    goals = {"smtp-source": Goal(0.9), "naive Python sender": Goal(20)}
    return _beside("send", runs, goals, notes)


async def send_fast(stage: Stage, messages: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure the worker beside smtp-source into a sink that is not the limit."""
    return await _into_fast_sink("send, fast sink", stage, messages, rounds, say, goal=0.25)


async def send_far(stage: Stage, messages: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure both over many connections to a sink whose every answer comes late."""
    name = f"send, answers {_DELAY * 1000:g} ms late"
    return await _into_fast_sink(
        name, stage, messages, rounds, say, goal=2.5, connections=_FAR, delay=_DELAY
    )


async def send_tls(stage: Stage, messages: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure the worker inside TLS beside the same in clear, into the same sink of ours."""
    cast, written = await prepared(stage, messages)
    await stage.settle()
    pem, authority = certificate.written(stage.directory)
    async with tls_sink(pem) as secret, tls_sink(None) as clear:
        inside = Show(stage, cast, written, secret, messages)
        outside = Show(stage, cast, written, clear, messages)
        environ = {"CRM_SMTP__TLS": "starttls", "SSL_CERT_FILE": str(authority)}
        # The certificate is for a name; the sink listens on this machine only.
        environ["CRM_SMTP__HOST"] = certificate.HOST
        contenders = {
            "crm worker, TLS": ("messages/s", ours(inside, [], environ)),
            "crm worker, in clear": ("messages/s", ours(outside, [])),
        }
        runs = await interleaved(rounds, contenders, say)
    return _beside("send, TLS", runs, {"crm worker, in clear": Goal(0.6)}, inside.notes)


async def memory(stage: Stage, customers: int, say: Say) -> list[Figure | Missing]:
    """Measure the peak of a worker that has sent to a few, and of one that has sent to many."""
    runs = {}
    for count in (_FEW, customers):
        cast, written = await prepared(stage, count)
        await stage.settle()
        async with sink() as relay:
            show = Show(stage, cast, written, relay, count)
            async with workers(show) as (worker,):
                await sent(show)
                runs[count] = peak_rss_mb(worker.pid)
        say(f"{count} customers: {runs[count]:.1f} MB")
    series = {
        count: Series(f"worker after {count:,} customers", "MB", [peak])
        for count, peak in runs.items()
    }
    limit = Series("the goal", "MB", [_LARGEST_WORKER])
    beside = [
        Beside(series[_FEW], Goal(1.15, at_most=True)),
        Beside(limit, Goal(1, at_most=True)),
    ]
    notes: Notes = {"few": _FEW, "many": customers}
    return [Figure("memory", series[customers], beside, notes)]


@asynccontextmanager
async def workers(
    show: Show, environ: Mapping[str, str] | None = None, *, count: int = 1
) -> AsyncIterator[Sequence[asyncio.subprocess.Process]]:
    """Run so many workers that hand over to the sink, until the block ends."""
    relay = {"CRM_SMTP__HOST": "127.0.0.1", "CRM_SMTP__PORT": str(show.relay.port)}
    whole = show.stage.environ() | relay | dict(environ or {})
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(process("worker", environ=whole)) for _ in range(count)
        ]


def ours(
    show: Show, cpu: list[float], environ: Mapping[str, str] | None = None, *, count: int = 1
) -> Run:
    """Send the letter with workers started for it; the time is that of the rows."""

    async def run(_: int) -> float:
        async with workers(show, environ, count=count) as running:
            span = await sent(show)
            spent = sum(cpu_seconds(each.pid) for each in running)
            cpu.append(spent / span.sent * 1000)
        return span.sent / span.seconds

    return run


async def prepared(stage: Stage, count: int) -> tuple[Cast, Letter]:
    """Add a business with so many customers, and write it a letter."""
    cast = await found(stage.quiet)
    await audience(stage.quiet, cast, count)
    await _kept_up(stage, cast)
    return cast, await letter(stage.quiet, cast)


async def _kept_up(stage: Stage, cast: Cast) -> None:
    """Seal what was decided, and look at all of it: else a worker would, once, beside its sending.

    The round of the monitor comes once a day.
    """
    journal = journal_of(stage.here.settings)
    while await ledger.seal(stage.quiet, cast.business.id, journal, most=_SEALED):
        pass
    async with stage.quiet.write(cast.business.id) as db:
        await ledger.begin_watch(db)
    more = True
    while more:
        async with stage.quiet.write(cast.business.id) as db:
            more = await monitor.watch_next(db) is not None


async def _into_fast_sink(
    name: str,
    stage: Stage,
    messages: int,
    rounds: int,
    say: Say,
    *,
    goal: float,
    connections: int = CONNECTIONS,
    delay: float = 0,
) -> list[Figure | Missing]:
    cast, written = await prepared(stage, messages)
    await stage.settle()
    try:
        async with fast_sink(stage.directory, delay=delay) as relay:
            show = Show(stage, cast, written, relay, messages)
            cpu: list[float] = []
            environ = {"CRM_SENDING__CONNECTIONS": str(connections)}
            contenders = {
                "crm worker": ("messages/s", ours(show, cpu, environ)),
                "smtp-source": ("messages/s", _source(show, connections)),
            }
            runs = await _without_source(rounds, contenders, say)
    except NoCompiler as why:
        return [Missing(name, str(why))]
    notes = show.notes | {"connections": connections, "cpu_seconds_per_1000": median(cpu)}
    return _beside(name, runs, {"smtp-source": Goal(goal)}, notes)


async def _without_source(
    rounds: int, contenders: dict[str, tuple[str, Run]], say: Say
) -> dict[str, Series]:
    """Run them all, but smtp-source only where it is installed."""
    if program("smtp-source") is None:
        contenders = {what: run for what, run in contenders.items() if what != "smtp-source"}
    return await interleaved(rounds, contenders, say)


def _beside(
    name: str, runs: dict[str, Series], goals: Mapping[str, Goal], notes: Notes
) -> list[Figure | Missing]:
    (_, ours), *others = runs.items()
    beside = [Beside(series, goals.get(what)) for what, series in others]
    figures: list[Figure | Missing] = [Figure(name, ours, beside, notes)]
    if "smtp-source" in goals and "smtp-source" not in runs:
        figures.append(Missing(f"{name} beside smtp-source", _NO_SOURCE))
    return figures


def _source(show: Show, connections: int = CONNECTIONS) -> Run:
    async def run(_: int) -> float:
        return await smtp_source(show.relay, show.count, show.letter.size, connections)

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


async def filled(stage: Stage, cast: Cast, written: Letter) -> UUID:
    """Start a campaign and write its deliveries, and pause it, so that none is ever sent."""
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


async def sent(show: Show) -> Span:
    """Start a campaign, and wait until workers have sent all of it."""
    business_id = show.cast.business.id
    async with show.stage.database.write(business_id) as db:
        campaign = await campaigns.draft(db, SYSTEM, show.letter.draft)
        await campaigns.start(db, SYSTEM, campaign.id)
    state = campaign.state
    while state is not State.done:
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
