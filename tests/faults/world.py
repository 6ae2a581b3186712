"""Servers, workers and web as processes of their own, a relay, and the network between them."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from crm import parent
from crm.db import Database, open_database
from crm.embedded import postgres, valkey
from crm.embedded.child import stop
from crm.embedded.place import Place, taken
from crm.embedded.programs import Programs, programs
from crm.migrate import migrate
from tests.conftest import KEYS
from tests.faults.proxy import Proxy, proxied
from tests.smtpd import Smtpd, smtpd

WORKERS = 2
BATCH = 20
CONNECTIONS = 4
LEASE_SECONDS = 2


class Servers:
    """PostgreSQL and Valkey that can be killed and started again where they were."""

    def __init__(self, place: Place, found: Programs, cluster: postgres.Cluster) -> None:
        self.place, self.found, self.cluster = place, found, cluster
        self.database: subprocess.Popen[bytes] | None = None
        self.cache: subprocess.Popen[bytes] | None = None

    async def start_database(self) -> None:
        self.database = await postgres.start(self.cluster, self.found, fsync=False)

    async def start_cache(self) -> None:
        self.cache = await valkey.start(self.place, self.found, self.cluster.sockets)

    async def kill_database(self) -> None:
        """As the kernel does when memory is short; it recovers when it is started again."""
        assert self.database is not None
        self.database.kill()
        await asyncio.to_thread(self.database.wait)
        await self.start_database()

    async def restart_database(self) -> None:
        """As an upgrade does: open transactions are rolled back."""
        assert self.database is not None
        self.database.send_signal(postgres.GENTLY)
        await stop(self.database)
        await self.start_database()

    async def kill_cache(self, away: float = 0.0) -> None:
        assert self.cache is not None
        self.cache.kill()
        await asyncio.to_thread(self.cache.wait)
        await asyncio.sleep(away)
        await self.start_cache()

    async def end(self) -> None:
        for child, how in ((self.cache, valkey.GENTLY), (self.database, postgres.GENTLY)):
            if child is not None and child.poll() is None:
                child.send_signal(how)
                await stop(child)


class Process:
    """A command of ours that is killed and comes back, as a supervisor has it."""

    def __init__(self, command: str, environ: dict[str, str]) -> None:
        self._command, self._environ = command, environ
        self._running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
        self._running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "crm", self._command,
            env=plain | self._environ | parent.named(), start_new_session=True,
        )  # fmt: skip

    async def kill(self) -> None:
        """Without a chance to settle anything."""
        assert self._running is not None
        if self._running.returncode is None:
            self._running.kill()
        await self._running.wait()

    async def ensure(self) -> None:
        """Start it again if it has ended by itself."""
        if self._running is None or self._running.returncode is not None:
            await self.start()


class World:
    """Everything there is, and the database as the test itself sees it, past the proxies."""

    servers: Servers
    relay: Smtpd
    to_relay: Proxy
    to_database: Proxy
    database: Database
    workers: list[Process]
    web: Process
    web_port: int

    @property
    def superuser_url(self) -> str:
        return self.servers.cluster.url("postgres")


@asynccontextmanager
async def servers(directory: Path) -> AsyncIterator[Servers]:
    with taken(directory) as place:
        found = programs(place)
        running = Servers(place, found, await postgres.cluster(place, found, fsync=False))
        try:
            await running.start_cache()
            await running.start_database()
            await postgres.prepare(running.cluster)
            await migrate(running.cluster.url("crm_owner"))
            yield running
        finally:
            await running.end()
            place.tidy()


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """All of it, running, until the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="fh-faults-"))
    directory.chmod(0o755)  # noqa: ASYNC240  (once, before anything runs)
    made = World()
    try:
        async with AsyncExitStack() as stack:
            made.servers = await stack.enter_async_context(servers(directory / "data"))
            sockets = made.servers.cluster.sockets
            made.relay = await stack.enter_async_context(smtpd())
            made.to_relay = await stack.enter_async_context(
                proxied(lambda: asyncio.open_connection("127.0.0.1", made.relay.port))
            )
            made.to_database = await stack.enter_async_context(
                proxied(lambda: asyncio.open_unix_connection(str(sockets / ".s.PGSQL.5432")))
            )
            made.database = await stack.enter_async_context(
                open_database(made.servers.cluster.url("crm_app"), KEYS, size=4)
            )
            await _run(made, directory, stack)
            yield made
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _run(made: World, directory: Path, stack: AsyncExitStack) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made.web_port = free.getsockname()[1]
    environ = _environ(made, directory)
    made.workers = [Process("worker", environ) for _ in range(WORKERS)]
    made.web = Process("web", environ)
    for process in (*made.workers, made.web):
        stack.push_async_callback(process.kill)
        await process.start()


def _environ(made: World, directory: Path) -> dict[str, str]:
    (number, key), *_ = KEYS.link_keys
    (storage, kept), *_ = KEYS.storage_keys
    password = made.servers.cluster.passwords.crm_app
    port = made.to_database.port
    return {
        "CRM_DATABASE_URL": f"postgresql://crm_app:{password}@127.0.0.1:{port}/crm",
        "CRM_REDIS_URL": valkey.url(made.servers.cluster.sockets),
        "CRM_LINK_KEYS": f"{number}:{key.hex()}",
        "CRM_STORAGE_KEYS": f"{storage}:{kept.hex()}",
        "CRM_PEPPER": KEYS.pepper.hex(),
        "CRM_JOURNAL": str(directory / "journal"),
        "CRM_LOG_LEVEL": "error",
        "CRM_SMTP__PORT": str(made.to_relay.port),
        "CRM_WEB__PORT": str(made.web_port),
        "CRM_SENDING__BATCH": str(BATCH),
        "CRM_SENDING__CONNECTIONS": str(CONNECTIONS),
        "CRM_SENDING__RANGE": "150",
        "CRM_SENDING__LEASE_SECONDS": str(LEASE_SECONDS),
    }
