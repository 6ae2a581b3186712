"""`crm backup`: seal a dump on its way out, and open it on its way back; needs no server."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import rich_click as click

from crm.sealed import KEY_SIZE, made_at, opened, sealed
from crm.settings import LONGEST_DAYS, Settings, alone

_SETTING = "CRM_BACKUP_DAYS"
_USUAL = Settings(link_keys="", storage_keys="", pepper="").backup_days


@click.group("backup")
def group() -> None:
    """Encrypt backups, and decrypt them."""


_key = click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The file that `crm backup key` made.",
)


@group.command("key")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def key(path: Path) -> None:
    """Make a key for backups; keep it apart from them, and from the database."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        message = f"{path} is there already; without it no backup of before can be opened."
        raise click.ClickException(message) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{os.urandom(KEY_SIZE).hex()}\n")


@group.command("seal")
@_key
def seal(key: Path) -> None:
    """Encrypt standard input to standard output."""
    for piece in sealed(sys.stdin.buffer, _secret(key), datetime.now(UTC)):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@group.command("open")
@_key
@click.option(
    "--older-than-days",
    "days",
    type=click.IntRange(0, LONGEST_DAYS),
    show_default=f"{_SETTING}, else {_USUAL}",
    help="Refuse a backup made longer ago: it should have been deleted.",
)
def open_command(key: Path, days: int | None) -> None:
    """Decrypt standard input to standard output; it fails unless all of it is whole."""
    if days is None:
        given: int | None = alone(_SETTING, os.environ)
        days = _USUAL if given is None else given
    made, line = made_at(sys.stdin.buffer)
    if datetime.now(UTC) - made > timedelta(days=days):
        message = (
            f"This backup was made at {made:%Y-%m-%d}, more than {days} days ago. It holds people "
            "who were told that they are gone from backups too."
        )
        raise click.ClickException(message)
    for piece in opened(sys.stdin.buffer, _secret(key), line):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _secret(path: Path) -> bytes:
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except ValueError:
        secret = b""
    if len(secret) != KEY_SIZE:
        message = f"{path} is no key; `crm backup key` makes one."
        raise click.ClickException(message)
    return secret
