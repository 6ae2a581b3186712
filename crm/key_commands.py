"""`crm key`: what programs sign in with, made and ended by hand."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
import rich_click as click
from rich.table import Table

from crm import staff
from crm.errors import NotFound
from crm.events import Actor
from crm.staff import NewKey, Scope
from crm.terminal import joined_for, of_business, out, run, show

_SYSTEM = Actor.system()
_SCOPES = [str(scope) for scope in Scope]


@click.group("key")
def group() -> None:
    """List, add and revoke the keys that programs call the API with."""


@group.command("list")
@of_business
def list_command(which: str) -> None:
    """List the keys: what each may do, and until when."""
    run(_list(which))


async def _list(which: str) -> None:
    table = Table(
        "id",
        "name",
        "reason",
        "scopes",
        "last used",
        "works",
    )
    async with joined_for(which) as here, here.database.read(here.business_id) as db:
        for each in await staff.api_keys(db):
            scopes = "every one" if len(each.scopes) == len(Scope) else "\n".join(each.scopes)
            used = _day(each.last_used_at) or "never"
            table.add_row(str(each.id), each.name, each.reason, scopes, used, _works(each))
    if table.row_count:
        show(table)
    else:
        out.print("There are no keys; `crm key add` makes one.")


def _works(key: staff.Key) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return f"until {_day(key.expires_at)}" if key.expires_at else "until it is revoked"


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d}" if at else ""


@group.command("add")
@click.argument("name")
@click.option("--reason", required=True, help="Why it reads records; customers can see it.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(_SCOPES), help="Once for each.")
@click.option("--every-scope", is_flag=True, help="It may do whatever a key can.")
@click.option("--days", type=click.IntRange(1, 3650), help="How long it works.  [default: always]")
@of_business
def add(
    which: str,
    name: str,
    reason: str,
    days: int | None,
    *,
    scopes: tuple[str, ...],
    every_scope: bool,
) -> None:
    """Make a key, and print its text, which is shown this once."""
    wanted = list(Scope) if every_scope else [Scope(scope) for scope in scopes]
    if not wanted:
        message = "Say what it may do: --scope customers:read, once for each, or --every-scope."
        raise click.UsageError(message)
    given = {"name": name, "reason": reason, "scopes": wanted, "days": days}
    try:
        new = msgspec.convert(given, NewKey)
    except msgspec.ValidationError as wrong:
        raise click.UsageError(str(wrong)) from None
    run(_add(which, new))


async def _add(which: str, new: NewKey) -> None:
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        _, text = await staff.add_key(db, _SYSTEM, new)
    click.echo(text)


@group.command("revoke")
@click.argument("key")
@of_business
def revoke(key: str, which: str) -> None:
    """End a key, from its next request on."""
    run(_revoke(key, which))


async def _revoke(key: str, which: str) -> None:
    try:
        key_id = UUID(key)
    except ValueError:
        message = "A key is named by its id, as `crm key list` shows it."
        raise NotFound(message) from None
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        ended = await staff.revoke_key(db, _SYSTEM, key_id)
    out.print(f"{ended.name} is revoked.")
