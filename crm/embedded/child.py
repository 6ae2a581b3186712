"""One server process: started as its user, waited for, stopped, also when it is an orphan."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from crm.embedded.place import EmbeddedRefused, Place

# Neither server tells anybody when it is ready or, as an orphan, gone: both are looked at.
LOOK_EVERY = 0.01
# A checkpoint of a full shared buffer on a slow disk takes seconds; a minute means it hangs.
STOP_SECONDS = 60.0


def launch(command: list[str | Path], place: Place, output: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that Ctrl-C reaches only us."""
    # Nothing of our environment goes along: it holds secrets, and PG* would change the server.
    environ = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    user, group = (place.uid, place.gid) if place.other_user else (None, None)
    with output.open("wb") as log:
        return subprocess.Popen(
            command,
            cwd="/",  # our own folder may be one that the service user cannot enter
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )


async def ready(child: subprocess.Popen[bytes], sign: Callable[[], bool], output: Path) -> None:
    """Wait until the server shows its sign, however long recovery takes, or has given up."""
    while not sign():
        if child.poll() is not None:
            raise EmbeddedRefused(_last_words(child, output))
        await asyncio.sleep(LOOK_EVERY)


async def ended(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end of a child; False if it still runs after so many seconds."""
    for _ in range(round(seconds / LOOK_EVERY)):
        if child.poll() is not None:
            return True
        await asyncio.sleep(LOOK_EVERY)
    return child.poll() is not None


async def stop(child: subprocess.Popen[bytes]) -> None:
    """Wait for a server already asked to end; kill it if it does not."""
    if not await ended(child, STOP_SECONDS):
        child.kill()
        await ended(child, STOP_SECONDS)


async def stop_orphan(pidfile: Path, directory: Path, how: signal.Signals) -> None:
    """End the server a killed run left behind, if the pid file still names it."""
    pid = _pid(pidfile)
    if pid is None or not _is_ours(pid, directory):
        return  # ended cleanly, or the number has long gone to somebody else
    os.kill(pid, how)
    for _ in range(round(STOP_SECONDS / LOOK_EVERY)):
        if not _is_ours(pid, directory):
            return
        await asyncio.sleep(LOOK_EVERY)
    os.kill(pid, signal.SIGKILL)


def _pid(pidfile: Path) -> int | None:
    try:
        return int(pidfile.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _is_ours(pid: int, directory: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    inside = os.fsencode(directory) + b"/"
    return any(argument.startswith(inside) for argument in arguments)


def _last_words(child: subprocess.Popen[bytes], output: Path) -> str:
    lines = output.read_text(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else f"exit status {child.returncode}"
    for line in lines:
        if "FATAL:" in line:
            reason = line.split("FATAL:", 1)[1].strip()
    return f"An embedded server did not start: {reason} (see {output})."
