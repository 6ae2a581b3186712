"""The other end of a send: Debian's smtp-sink or our own, and smtp-source as the ceiling."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from crm.bench.stage import CONNECTIONS, free_port
from crm.up import stop

_FOLDERS = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_SOURCE = Path(__file__).with_name("sink.c")
_LOOK = 0.02
_TRIES = 500


class Relay(Struct, frozen=True):
    """A running sink."""

    port: int
    what: str


class Failed(Exception):
    """A program that a measurement needs did not do its work."""


class NoCompiler(Failed):
    """There is no C compiler for the fast sink; install one (Debian: gcc)."""


def program(name: str) -> str | None:
    """Find a program of the system, also where an ordinary user's PATH does not look."""
    return shutil.which(name, path=_FOLDERS)


@asynccontextmanager
async def sink() -> AsyncIterator[Relay]:
    """Run Debian's sink until the block ends, or our own where there is none."""
    port, found = free_port(), program("smtp-sink")
    if found is None:
        async with _running(_ours_in_python(port), Relay(port, "our own sink, in Python")) as relay:
            yield relay
        return
    as_root = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [found, *as_root, f"127.0.0.1:{port}", "500"]
    async with _running(command, Relay(port, "smtp-sink")) as relay:
        yield relay


@asynccontextmanager
async def fast_sink(directory: Path, *, delay: float = 0) -> AsyncIterator[Relay]:
    """Run a sink that is not the limit until the block ends; it answers `delay` seconds late.

    Needs a C compiler, and raises NoCompiler where there is none.
    """
    port, binary = free_port(), directory / "sink"
    if not binary.exists():
        await _compiled(binary)
    command = [str(binary), str(port), str(round(delay * 1_000_000))]
    async with _running(command, Relay(port, "our own sink, in C")) as relay:
        yield relay


@asynccontextmanager
async def tls_sink(certificate: Path | None) -> AsyncIterator[Relay]:
    """Run our sink in Python, which offers STARTTLS where it has a certificate with its key."""
    port = free_port()
    command = _ours_in_python(port) + ([str(certificate)] if certificate else [])
    async with _running(command, Relay(port, "our own sink, in Python")) as relay:
        yield relay


def _ours_in_python(port: int) -> list[str]:
    return [sys.executable, "-m", "crm.bench.sink", str(port)]


@asynccontextmanager
async def _running(command: Sequence[str], relay: Relay) -> AsyncIterator[Relay]:
    running = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        await answers(relay.port)
        yield relay
    finally:
        await stop(running)


async def _compiled(binary: Path) -> None:
    compiler = program("cc")
    if compiler is None:
        raise NoCompiler
    command = [compiler, "-O2", "-Wall", "-o", str(binary), str(_SOURCE)]
    running = await asyncio.create_subprocess_exec(*command)
    if await running.wait():
        message = f"{compiler} cannot compile {_SOURCE.name}"
        raise Failed(message)


async def smtp_source(
    relay: Relay, messages: int, size: int, connections: int = CONNECTIONS
) -> float:
    """Let smtp-source send messages of this size; return how many a second."""
    command = [program("smtp-source") or "smtp-source", "-s", str(connections), "-m", str(messages)]
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
