"""Which servers a command works with: those configured, or embedded ones in a directory.

Without `CRM_DATABASE_URL` and `CRM_REDIS_URL` both servers are embedded. The first command starts
them and notes their addresses beside the data; a later one, while the first runs, uses the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from msgspec import Struct

from crm.embedded import LOCK, EmbeddedRefused, default_directory, embedded
from crm.migrate import migrate
from crm.settings import BadSettings, Settings

_RUNNING = "running.json"
_SECRETS = "secrets.json"
_SERVERS = ("CRM_DATABASE_URL", "CRM_REDIS_URL")


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

    With `join`, embedded servers that another command runs already are used as they are.
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
        yield Installation(Settings.read(given | running), given | running, place)
        return
    async with embedded(place) as servers:
        own = _secrets(place) | {
            "CRM_DATABASE_URL": servers.database_url,
            "CRM_MIGRATE_DATABASE_URL": servers.migrate_database_url,
            "CRM_REDIS_URL": servers.redis_url,
            "CRM_JOURNAL": str(place / "journal"),
        }
        environ = own | given
        settings = Settings.read(environ)
        await migrate(servers.migrate_database_url)
        _write(place / _RUNNING, own)
        try:
            yield Installation(settings, environ, place)
        finally:
            with suppress(FileNotFoundError):
                (place / _RUNNING).unlink()


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
