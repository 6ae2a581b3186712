"""`crm webhook`: where events are told to, how it goes there, and once more by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import rich_click as click
from rich.table import Table

from crm import webhooks
from crm.db import ReadDb
from crm.errors import NotFound
from crm.events import Actor
from crm.terminal import joined_for, of_business, out, run, show
from crm.webhooks import Endpoint

_SYSTEM = Actor.system()
_endpoint = click.argument("endpoint")


@click.group("webhook")
def group() -> None:
    """List endpoints that events are told to, switch them, and tell things once more."""


@group.command("list")
@of_business
def list_command(which: str) -> None:
    """List the endpoints, how much waits for each, and how it goes there."""
    run(_list(which))


async def _list(which: str) -> None:
    table = Table("id", "name", "at", "waiting", "not acknowledged", "state")
    async with joined_for(which) as here, here.database.read(here.business_id) as db:
        for each in await webhooks.endpoints(db):
            counts = str(each.waiting), str(each.unacknowledged)
            table.add_row(str(each.id), each.name, each.url, *counts, _state(each))
    if table.row_count:
        show(table)
    else:
        out.print("Events are told to nobody.")


def _state(endpoint: Endpoint) -> str:
    if not endpoint.is_on:
        return f"off: {endpoint.off_why}"
    return f"not taken {endpoint.failures} times" if endpoint.failures else "on"


@group.command("off")
@_endpoint
@of_business
def switch_off(endpoint: str, which: str) -> None:
    """Send nothing there any more; what happens meanwhile waits."""
    run(_switch(endpoint, which, on=False))


@group.command("on")
@_endpoint
@of_business
def switch_on(endpoint: str, which: str) -> None:
    """Tell it events again, from what has waited on."""
    run(_switch(endpoint, which, on=True))


async def _switch(endpoint: str, which: str, *, on: bool) -> None:
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        await webhooks.switch(db, _SYSTEM, await _named(db, endpoint), on=on)
    out.print(f"{endpoint} is {'on' if on else 'off'}.")


@group.command("test")
@_endpoint
@of_business
def test(endpoint: str, which: str) -> None:
    """Have a test event told to one endpoint; a worker does it within seconds."""
    run(_test(endpoint, which))


async def _test(endpoint: str, which: str) -> None:
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        await webhooks.try_out(db, _SYSTEM, await _named(db, endpoint))
    out.print("On its way; `crm webhook list` says how it went.")


@group.command("replay")
@_endpoint
@click.option("--since", type=click.DateTime(), required=True, help="In UTC.")
@of_business
def replay(endpoint: str, since: datetime, which: str) -> None:
    """Tell everything since an instant once more, in its order and under the same ids."""
    run(_replay(endpoint, since.replace(tzinfo=UTC), which))


async def _replay(endpoint: str, since: datetime, which: str) -> None:
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        await webhooks.replay_since(db, _SYSTEM, await _named(db, endpoint), since)
    out.print(f"Everything since {since:%Y-%m-%d %H:%M} UTC is told once more.")


async def _named(db: ReadDb, endpoint: str) -> UUID:
    """Find an endpoint by its id or by its name, where only one has it."""
    known = await webhooks.endpoints(db)
    found = [each.id for each in known if endpoint in {str(each.id), each.name}]
    if len(found) == 1:
        return found[0]
    if found:
        message = f"Several are called {endpoint}; say which by its id (`crm webhook list`)."
        raise NotFound(message)
    message = f"There is no endpoint called {endpoint}; `crm webhook list` lists them."
    raise NotFound(message)
