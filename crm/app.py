"""The web process: routes, guards, stores and dependencies, put together here only."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp, ControllerRouterHandler
from redis.asyncio import Redis

from crm import languages, ledger
from crm.access import auth as access_auth
from crm.access.staff_letters import tell_member
from crm.campaigns.tracker import known
from crm.db import Database, open_database
from crm.journal import Keeper, Watch, journal_of, watched_by
from crm.log import configure
from crm.outside import outside
from crm.privacy.retention.sweeps import SWEEPS
from crm.routes import ROOMS, TABS, provide_business, routers
from crm.settings import Settings, Web
from crm.staff import auth as staff_auth
from crm.wakes import Waker, open_pool
from crm.web import reader
from crm.web.bodies import read_strictly
from crm.web.closed import closed_while_put_back
from crm.web.docs import documentation
from crm.web.forwarded import believed, tells_untrusted
from crm.web.head import answers_head
from crm.web.headers import secured
from crm.web.health import health, of_journal, stores
from crm.web.lean import lean
from crm.web.metrics import metrics
from crm.web.refusals import EITHER
from crm.web.transaction import in_one_transaction, transaction
from crm.webhooks.described import TOLD

# Two connections for looks, which are committed while a request holds one of the others.
_LOOKS = 2


def watched(settings: Settings, state: State) -> Sequence[ControllerRouterHandler]:
    """List what is for those who watch the installation."""
    watch: Watch | None = state.get("watch")
    all_needs = stores(settings.database_url, state["redis"])
    return [
        health(all_needs | of_journal(watch) if watch else all_needs),
        metrics(settings.web.metrics_token, SWEEPS),
    ]


def application(settings: Settings, state: State, *more: ControllerRouterHandler) -> Litestar:
    """Put the web process together around open stores; tests do so around theirs."""
    put_together = Litestar(
        route_handlers=[*routers(), *watched(settings, state), *more],
        dependencies={
            "db": Provide(transaction),
            "business": Provide(provide_business, sync_to_thread=False),
            **staff_auth.dependencies,
            **access_auth.dependencies,
        },
        exception_handlers=EITHER,
        middleware=[closed_while_put_back],
        # A browser heeds HSTS only where it came by TLS (RFC 6797 §8.1).
        before_send=[secured(https=True)],
        state=state,
        request_max_body_size=settings.web.max_body,
        openapi_config=documentation(TOLD),
        logging_config=None,
    )
    return lean(read_strictly(put_together))


def served(application: Litestar) -> ASGIApp:
    """Wrap the application in what must be around all of it."""
    return tells_untrusted(reader.speaks(answers_head(in_one_transaction(application))))


def state_of(settings: Settings, database: Database, looks: Database, redis: Redis) -> State:
    """Gather what handlers and layouts find in the application's state."""
    return State(
        {
            "database": database,
            "looks_database": looks,
            "redis": redis,
            "settings": settings,
            "tell_member": tell_member,
            "tabs": TABS,
            "rooms": ROOMS,
        }
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[State]:
    """Open the stores of the web process until the block ends."""
    known.use(settings.lint.lists)
    outside.use(settings)
    pool = open_pool(settings.redis_url)
    keys, keeper = settings.keys(), Keeper(journal_of(settings))
    try:
        async with (
            open_database(settings.database_url, keys, wake=Waker(pool), keep=keeper) as database,
            open_database(settings.database_url, keys, size=_LOOKS) as looks,
            watched_by(ledger.journal_watch(database, keeper)) as watch,
        ):
            state = state_of(settings, database, looks, pool)
            state["watch"] = watch
            yield state
    finally:
        await pool.aclose()


async def serve(settings: Settings) -> None:
    """Serve until stopped."""
    configure(settings.log_level)
    languages.load()
    async with opened(settings) as state:
        await listen(settings, application(settings, state))


async def listen(settings: Settings, application: Litestar) -> None:
    """Answer at the address of the settings until stopped."""
    config = uvicorn.Config(
        served(application),
        host=settings.web.host,
        port=settings.web.port,
        server_header=False,
        log_config=None,
        access_log=False,
        proxy_headers=True,
        forwarded_allow_ips=believed(settings.web.trusted_proxies),
        timeout_graceful_shutdown=10,
        lifespan="off",
    )
    # What is here by now stays: to look through it for garbage stops all requests for 60 ms.
    gc.collect()
    gc.freeze()
    several = settings.web.processes > 1
    await uvicorn.Server(config).serve([_shared(settings.web)] if several else None)


def _shared(web: Web) -> socket.socket:
    """Bind to the address beside other processes; the kernel gives each its part of connections."""
    family, kind, _, _, address = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(address)
    return bound
