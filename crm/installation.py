"""Which servers a command works with: those configured, or embedded ones in a directory.

Without `CRM_DATABASE_URL` and `CRM_REDIS_URL` both servers are embedded. The first command starts
them and notes their addresses beside the data, and the secrets and the journal it works with; a
later one, while the first runs, works with the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from msgspec import Struct

from crm.embedded import LOCK, EmbeddedRefused, default_directory, embedded
from crm.migrate import migrate
from crm.settings import BadSettings, Settings

_RUNNING = "running.json"
_SECRETS = "secrets.json"
_SERVERS = ("CRM_DATABASE_URL", "CRM_REDIS_URL")
# What has to be the same for all who work on the same data, and what of it counts.
_DECODED: dict[str, Callable[[Settings], object]] = {
    "CRM_LINK_KEYS": lambda settings: settings.keys().link_keys,
    "CRM_STORAGE_KEYS": lambda settings: settings.keys().storage_keys,
    "CRM_PEPPER": lambda settings: settings.keys().pepper,
    "CRM_JOURNAL": lambda settings: Path(settings.journal).resolve(),
}


class Installation(Struct, frozen=True):
    """Settings, and the variables that give them to another process of ours."""

    settings: Settings
    environ: dict[str, str]
    directory: Path | None

    def __repr__(self) -> str:
        """Show no address with its password."""
        return "Installation(…)"


@asynccontextmanager
async def installation(
    environ: Mapping[str, str], *, directory: Path | None = None, join: bool = False
) -> AsyncIterator[Installation]:
    """Give the configured servers, or run embedded ones, migrated, until the block ends.

    With `join`, embedded servers that another command runs already are used as they are; other
    secrets or another journal than that command has are refused.
    """
    given = {name: value for name, value in environ.items() if name.startswith("CRM_")}
    configured = [name for name in _SERVERS if given.get(name) or f"{name}_FILE" in given]
    if len(configured) == 1:
        message = f"{configured[0]} is set without the other of {' and '.join(_SERVERS)}."
        raise BadSettings(f"{message} Set both, or neither to use embedded servers.")
    if configured:
        yield Installation(Settings.read(given), given, None)
        return
    place = directory or default_directory(environ)
    running = _noted(place) if join else None
    if running is not None:
        yield _beside(running, given, place)
        return
    async with embedded(place) as servers:
        own = _secrets(place) | {
            "CRM_DATABASE_URL": servers.database_url,
            "CRM_MIGRATE_DATABASE_URL": servers.migrate_database_url,
            "CRM_REDIS_URL": servers.redis_url,
            "CRM_JOURNAL": str(place / "journal"),
        }
        environ = _over(own, given)
        settings = Settings.read(environ)
        await migrate(servers.migrate_database_url)
        _write(place / _RUNNING, _in_force(settings, own))
        try:
            yield Installation(settings, environ, place)
        finally:
            with suppress(FileNotFoundError):
                (place / _RUNNING).unlink()


def _over(own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Let what is given go before what is ours, but for names that are given empty."""
    # A copy of deploy/env.example gives them all, and leaves empty what is ours to fill in.
    return {**own, **{name: value for name, value in given.items() if value or name not in own}}


def _in_force(settings: Settings, own: Iterable[str]) -> dict[str, str]:
    """Tell what a command works with, whether it was ours, given, or given as a file."""
    values = {name: str(getattr(settings, name.removeprefix("CRM_").lower())) for name in own}
    # Whoever joins may be somewhere else.
    return values | {"CRM_JOURNAL": str(Path(settings.journal).resolve())}


def _beside(running: dict[str, str], given: dict[str, str], place: Path) -> Installation:
    """Work with what the running command has, or refuse where something else was asked for."""
    kept = {name: value for name, value in given.items() if _plain(name) not in running}
    theirs = Settings.read(kept | running)
    ours = Settings.read(_over(running, given))
    if others := [name for name, of in _DECODED.items() if of(ours) != of(theirs)]:
        message = f"The command that runs on {place} works with another {' and '.join(others)}"
        raise BadSettings(f"{message}: give what it was started with, or nothing.")
    return Installation(theirs, kept | running, place)


def _plain(name: str) -> str:
    return name.removesuffix("_FILE")


def _noted(place: Path) -> dict[str, str] | None:
    """Read what a running command noted; without its lock, the note is of one that is gone."""
    try:
        noted: dict[str, str] = json.loads((place / _RUNNING).read_text())
        with (place / LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return noted
    except (OSError, ValueError):
        return None
    return None


def _secrets(place: Path) -> dict[str, str]:
    """Keep secrets beside the data: each made once, readable by nobody else."""
    path = place / _SECRETS
    kept: dict[str, str] = {}
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as wrong:
        message = f"{path} cannot be read; it holds the secrets of this directory's data."
        raise EmbeddedRefused(message) from wrong
    made = {
        "CRM_LINK_KEYS": f"1:{secrets.token_hex(32)}",
        "CRM_STORAGE_KEYS": f"1:{secrets.token_hex(32)}",
        "CRM_PEPPER": secrets.token_hex(32),
    } | kept
    if made != kept:
        _write(path, made)
    return made


def _write(path: Path, values: dict[str, str]) -> None:
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
