"""The other end of a send: Debian's smtp-sink or our own, and smtp-source as the ceiling."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from crm.bench.stage import CONNECTIONS, free_port
from crm.up import stop

_FOLDERS = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_LOOK = 0.02
_TRIES = 500


class Relay(Struct, frozen=True):
    """A running sink."""

    port: int
    what: str


class Failed(Exception):
    """A program that a measurement needs did not do its work."""


def program(name: str) -> str | None:
    """Find a program of the system, also where an ordinary user's PATH does not look."""
    return shutil.which(name, path=_FOLDERS)


@asynccontextmanager
async def sink() -> AsyncIterator[Relay]:
    """Run a sink until the block ends."""
    port, found = free_port(), program("smtp-sink")
    if found is None:
        command = [sys.executable, "-m", "crm.bench.sink", str(port)]
    else:
        as_root = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [found, *as_root, f"127.0.0.1:{port}", "500"]
    running = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    try:
        await answers(port)
        yield Relay(port, "smtp-sink" if found else "our own sink")
    finally:
        await stop(running)


async def smtp_source(relay: Relay, messages: int, size: int) -> float:
    """Let smtp-source send messages of this size; return how many a second."""
    command = [program("smtp-source") or "smtp-source", "-s", str(CONNECTIONS), "-m", str(messages)]
    command += ["-l", str(size), "-f", "letter@corner-bakery.example", "-t", "reader@example.com"]
    began = time.monotonic()
    running = await asyncio.create_subprocess_exec(*command, f"127.0.0.1:{relay.port}")
    if await running.wait():
        message = f"smtp-source ended with {running.returncode}"
        raise Failed(message)
    return messages / (time.monotonic() - began)


async def answers(port: int) -> None:
    """Wait until somebody listens on a port of this machine."""
    for _ in range(_TRIES):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            # A program that is not ours tells nobody when it listens.
            await asyncio.sleep(_LOOK)
            continue
        writer.close()
        await writer.wait_closed()
        return
    message = f"nothing came up on port {port}"
    raise Failed(message)
