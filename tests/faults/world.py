"""Servers, workers and web as processes of their own, a relay, and the network between them."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg

from crm import parent
from crm.db import BROKEN, Database, open_database
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
# The disk of PostgreSQL, where root may mount one: small enough to be filled at once, and large
# enough for an hour of campaigns and for the log that it recovers from.
DISK_BYTES = 1_000_000_000
FAKETIME = next(
    (path for path in sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None
)


class Servers:
    """PostgreSQL and Valkey that can be killed and started again where they were."""

    def __init__(
        self, place: Place, found: Programs, cluster: postgres.Cluster, disk: Path | None
    ) -> None:
        self.place, self.found, self.cluster, self.disk = place, found, cluster, disk
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
        await self.lose_cache()
        await asyncio.sleep(away)
        await self.start_cache()

    async def lose_cache(self) -> None:
        """It does not come back until `mend`."""
        assert self.cache is not None
        self.cache.kill()
        await asyncio.to_thread(self.cache.wait)

    async def fill_disk(self, seconds: float) -> None:
        """Nothing more can be written, neither rows nor WAL; then there is room again.

        PostgreSQL refuses what needs room while its log has a segment to write to, and stops when
        it has none. Whoever looks after it starts it again, in vain until there is room.
        """
        assert self.disk is not None
        ballast = self.disk / "ballast"
        await asyncio.to_thread(_fill, ballast)
        try:
            await asyncio.sleep(seconds / 2)
            with suppress(*BROKEN):
                await self.demand_wal()
            await asyncio.sleep(seconds / 2)
        finally:
            ballast.unlink()
        await self.mend()

    async def demand_wal(self) -> None:
        """Begin new segments of the log until one has no room; PostgreSQL stops there."""
        conn = await asyncpg.connect(self.cluster.url("postgres"), timeout=2)
        try:
            for _ in range(20):
                await conn.execute("SELECT pg_logical_emit_message(false, 'full', repeat('x', 9))")
                await conn.execute("SELECT pg_switch_wal()")
        finally:
            conn.terminate()

    async def drop_wal(self) -> None:
        """Let go of the log of campaigns that are over: the disk is too small to keep it."""
        conn = await asyncpg.connect(self.cluster.url("postgres"), timeout=10)
        try:
            await conn.execute("CHECKPOINT")
        finally:
            await conn.close()

    async def mend(self) -> None:
        """Start again whatever has ended or was lost."""
        assert self.cache is not None
        if self.cache.poll() is not None:
            await self.start_cache()
        assert self.database is not None
        # One that has stopped by itself takes a moment to end.
        if not await postgres_is_there(self.cluster):
            self.database.kill()
            await asyncio.to_thread(self.database.wait)
            await self.start_database()

    async def end(self) -> None:
        for child, how in ((self.cache, valkey.GENTLY), (self.database, postgres.GENTLY)):
            if child is not None and child.poll() is None:
                child.send_signal(how)
                await stop(child)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1_000_000))
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))


async def postgres_is_there(cluster: postgres.Cluster) -> bool:
    """Whether it answers, soon: it may be recovering."""
    for _ in range(20):
        with suppress(*BROKEN):
            conn = await asyncpg.connect(cluster.url("postgres"), timeout=2)
            conn.terminate()
            return True
        await asyncio.sleep(0.1)
    return False


class Process:
    """A command of ours that is killed and comes back, as a supervisor has it."""

    def __init__(self, command: str, environ: dict[str, str], clock: Path | None = None) -> None:
        self._command, self._environ, self._clock = command, environ, clock
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

    def set_clock(self, hours: int) -> None:
        """Let the clock of its machine, not of the database's, be off by so much from now on."""
        assert self._clock is not None
        self._clock.write_text(f"{hours:+d}h\n")

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
    # Acts that cannot be tried here, and why.
    lacking: dict[str, str]

    @property
    def superuser_url(self) -> str:
        return self.servers.cluster.url("postgres")


@contextmanager
def small_disk(directory: Path) -> Iterator[Path | None]:
    """A file system of its own at this path; None where nobody may mount one."""
    directory.mkdir(mode=0o755)
    size = f"size={DISK_BYTES},mode=755"
    command = ["mount", "-t", "tmpfs", "-o", size, "firsthand-faults", str(directory)]
    may = os.geteuid() == 0 and shutil.which("mount") is not None
    if not may or subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield directory
    finally:
        # Lazily: a server that does not end at once must not leave it behind.
        subprocess.run(["umount", "--lazy", str(directory)], check=True)  # noqa: S607


@asynccontextmanager
async def servers(directory: Path, disk: Path | None) -> AsyncIterator[Servers]:
    with taken(directory) as place:
        found = programs(place)
        cluster = await postgres.cluster(place, found, fsync=False)
        running = Servers(place, found, cluster, disk)
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
            disk = stack.enter_context(small_disk(directory / "disk"))
            made.servers = await stack.enter_async_context(servers(directory / "disk/data", disk))
            made.lacking = _lacking(disk)
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
    made.workers = []
    for number in range(WORKERS):
        clock = directory / f"clock-{number}"
        clock.write_text("+0h\n")
        made.workers.append(Process("worker", environ | _faked(clock), clock))
    made.web = Process("web", environ)
    for process in (*made.workers, made.web):
        stack.push_async_callback(process.kill)
        await process.start()


def _lacking(disk: Path | None) -> dict[str, str]:
    lacking = {}
    if disk is None:
        lacking["disk full"] = "only root may mount a small disk"
    if FAKETIME is None:
        lacking["worker's clock jumps"] = "libfaketime is missing (Debian: faketime)"
    return lacking


def _faked(clock: Path) -> dict[str, str]:
    if FAKETIME is None:
        return {}
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        # A machine's clock may jump; what it counts seconds by does not.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


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
        "CRM_SMTP__TIMEOUT": "2",
        "CRM_SMTP__PATIENCE": "2",
        "CRM_WEB__PORT": str(made.web_port),
        "CRM_SENDING__BATCH": str(BATCH),
        "CRM_SENDING__CONNECTIONS": str(CONNECTIONS),
        "CRM_SENDING__RANGE": "150",
        "CRM_SENDING__LEASE_SECONDS": str(LEASE_SECONDS),
    }
