"""What commands share: the database beside a running service, one business, and a gentle end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import rich_click as click
import uvloop
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from crm import above, ledger, parent
from crm.db import Database, open_database
from crm.doctor import Unfit, check, put_back_problems
from crm.errors import NotFound
from crm.installation import Installation, installation
from crm.journal import Found, Keeper, journal_of
from crm.log import configure
from crm.outside import outside
from crm.settings import Settings
from crm.wakes import Waker, open_pool

# What is said holds names that people chose, and they may look like markup.
out = Console(markup=False, highlight=False, emoji=False)
# A shell adds to the number of a signal.
_SIGNALLED = 128
# More than any row takes.
_WIDE = 100_000
of_business = click.option(
    "--business", "which", default="", help="Its id, where there are several."
)


class Here(Struct, frozen=True):
    """One business, its database and the settings of the installation."""

    database: Database
    business_id: UUID
    settings: Settings


async def one_business(database: Database, which: str) -> UUID:
    """Find the business named by its id, or the only one; else refuse and say what to do."""
    known = await above.businesses(database)
    if which or not known:
        return of_id(which, known)
    if len(known) == 1:
        return known[0]
    message = "There are several businesses (`crm business list`); say which with --business ID."
    raise NotFound(message)


def of_id(which: str, known: Sequence[UUID]) -> UUID:
    """Read the id of a business however it is written, and refuse one that is not known."""
    with suppress(ValueError):
        if (business_id := UUID(which)) in known:
            return business_id
    message = "There is no such business; `crm business add` adds one."
    raise NotFound(message)


@asynccontextmanager
async def joined_servers() -> AsyncIterator[Installation]:
    """Work with what our variables name, beside a running `crm up`; log as much as they ask for."""
    async with installation(os.environ, join=True) as here:
        configure(here.settings.log_level)
        yield here


@asynccontextmanager
async def joined() -> AsyncIterator[Database]:
    """Work beside a running `crm up`, or start the servers for this one command."""
    async with joined_servers() as here:
        await check(here.settings)
        async with database_of(here) as database:
            await _refuse_put_back(database, here.settings)
            yield database


@asynccontextmanager
async def joined_for(which: str) -> AsyncIterator[Here]:
    """The same for one business, named by its id where there are several."""
    async with joined_servers() as here:
        await check(here.settings)
        async with database_of(here) as database:
            await _refuse_put_back(database, here.settings)
            yield Here(database, await one_business(database, which), here.settings)


@asynccontextmanager
async def database_of(here: Installation) -> AsyncIterator[Database]:
    """Open the installation's database, with wakes for its workers."""
    outside.use(here.settings)
    pool = open_pool(here.settings.redis_url)
    try:
        async with open_database(
            here.settings.database_url,
            here.settings.keys(),
            wake=Waker(pool),
            keep=Keeper(journal_of(here.settings)),
            size=4,
        ) as database:
            yield database
    finally:
        await pool.aclose()


async def compared(database: Database, settings: Settings) -> Found:
    """Compare the database with the journal, once."""
    return await ledger.journal_watch(database, Keeper(journal_of(settings))).look()


async def _refuse_put_back(database: Database, settings: Settings) -> None:
    if problems := put_back_problems(await compared(database, settings)):
        raise Unfit("\n".join(problems))


def refuse_other_than_text(arguments: Sequence[str]) -> None:
    """Refuse what could be written nowhere, such as a name in Latin-1 in a terminal of UTF-8."""
    for each in arguments:
        try:
            each.encode()
        except UnicodeEncodeError:
            shown = each.encode(errors="replace").decode()
            message = f"{shown} is not text in UTF-8; write it so, and name files so."
            raise click.UsageError(message) from None


def widen() -> None:
    """Cut nothing off and break no line where no terminal has an edge: in a file, in a pipe."""
    if not sys.stdout.isatty():
        out.width = _WIDE


def show(table: Table) -> None:
    """Print a table; where the terminal is too narrow for it, each row as lines of its own."""
    wide = out.options.update(width=_WIDE)
    if out.measure(table, options=wide).maximum <= out.width:
        out.print(table)
        return
    headers = [str(column.header) for column in table.columns]
    rows = [*zip(*(column.cells for column in table.columns), strict=True)]
    if table.show_footer:
        rows.append(tuple(column.footer for column in table.columns))
    for row in rows:
        for header, cell in zip(headers, row, strict=True):
            said = ", ".join(str(cell).splitlines())
            out.print(f"{header}: {said}" if header else said, soft_wrap=True)
        out.print()


def place_of(here: Installation) -> Path:
    """Where files of this installation go: beside embedded data, or here."""
    return here.directory or Path.cwd()


def run(work: Coroutine[Any, Any, None], *, serves: bool = False, quick: bool = False) -> None:
    """Run to the end; where a signal cut it off, exit as a shell says so (143, 130), put away.

    What `serves` is done whenever it is told to stop. `quick` on uvloop, which is slower only where
    Python does the TLS.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if quick else None) as runner:
        told = runner.run(_until_told(work))
    if told and not serves:
        sys.exit(_SIGNALLED + told)


async def _until_told(work: Coroutine[Any, Any, None]) -> int:
    """Work; SIGTERM ends it as Ctrl-C does, so that everything begun is also put away.

    Returns the number of the signal that cut it off, and 0 where it came to its end.
    """
    task = asyncio.ensure_future(work)
    with suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    watching = asyncio.ensure_future(parent.end_with_parent())
    try:
        await task
    except asyncio.CancelledError:
        # Ctrl-C is heard by the runner, which cancels us.
        this = asyncio.current_task()
        return signal.SIGINT if this is not None and this.cancelling() else signal.SIGTERM
    finally:
        watching.cancel()
    return 0
