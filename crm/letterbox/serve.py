"""The letterbox as a process: SMTP and HTTP side by side until it is told to stop."""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvicorn
from msgspec import Struct

from crm import parent
from crm.letterbox.log import Log
from crm.letterbox.page import make_app
from crm.letterbox.smtp import Counter, Server

HOST = "127.0.0.1"


class Ready(Struct, frozen=True):
    """Where it listens, once it does."""

    smtp_port: int
    http_port: int


class _Http(uvicorn.Server):
    """uvicorn without its own grip on the process's signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Whoever runs us decides."""
        yield


async def serve(
    directory: Path,
    smtp_port: int = 0,
    http_port: int = 0,
    pace: float | None = None,
    ready: Callable[[Ready], None] | None = None,
) -> None:
    """Catch mail until cancelled; port 0 takes a free one, `pace` is in messages per second."""
    with Log(directory) as log, socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, http_port))
        counter = Counter(log, pace)
        smtp = Server(counter)
        http = _Http(
            uvicorn.Config(
                make_app(log, counter, lambda: smtp.port),
                log_config=None,
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        await smtp.open(smtp_port)
        serving = asyncio.ensure_future(http.serve(sockets=[listener]))
        try:
            if ready is not None:
                ready(Ready(smtp.port, listener.getsockname()[1]))
            await asyncio.shield(serving)
        finally:
            await smtp.close()
            http.should_exit = True
            await serving


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; the first line on stdout is JSON with the two ports."""
    parser = argparse.ArgumentParser(prog="python -m crm.letterbox", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the log and the mail are kept")
    parser.add_argument("--smtp-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--http-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--pace", type=float, default=None, help="messages per second at most")
    given = parser.parse_args(argv)
    if given.pace is not None and given.pace <= 0:
        parser.error("--pace is a number of messages per second above 0")
    asyncio.run(_until_told(given))


async def _until_told(given: argparse.Namespace) -> None:
    task = asyncio.ensure_future(
        serve(given.directory, given.smtp_port, given.http_port, given.pace, _print)
    )
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, task.cancel)
    watching = asyncio.ensure_future(parent.end_with_parent())
    await asyncio.wait([task])
    watching.cancel()
    if not task.cancelled():
        task.result()


def _print(ready: Ready) -> None:
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
