"""Runs web and worker as processes of their own, and keeps them running."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from crm import parent
from crm.db import SQL

_GRACE = 20.0
_PAUSES = (0.5, 1, 2, 5, 10)
_LOOK_SECONDS = 1.0
# What ran so long was no failure to start.
_STEADY = 60.0


@asynccontextmanager
async def process(
    *arguments: str, environ: Mapping[str, str], stdout: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command of ours until the block ends; then ask it to stop, and insist after a while."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "crm",
        *arguments,
        env=_plain(os.environ) | dict(environ) | parent.named(),
        stdout=stdout,
        # Ctrl-C is for whoever runs the block; it then stops each in turn.
        start_new_session=True,
    )
    try:
        yield running
    finally:
        await stop(running)


async def stop(running: asyncio.subprocess.Process) -> None:
    """End a process gently, or after a while not."""
    with suppress(ProcessLookupError):
        running.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE):
            await running.wait()
    except TimeoutError:
        running.kill()
        await running.wait()


async def keep(*command: str, environ: Mapping[str, str], watch: bool = False) -> None:
    """Run a command again whenever it ends, and with `watch` whenever our own files change."""
    clock = asyncio.get_running_loop().time
    in_a_row = 0
    while True:
        began = clock()
        async with process(*command, environ=environ) as running:
            ended = asyncio.create_task(running.wait())
            changed = asyncio.create_task(_changed() if watch else _never())
            try:
                await asyncio.wait({ended, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                again_at_once = changed.done()
                ended.cancel()
                changed.cancel()
        if again_at_once:
            continue
        in_a_row = 1 if clock() - began > _STEADY else in_a_row + 1
        await asyncio.sleep(_PAUSES[min(in_a_row, len(_PAUSES)) - 1])


async def keep_several(many: int, *command: str) -> None:
    """Keep so many of a command running, each with the settings of this process."""
    environ = {name: value for name, value in os.environ.items() if name.startswith("CRM_")}
    async with asyncio.TaskGroup() as group:
        for _ in range(many):
            group.create_task(keep(*command, environ=environ))


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave settings out: the installation gives all of them."""
    return {name: value for name, value in environ.items() if not name.startswith("CRM_")}


async def _changed() -> None:
    before = await asyncio.to_thread(_newest)
    # Files change without an event that the stdlib could wait for.
    while await asyncio.to_thread(_newest) == before:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)


async def _never() -> None:
    await asyncio.Event().wait()


def _newest() -> float:
    package = Path(__file__).resolve().parent
    files = [*package.rglob("*.py"), *package.rglob("*.html"), *SQL.rglob("*.sql")]
    return max(path.stat().st_mtime for path in files)
