"""The arq process: every job and the whole schedule, one list."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import msgspec
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from arq.typing import WorkerCoroutine
from arq.worker import Function, Worker, func
from redis.exceptions import RedisError

from crm import ledger, turns
from crm.access import jobs as access_jobs
from crm.campaigns import jobs as campaigns_jobs
from crm.campaigns.line import Line, Rests
from crm.campaigns.tracker import known
from crm.consent import jobs as consent_jobs
from crm.db import open_database
from crm.imports import jobs as imports_jobs
from crm.inbound import jobs as inbound_jobs
from crm.journal import Keeper, journal_of, watched_by
from crm.journal import jobs as journal_jobs
from crm.ledger import jobs as ledger_jobs
from crm.log import configure, logger
from crm.mail import jobs as mail_jobs
from crm.outside import outside
from crm.privacy import jobs as privacy_jobs
from crm.privacy.dormancy import jobs as dormancy_jobs
from crm.privacy.quarantine import jobs as quarantine_jobs
from crm.privacy.undoing import jobs as undoing_jobs
from crm.restore import jobs as restore_jobs
from crm.settings import Settings
from crm.staff import jobs as staff_jobs
from crm.trust import jobs as trust_jobs
from crm.turns import Here, Job
from crm.wakes import Waker, open_pool
from crm.web import jobs as web_jobs
from crm.webhooks import jobs as webhooks_jobs

_log = logger(__name__)

# How long between two looks whether Redis is there again.
_AWAY_SECONDS = 0.5

# Names are the contract between processes. A campaign's job stops itself well before its timeout.
JOBS: dict[str, tuple[Job, int]] = {
    "mail.deliver": (mail_jobs.deliver, 90),
    "mail.carry": (mail_jobs.carry, 3600),
    "campaigns.check_values": (campaigns_jobs.check_values, 75),
    "campaigns.fill": (campaigns_jobs.fill, 300),
    "campaigns.clear": (campaigns_jobs.clear, 300),
    "campaigns.give_places": (campaigns_jobs.give_places, 60),
    "campaigns.send": (campaigns_jobs.send, 75),
    "imports.work": (imports_jobs.work, 3600),
    "ledger.seal": (ledger_jobs.seal, 60),
    "privacy.build": (privacy_jobs.build, 3600),
    "webhooks.tell": (webhooks_jobs.tell, 75),
}

# Each of these reads the rows, so that an emptied Redis loses nothing; seconds between two runs.
SCHEDULE: dict[str, tuple[Job, int]] = {
    "ledger.sweep": (ledger_jobs.sweep, 2),
    "webhooks.sweep": (webhooks_jobs.sweep, 2),
    "webhooks.clear": (webhooks_jobs.clear, 10),
    "journal.pay": (journal_jobs.pay, 5),
    "restore.sweep": (restore_jobs.sweep, 5),
    "journal.beat": (journal_jobs.beat, 10),
    "mail.sweep": (mail_jobs.sweep, 5),
    "mail.sweep_programs": (mail_jobs.carry, 5),
    "mail.check": (mail_jobs.check_domains, 3600),
    "campaigns.sweep": (campaigns_jobs.sweep, 5),
    "campaigns.sweep_checks": (campaigns_jobs.sweep_checks, 5),
    "campaigns.sweep_digests": (campaigns_jobs.sweep_digests, 15),
    "imports.sweep": (imports_jobs.sweep, 15),
    "inbound.sweep": (inbound_jobs.sweep, 60),
    "access.tidy": (access_jobs.tidy, 60),
    "ledger.notice": (ledger_jobs.notice, 60),
    "ledger.anchor": (ledger_jobs.anchor, 60),
    "staff.sweep": (staff_jobs.sweep, 60),
    "web.tidy": (web_jobs.tidy, 60),
    "privacy.undo": (undoing_jobs.sweep, 15),
    "privacy.let_go": (quarantine_jobs.sweep, 15),
    "privacy.sweep": (privacy_jobs.sweep, 60),
    "privacy.remind": (privacy_jobs.remind, 3600),
    "consent.watch": (consent_jobs.watch, 60),
    "consent.lapse": (consent_jobs.lapse, 60),
    "consent.sum_up": (consent_jobs.sum_up, 60),
    "consent.recount": (consent_jobs.recount, 86_400),
    "inbound.tidy": (inbound_jobs.tidy, 3600),
    "privacy.retire": (dormancy_jobs.retire, 3600),
    "privacy.retain": (privacy_jobs.retain, 3600),
    "privacy.age_journal": (privacy_jobs.age_journal, 21_600),
    "trust.count": (trust_jobs.count, 3600),
}

# Where four turns are too short: one line may hold what a whole import decided, as much may be let
# go at once, and a relay may owe an answer for long.
LONGER: dict[str, int] = {
    "restore.sweep": 3600,
    "journal.pay": 3600,
    "mail.sweep": 90,
    "mail.sweep_programs": 3600,
    "privacy.let_go": 3600,
}


async def work(settings: Settings) -> None:
    """Work until stopped, with Redis or without; every claim is settled before leaving."""
    configure(settings.log_level)
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    known.use(settings.lint.lists)
    outside.use(settings)
    pool = open_pool(settings.redis_url)
    ctx: dict[str, Any] = {
        "settings": settings,
        "sending": asyncio.Lock(),
        "carrying": asyncio.Lock(),
        "building": asyncio.Lock(),
        "line": Line(),
        "rests": Rests(),
    }
    here = Here({name: (_quiet(name, job), each) for name, (job, each) in _all().items()}, ctx)
    wake = Waker(pool, here)
    keeper = Keeper(journal_of(settings))
    async with (
        open_database(settings.database_url, settings.keys(), wake=wake, keep=keeper) as database,
        watched_by(ledger.journal_watch(database, keeper)) as watch,
    ):
        ctx["database"], ctx["watch"] = database, watch
        try:
            await _until(stopping, turns.keep(SCHEDULE, wake, database.clock), _listen(pool, ctx))
        finally:
            await here.close()
            await pool.aclose()


async def _until(stopping: asyncio.Event, *works: Coroutine[Any, Any, None]) -> None:
    running = [asyncio.create_task(work) for work in works]
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({*running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for each in (*running, waiting):
        each.cancel()
    for found in await asyncio.gather(*running, waiting, return_exceptions=True):
        # None of these ends by itself, unless something is wrong.
        if isinstance(found, Exception):
            raise found


async def _listen(pool: ArqRedis, ctx: dict[str, Any]) -> None:
    """Do the jobs that are queued in Redis; while it is away, wait until it answers again."""
    while True:
        worker = _listener(pool, ctx)
        try:
            await worker.async_run()
        except (RedisError, OSError) as gone:
            _log.warning("redis_away", error=type(gone).__name__)
        finally:
            worker.handle_sig(signal.SIGUSR1)
            await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
        await _back(pool)


async def _back(pool: ArqRedis) -> None:
    while True:
        try:
            await pool.ping()
        except (RedisError, OSError):
            await asyncio.sleep(_AWAY_SECONDS)
        else:
            _log.info("redis_back")
            return


class Listener(Worker):
    """Begins jobs that are queued, and asks about those at work with one question for all.

    A job stays in the queue while it is done, and arq asks four questions about each at each look,
    twenty times a second: where a campaign is sent that was a twentieth of a worker's time.
    """

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Begin those of them that nobody is at."""
        others = [job_id for job_id in job_ids if job_id.decode() not in self.tasks]
        if not others:
            return
        at_work = await self.pool.mget([in_progress_key_prefix + each.decode() for each in others])
        free = [job_id for job_id, taken in zip(others, at_work, strict=True) if taken is None]
        await super().start_jobs(free)


