"""Both embedded servers, running for as long as a block does."""

import asyncio
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from crm.embedded import postgres, valkey
from crm.embedded.child import stop
from crm.embedded.place import LOCK, EmbeddedRefused, Place, taken
from crm.embedded.programs import programs


class Embedded(Struct, frozen=True):
    """The addresses of the running servers, passwords included: never to be logged."""

    directory: Path
    database_url: str
    migrate_database_url: str
    superuser_database_url: str
    redis_url: str

    def __repr__(self) -> str:
        """Name the directory only."""
        return f"Embedded({str(self.directory)!r})"


class _Running(Struct):
    """What has been started so far, and the signal that ends each gently."""

    children: list[tuple[subprocess.Popen[bytes], signal.Signals]]

    async def stop(self) -> None:
        for child, gently in self.children:  # both at once, then wait for both
            child.send_signal(gently)
        for child, _ in self.children:
            await stop(child)


async def clear(directory: Path) -> None:
    """Delete all data in a directory, ending what a killed run left; refused while it is in use."""
    with taken(directory) as place:
        await postgres.stop_left(place)
        await valkey.stop_left(place)
        await asyncio.to_thread(_empty, directory)


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        # The copy of the programs is no data, and takes a second to make.
        if path.name == LOCK or path.name.startswith("programs-"):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@asynccontextmanager
async def embedded(directory: Path, *, fsync: bool = True) -> AsyncIterator[Embedded]:
    """Run PostgreSQL and Valkey in a directory of their own, made and recovered as needed.

    Without fsync a crash of the system (not of a process) may cost the data: for tests only.
    """
    with taken(directory) as place:
        running = _Running([])
        try:
            try:
                addresses = await _started(place, running, fsync=fsync)
            except OSError as error:
                what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
                message = f"The embedded servers cannot run in {place.directory}: {what}."
                raise EmbeddedRefused(message) from error
            yield addresses
        finally:
            await running.stop()
            place.tidy()


async def _started(place: Place, running: _Running, *, fsync: bool) -> Embedded:
    found = programs(place)
    cluster = await postgres.cluster(place, found, fsync=fsync)
    cache = await valkey.start(place, found, cluster.sockets)
    running.children.append((cache, valkey.GENTLY))
    database = await postgres.start(cluster, found, fsync=fsync)
    running.children.append((database, postgres.GENTLY))
    await postgres.prepare(cluster)
    return Embedded(
        directory=place.directory,
        database_url=cluster.url("crm_app"),
        migrate_database_url=cluster.url("crm_owner"),
        superuser_database_url=cluster.url("postgres", "postgres"),
        redis_url=valkey.url(cluster.sockets),
    )
