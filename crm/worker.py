"""The arq process: every job and the whole schedule, one list."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from arq import cron
from arq.typing import WorkerCoroutine
from arq.worker import Function, Worker, func

from crm.access import jobs as access_jobs
from crm.campaigns import jobs as campaigns_jobs
from crm.campaigns.line import Line, Rests
from crm.campaigns.tracker import known
from crm.consent import jobs as consent_jobs
from crm.customers import jobs as customers_jobs
from crm.db import open_database
from crm.imports import jobs as imports_jobs
from crm.inbound import jobs as inbound_jobs
from crm.ledger import jobs as ledger_jobs
from crm.log import configure, logger
from crm.mail import jobs as mail_jobs
from crm.privacy import jobs as privacy_jobs
from crm.settings import Settings
from crm.staff import jobs as staff_jobs
from crm.trust import jobs as trust_jobs
from crm.wakes import Waker, open_pool

_log = logger(__name__)

_MINUTE, _HOUR = 60, 3600

Job = Callable[..., Awaitable[None]]

# Names are the contract between processes. A campaign's job stops itself well before its timeout.
JOBS: dict[str, tuple[Job, int]] = {
    "mail.deliver": (mail_jobs.deliver, 60),
    "campaigns.check_values": (campaigns_jobs.check_values, 75),
    "campaigns.fill": (campaigns_jobs.fill, 300),
    "campaigns.clear": (campaigns_jobs.clear, 300),
    "campaigns.send": (campaigns_jobs.send, 75),
    "imports.work": (imports_jobs.work, 3600),
    "ledger.seal": (ledger_jobs.seal, 60),
}

# Each of these reads the rows, so that an emptied Redis loses nothing; seconds between two runs.
SCHEDULE: dict[str, tuple[Job, int]] = {
    "ledger.sweep": (ledger_jobs.sweep, 2),
    "mail.sweep": (mail_jobs.sweep, 5),
    "mail.check": (mail_jobs.check_domains, 3600),
    "campaigns.sweep": (campaigns_jobs.sweep, 5),
    "campaigns.sweep_checks": (campaigns_jobs.sweep_checks, 5),
    "imports.sweep": (imports_jobs.sweep, 15),
    "inbound.sweep": (inbound_jobs.sweep, 60),
    "access.tidy": (access_jobs.tidy, 60),
    "ledger.notice": (ledger_jobs.notice, 60),
    "ledger.anchor": (ledger_jobs.anchor, 60),
    "staff.sweep": (staff_jobs.sweep, 60),
    "privacy.sweep": (privacy_jobs.sweep, 60),
    "consent.watch": (consent_jobs.watch, 60),
    "consent.lapse": (consent_jobs.lapse, 60),
    "inbound.tidy": (inbound_jobs.tidy, 3600),
    "customers.lapse": (customers_jobs.lapse, 3600),
    "trust.count": (trust_jobs.count, 3600),
}


async def work(settings: Settings) -> None:
    """Work until stopped; a lost Redis is waited for, and every claim is settled before leaving."""
    configure(settings.log_level)
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    known.use(settings.lint.lists)
    pool = await open_pool(settings.redis_url)
    async with open_database(settings.database_url, settings.keys(), wake=Waker(pool)) as database:
        worker = Worker(
            functions=[_function(name, job, seconds) for name, (job, seconds) in JOBS.items()],
            cron_jobs=[_repeated(name, job, every) for name, (job, every) in SCHEDULE.items()],
            redis_pool=pool,
            ctx={
                "database": database,
                "settings": settings,
                "sending": asyncio.Lock(),
                "line": Line(),
                "rests": Rests(),
            },
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
        try:
            await _until(worker, stopping)
        finally:
            await worker.close()


async def _until(worker: Worker, stopping: asyncio.Event) -> None:
    running = asyncio.create_task(worker.async_run())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        # It ends by itself only when something is wrong, such as a Redis that stays away.
        running.result()
    running.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)


def _function(name: str, job: Job, seconds: int) -> Function:
    # A result kept would block the next job of the same id.
    return func(_quiet(name, job), name=name, timeout=seconds, keep_result=0, max_tries=3)


def _repeated(name: str, job: Job, every: int) -> Any:
    seconds = set(range(0, 60, every)) if every < _MINUTE else {0}
    return cron(
        _quiet(name, job),
        name=name,
        second=seconds,
        minute={0} if every >= _HOUR else None,
        unique=True,
        # What a killed worker left is looked for at once.
        run_at_startup=every < _MINUTE,
        timeout=max(every * 4, 30),
        keep_result=0,
    )


def _quiet(name: str, job: Job) -> WorkerCoroutine:
    """Log a failure by its place only: arq would write arguments and messages."""

    async def run(ctx: dict[str, Any], *args: str) -> None:
        try:
            await job(ctx, *args)
        except Exception:  # noqa: BLE001  (arq would log its text, which may quote a row)
            _log.exception("job_failed", job=name)

    run.__qualname__ = name
    return run