def _listener(pool: ArqRedis, ctx: dict[str, Any]) -> Listener:
    return Listener(
        functions=[
            _function(name, job, seconds, keep=SCHEDULE[name][1] if name in SCHEDULE else 0)
            for name, (job, seconds) in _all().items()
        ],
        redis_pool=pool,
        ctx=ctx,
        job_serializer=msgspec.msgpack.encode,
        job_deserializer=msgspec.msgpack.decode,
        handle_signals=False,
        max_jobs=16,
        poll_delay=0.05,
        keep_result=0,
        max_tries=3,
        job_completion_wait=0,
        health_check_interval=10,
        log_results=False,
    )


def _all() -> dict[str, tuple[Job, int]]:
    """Return every job, with the seconds it may take."""
    repeated = {
        name: (job, LONGER.get(name, max(every * 4, 30))) for name, (job, every) in SCHEDULE.items()
    }
    return JOBS | repeated


def _function(name: str, job: Job, seconds: int, *, keep: int) -> Function:
    # A result kept blocks the next job of the same id: wanted for a turn, which all workers wake.
    return func(_quiet(name, job), name=name, timeout=seconds, keep_result=keep, max_tries=3)


def _quiet(name: str, job: Job) -> WorkerCoroutine:
    """Do a job, but nothing while the database is behind the journal; the rows still say what.

    A failure is logged by its place only: arq would write arguments and messages.
    """

    async def run(ctx: dict[str, Any], *args: str) -> None:
        try:
            if not await ctx["watch"].stops():
                await job(ctx, *args)
        except Exception:  # noqa: BLE001  (arq would log its text, which may quote a row)
            _log.exception("job_failed", job=name)

    run.__qualname__ = name
    return run
