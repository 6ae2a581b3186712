"""Commands as an operator runs them: each in a process of its own, with settings and no others.

To import the program takes longer than most commands run: one process has done so, and each command
is a fork of it.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from crm import parent
from crm.cli import main
from tests.conftest import KEYS

_FORKS = multiprocessing.get_context("forkserver")
# The runner of the tests is a module of the fork as well.
_FORKS.set_forkserver_preload(["__main__", __name__])
_GRACE = 20.0
# What an installation that has servers of its own needs beside their addresses.
SECRETS = {
    "CRM_LINK_KEYS": f"1:{KEYS.pepper.hex()}",
    "CRM_STORAGE_KEYS": f"1:{KEYS.pepper.hex()}",
    "CRM_PEPPER": KEYS.pepper.hex(),
    "CRM_JOURNAL": str(Path(tempfile.gettempdir()) / "fh-journal"),
}
_ELSEWHERE = '"event": "journal_does_not_fit"'


def forked(work: Callable[..., object], *args: object) -> BaseProcess:
    """Start a process that does this, and has the program imported already."""
    running = _FORKS.Process(target=work, args=args)
    running.start()
    return running


async def ended(running: BaseProcess, seconds: float | None = None) -> int | None:
    """Wait until a process has ended, for so long at most; return its exit status."""
    await asyncio.to_thread(running.join, seconds)
    return running.exitcode


_ELSEWHERE = '"event": "journal_does_not_fit"'


async def crm(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run a command to its end; give its exit status and what it wrote.

    That a journal does not fit is left out: on the servers that tests share, those of the other
    tests' businesses are elsewhere.
    """
    status, out, err = await crm_alone(*arguments, **settings)
    said = [line for line in err.splitlines(keepends=True) if _ELSEWHERE not in line]
    return status, out, "".join(said)


async def crm_alone(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Do the same on servers that no other test uses, and leave nothing out."""
    return await asyncio.to_thread(_told, arguments, _environ(settings))


def _told(arguments: tuple[str, ...], environ: dict[str, str]) -> tuple[int, str, str]:
    with tempfile.TemporaryDirectory(prefix="fh-") as written:
        out, err = Path(written, "out"), Path(written, "err")
        running = forked(_run, arguments, environ, out, err)
        running.join()
        assert running.exitcode is not None
        return running.exitcode, out.read_text(), err.read_text()


def logged(err: str) -> set[str]:
    """Name the events that a command logged to standard error, where it said nothing else."""
    return {json.loads(line)["event"] for line in err.splitlines()}


@asynccontextmanager
async def process(
    *arguments: str, environ: dict[str, str], log: Path | None = None
) -> AsyncIterator[BaseProcess]:
    """Run a command that goes on, until the block ends; then ask it to stop, and insist later.

    What it says is added to a file, or is seen where the tests are.
    """
    running = forked(_run, arguments, _environ(environ), log, log)
    try:
        yield running
    finally:
        running.terminate()
        if await ended(running, _GRACE) is None:
            running.kill()
            await ended(running)


def _environ(settings: dict[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    return plain | settings


def _run(
    arguments: tuple[str, ...], environ: dict[str, str], out: Path | None, err: Path | None
) -> None:
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        if path is not None:
            with path.open("ab") as file:
                os.dup2(file.fileno(), stream.fileno())
    os.environ.clear()
    # Its parent is whom it was forked from, which ends with the tests.
    os.environ.update(dict.fromkeys(parent.named(), str(os.getppid())) | environ)
    # Where temporary files go is a setting as well.
    tempfile.tempdir = None
    sys.argv = ["crm", *arguments]
    main()
