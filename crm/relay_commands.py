"""`crm relay`: by which servers a business's mail goes."""

from __future__ import annotations

from typing import Any, TextIO
from uuid import UUID

import rich_click as click
from rich.table import Table

from crm import businesses
from crm.db import ReadDb
from crm.errors import NotFound
from crm.events import Actor
from crm.mail import relays
from crm.mail.pacing import day_of
from crm.mail.relays import NewRelay, Relay
from crm.mail.trying import try_relay
from crm.terminal import joined_for, of_business, out, run, show

_SYSTEM = Actor.system()
_TLS = ("starttls", "implicit", "none")
_relay = click.argument("relay")


@click.group("relay")
def group() -> None:
    """List, add, check and switch off the relays that mail goes by."""


@group.command("list")
@of_business
def list_command(which: str) -> None:
    """List the relays, and what is wrong with those that are away."""
    run(_list(which))


async def _list(which: str) -> None:
    table = Table("id", "name", "at", "share", "sends from", "state")
    async with joined_for(which) as here, here.database.read(here.business_id) as db:
        for each in await relays.all_of(db):
            at = f"{each.host}:{each.port} {each.tls}"
            sends_from = ", ".join(each.sends_from) or "not known"
            table.add_row(str(each.id), each.name, at, str(each.weight), sends_from, _state(each))
    if table.row_count:
        show(table)
    else:
        out.print("None of its own: mail goes by the relay of the installation.")


def _state(relay: Relay) -> str:
    if not relay.active:
        return "off"
    return f"away: {relay.trouble}" if relay.trouble else "used"


@group.command("add")
@click.argument("name")
@click.argument("host")
@click.option("--port", default=587, show_default=True)
@click.option("--tls", type=click.Choice(_TLS), default="starttls", show_default=True)
@click.option("--user", "username", default="", help="Where the relay wants to be signed in to.")
@click.option(
    "--password-file",
    type=click.File(),
    help="The password is its first line; - reads standard input. Without, it is asked for.",
)
@click.option("--hello", default="", help="What we call ourselves there, else the installation's.")
@click.option("--weight", default=1, show_default=True, help="Its share; 0 stands in only.")
@click.option("--connections", default=10, show_default=True, help="At once, for each worker.")
@click.option("--rate", default=0, help="Campaign mails a second over all workers.")
@click.option("--daily-cap", default=0, help="Campaign mails a day.")
@click.option("--warm-up", default="", help="Mails on its first days, such as 200,400,800.")
@click.option("--sends-from", default="", help="Public addresses from which it hands mail on.")
@of_business
def add(which: str, password_file: TextIO | None, **given: Any) -> None:
    """Add a relay. Try it with `crm relay check` before mail goes through it."""
    for name in ("warm_up", "sends_from"):
        given[name] = given[name].replace(",", " ").split()
    given["password"] = _password(given["username"], password_file)
    run(_add(which, given))


def _password(username: str, file: TextIO | None) -> str:
    """Read it from where no list of processes shows it."""
    if file is not None:
        return file.readline().rstrip("\r\n")
    if not username:
        return ""
    typed: str = click.prompt("Password", hide_input=True)
    return typed


async def _add(which: str, given: dict[str, Any]) -> None:
    if not all(each.isdecimal() and each.isascii() for each in given["warm_up"]):
        message = "--warm-up takes whole numbers with commas between them, one for each day."
        raise click.UsageError(message)
    given["warm_up"] = [int(each) for each in given["warm_up"]]
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        today = day_of(db.now, (await businesses.get(db)).time_zone)
        added = await relays.add(db, _SYSTEM, NewRelay(**given), today)
    out.print(f"Added {given['name']}: {added}")


@group.command("check")
@_relay
@of_business
def check(relay: str, which: str) -> None:
    """Open a session and say what a relay offers; status 1 where mail could not go by it."""
    run(_check(relay, which))


async def _check(relay: str, which: str) -> None:
    async with joined_for(which) as here:
        async with here.database.read(here.business_id) as db:
            found = await _named(db, relay)
        tried = await try_relay(here.database, here.business_id, found, here.settings)
    out.print(tried.words, soft_wrap=True)
    if not tried.usable:
        raise SystemExit(1)


@group.command("off")
@_relay
@of_business
def switch_off(relay: str, which: str) -> None:
    """Let no more mail go by a relay; what is under way by it ends."""
    run(_use(relay, which, active=False))


@group.command("on")
@_relay
@of_business
def switch_on(relay: str, which: str) -> None:
    """Let mail go by a relay again."""
    run(_use(relay, which, active=True))


async def _use(relay: str, which: str, *, active: bool) -> None:
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        await relays.use(db, _SYSTEM, await _named(db, relay), active=active)
        left = [each for each in await relays.all_of(db) if each.active]
    out.print(f"{relay} is {'on' if active else 'off'}.")
    if not left:
        out.print("No relay is on: nothing is sent until one is.")


async def _named(db: ReadDb, relay: str) -> UUID:
    """Find a relay by its id or by its name, where only one has it."""
    found = [each.id for each in await relays.all_of(db) if relay in {str(each.id), each.name}]
    if len(found) == 1:
        return found[0]
    if found:
        message = f"Several relays are called {relay}; say which by its id (`crm relay list`)."
        raise NotFound(message)
    message = f"There is no relay called {relay}; `crm relay list` lists them."
    raise NotFound(message)
