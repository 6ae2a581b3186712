"""The stage of the demo: an empty directory, servers, a letterbox, web and worker."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from crm import parent
from crm.db import Database, open_database
from crm.demo import browser
from crm.demo.browser import Unexpected
from crm.demo.mailbox import Mailbox
from crm.embedded import clear, default_directory
from crm.installation import installation
from crm.journal import Keeper, journal_of
from crm.settings import BadSettings, Settings
from crm.up import process, stop
from crm.wakes import Waker, open_pool

_PREFERRED = 8000
_POLL = 0.05
_PATIENCE = 30.0
_SERVERS = ("CRM_DATABASE_URL", "CRM_REDIS_URL", "CRM_DATABASE_URL_FILE", "CRM_REDIS_URL_FILE")


class Stage(Struct, frozen=True):
    """Everything runs."""

    directory: Path
    settings: Settings
    database: Database
    mailbox: Mailbox
    origin: str
    worker: int

    def worker_peak_rss_mb(self) -> float:
        """Read the most memory the worker ever held, from the kernel's own account of it."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


def directory() -> Path:
    """Return the demo's own directory; no other data is ever there."""
    if any(name in os.environ for name in _SERVERS):
        message = (
            "The demo starts from an empty directory of its own and never uses configured servers: "
            "unset CRM_DATABASE_URL and CRM_REDIS_URL for it."
        )
        raise BadSettings(message)
    return default_directory(os.environ) / "demo"


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Empty the directory, start everything, stop everything at the end."""
    place = directory()
    place.parent.mkdir(parents=True, exist_ok=True)
    await clear(place)
    async with (
        _letterbox(place / "letterbox") as (mailbox, smtp_port),
        installation(_environ(smtp_port), directory=place) as here,
    ):
        port = here.settings.web.port
        async with (
            process("web", environ=here.environ),
            process("worker", environ=here.environ) as worker,
        ):
            origin = f"http://localhost:{port}"
            await _answers(f"http://127.0.0.1:{port}/health")
            pool = open_pool(here.settings.redis_url)
            keys = here.settings.keys()
            async with open_database(
                here.settings.database_url,
                keys,
                wake=Waker(pool),
                keep=Keeper(journal_of(here.settings)),
                size=4,
            ) as database:
                yield Stage(place, here.settings, database, mailbox, origin, worker.pid)
            await pool.aclose()


def _environ(smtp_port: int) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if name.startswith("CRM_")}
    given |= {
        "CRM_LOG_LEVEL": "warning",
        "CRM_SMTP__HOST": "127.0.0.1",
        "CRM_SMTP__PORT": str(smtp_port),
        "CRM_WEB__HOST": "127.0.0.1",
        "CRM_WEB__PORT": given.get("CRM_WEB__PORT") or str(_port()),
    }
    given.pop("CRM_DATA", None)
    return given


def _port() -> int:
    """Take the usual port, or any where that one is in use."""
    for wanted in (_PREFERRED, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    message = "no TCP port is free on this machine"
    raise Unexpected(message)


@asynccontextmanager
async def _letterbox(directory: Path) -> AsyncIterator[tuple[Mailbox, int]]:
    await asyncio.to_thread(directory.mkdir, parents=True)
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "crm.letterbox",
        str(directory),
        env=os.environ | parent.named(),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert running.stdout is not None  # noqa: S101  (we asked for the pipe)
        ports = json.loads(await running.stdout.readline())
        mailbox = Mailbox(f"http://127.0.0.1:{ports['http_port']}", directory / "letterbox.jsonl")
        yield mailbox, int(ports["smtp_port"])
    finally:
        await stop(running)


async def _answers(url: str) -> None:
    for _ in range(int(_PATIENCE / _POLL)):
        try:
            if (await browser.get(url)).status == 200:  # noqa: PLR2004  (OK)
                return
        except OSError:
            pass
        await asyncio.sleep(_POLL)
    message = f"the web process did not come up within {_PATIENCE:.0f} seconds"
    raise Unexpected(message)
