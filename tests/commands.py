"""Commands as an operator runs them: each in a process of its own, with settings and no others.

To import the program takes longer than most commands run: one process has done so, and each command
is a fork of it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from crm.cli import main
from crm.terminal import out as terminal
from tests.conftest import KEYS

_FORKS = multiprocessing.get_context("forkserver")
# The runner of the tests is a module of the fork as well.
_FORKS.set_forkserver_preload(["__main__", __name__])
# What an installation that has servers of its own needs beside their addresses.
SECRETS = {
    "CRM_LINK_KEYS": f"1:{KEYS.pepper.hex()}",
    "CRM_STORAGE_KEYS": f"1:{KEYS.pepper.hex()}",
    "CRM_PEPPER": KEYS.pepper.hex(),
    "CRM_JOURNAL": str(Path(gettempdir()) / "fh-journal"),
}


async def crm(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run a command to its end; give its exit status and what it wrote."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    return await asyncio.to_thread(_ended, arguments, plain | settings)


def _ended(arguments: tuple[str, ...], environ: dict[str, str]) -> tuple[int, str, str]:
    with TemporaryDirectory(prefix="fh-") as written:
        out, err = Path(written, "out"), Path(written, "err")
        running = _FORKS.Process(target=_run, args=(arguments, environ, out, err))
        running.start()
        running.join()
        assert running.exitcode is not None
        return running.exitcode, out.read_text(), err.read_text()


def _run(arguments: tuple[str, ...], environ: dict[str, str], out: Path, err: Path) -> None:
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(environ)
    terminal.width = 200
    sys.argv = ["crm", *arguments]
    main()
