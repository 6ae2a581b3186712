"""The embedded Valkey (a Redis): only wakes and counters, kept over a restart all the same."""

import contextlib
import signal
import socket
import subprocess
from pathlib import Path

from crm.embedded.child import launch, ready, stop, stop_orphan
from crm.embedded.place import Place
from crm.embedded.programs import Programs

SOCKET = "valkey.sock"
# As SHUTDOWN: the append-only file is written out and synced.
GENTLY = signal.SIGTERM


async def stop_left(place: Place) -> None:
    """End the server that a killed run left behind."""
    await stop_orphan(place.directory / "valkey" / "valkey.pid", place.directory, GENTLY)


async def start(place: Place, programs: Programs, sockets: Path) -> subprocess.Popen[bytes]:
    """Start the server after ending an orphan of it, and wait until it has read its file."""
    data = place.folder("valkey")
    await stop_left(place)
    path = sockets / SOCKET
    path.unlink(missing_ok=True)
    settings = {
        "port": "0",
        "unixsocket": path,
        "unixsocketperm": "700",
        "dir": data,
        "pidfile": data / "valkey.pid",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",  # an evicted key would be a lost wake
        "loglevel": "warning",
        # The command line has to keep naming our directory: by it an orphan is known.
        "set-proc-title": "no",
    }
    command: list[str | Path] = [programs.valkey]
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    output = place.directory / "valkey-start.log"
    child = launch(command, place, output)
    try:
        await ready(child, lambda: _answers(path), output)
    except BaseException:
        child.send_signal(GENTLY)
        await stop(child)
        raise
    return child


def url(sockets: Path) -> str:
    """Give the address of the server; the folder of the socket is its only door."""
    return f"unix://{sockets / SOCKET}"


def _answers(path: Path) -> bool:
    """Whether it answers PING: while it still reads its file, it says -LOADING."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as door:
        door.settimeout(1)
        door.connect(str(path))
        door.sendall(b"PING\r\n")
        return door.recv(16).startswith(b"+PONG")
    return False
