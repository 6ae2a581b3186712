"""`crm import`: a list of customers, or one customer's copy from another installation."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import rich_click as click
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from crm import imports
from crm.db import Database
from crm.events import Actor
from crm.imports import Import, mappings, quarantine
from crm.imports.mapping import Separator
from crm.imports.quarantine import QUARANTINED
from crm.privacy.brought.taking_over import Took, take_over
from crm.privacy.copies import archive
from crm.privacy.undoing.carrying_out import undo
from crm.terminal import joined, of_business, one_business, out, run, show

_SYSTEM = Actor.system()
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class _Said(Struct, frozen=True):
    """How the list is to be read, as far as that was said."""

    mapping: str
    encoding: str
    separator: Separator | None


@click.command("import")
@click.argument("file", type=_FILE)
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    help="The short name of the purpose a list is for; of a copy THEIRS=OURS, where they differ.",
)
@click.option("--declare", is_flag=True, help="Of a copy: declare what is not declared here yet.")
@click.option(
    "--try", "only_try", is_flag=True, help="Of a list: say what would come of it, keep nothing."
)
@click.option("--mapping", default="", help="Of a list: the saved mapping of its columns.")
@click.option("--encoding", default="", help="Of a list: where the one found out is wrong.")
@click.option(
    "--separator",
    type=click.Choice([each.value for each in Separator]),
    help="Of a list: where the one found out is wrong.",
)
@of_business
def command(
    *,
    file: Path,
    purposes: tuple[str, ...],
    which: str,
    declare: bool,
    only_try: bool,
    mapping: str,
    encoding: str,
    separator: str | None,
) -> None:
    """Import customers and their evidence; mails nobody.

    FILE is CSV, a ZIP of that, JSON with one customer a line, or a copy.
    Exports of Mailchimp, listmonk, Keila, Ghost, Substack and beehiiv are recognised. A copy is
    one customer's `your-data.zip` of another installation; docs/copy.md says what of it is taken
    over.
    """
    if _is_copy(file):
        run(_copy(file, purposes, which, declare=declare))
    elif len(purposes) != 1:
        message = "Say which purpose the list is for: --purpose SHORT-NAME."
        raise click.UsageError(message)
    else:
        said = _Said(mapping, encoding, Separator(separator) if separator else None)
        run(_list(file, purposes[0], which, said, only_try=only_try))


def _is_copy(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive_of:
        return archive.MANIFEST in archive_of.namelist()


@click.command("undo-import")
@click.argument("import_id", type=click.UUID)
@of_business
def undo_command(import_id: UUID, which: str) -> None:
    """Undo a whole import: whom it added and nobody touched since is removed."""
    run(_undo(import_id, which))


async def _undo(import_id: UUID, which: str) -> None:
    async with joined() as database:
        business_id = await one_business(database, which)
        async with database.write(business_id) as db:
            found = await imports.undo(db, _SYSTEM, import_id)
        done = await undo(database, business_id, found)
    out.print(f"Undone: {done.removed} of {done.added} customers removed.")


async def _list(file: Path, slug: str, which: str, said: _Said, *, only_try: bool) -> None:
    async with joined() as database:
        business_id = await one_business(database, which)
        async with database.read(business_id) as read:
            reading = await mappings.reading(
                read, mapping=said.mapping, encoding=said.encoding, separator=said.separator
            )
        with Progress(console=Console(stderr=True)) as bar:
            doing = "Trying" if only_try else "Importing"
            task = bar.add_task(f"{doing} {escape(file.name)}", total=1.0)
            done = await imports.work_file(
                database,
                business_id,
                _SYSTEM,
                slug,
                file,
                watch=lambda seen: bar.update(task, completed=seen.share),
                only_try=only_try,
                reading=reading,
            )
        async with database.read(business_id) as db:
            lines = await imports.report(db, done.id)
            reasons = await imports.reasons(db, done.id)
            waiting = await quarantine.count(db, done.id)
    out.print(f"Read as {_read_as(done)}.", soft_wrap=True)
    _tell(done, waiting)
    for each in reasons:
        out.print(f"{each.count} × {each.outcome}: {each.reason}")
    for line in lines:
        where = f"{line.part}, line {line.line}" if line.part else f"line {line.line}"
        out.print(f"{where}: {line.outcome}: {line.reason}")


def _read_as(done: Import) -> str:
    title = imports.TITLES[imports.Tool(done.format)]
    by = f", by the mapping {done.mapping}" if done.mapping else ""
    how = f", in {done.encoding}, separator: {done.separator}" if done.encoding else ""
    return f"{title}{by}{how}"


def _tell(done: Import, waiting: int) -> None:
    table = Table("Rows of the file", "")
    for word in ("added", "changed", "unchanged", "rejected"):
        table.add_row(word, str(getattr(done, word)))
    show(table)
    if done.only_try:
        out.print("Nothing of it was kept: it was only tried.")
    else:
        out.print(f"To undo it: crm undo-import {done.id}", soft_wrap=True)
    if waiting:
        out.print(
            f"{waiting} in quarantine for {QUARANTINED.days} days: import a list with their "
            "evidence, or let them go in the console.",
            soft_wrap=True,
        )


async def _copy(file: Path, purposes: Sequence[str], which: str, *, declare: bool) -> None:
    named = [each.partition("=") for each in purposes]
    pairs = {theirs: ours or theirs for theirs, _, ours in named}
    async with joined() as database:
        took = await _taken_over(database, file, pairs, which, declare=declare)
    table = Table("Taken over", "")
    table.add_row("customer", "added" if took.added else "was here")
    for word in ("attributes", "interactions", "decisions", "mails"):
        table.add_row(word, str(getattr(took, word)))
    for purpose, status in took.states.items():
        table.add_row(purpose, status)
    show(table)
    for sentence in took.said:
        out.print(sentence)


async def _taken_over(
    database: Database, file: Path, pairs: dict[str, str], which: str, *, declare: bool
) -> Took:
    business_id = await one_business(database, which)
    try:
        with archive.opened(file) as copy:
            async with database.write(business_id) as db:
                return await take_over(db, _SYSTEM, copy, declare=declare, purposes=pairs)
    except archive.BrokenArchive as no:
        message = f"Nothing was taken over: {no}."
        raise click.ClickException(message) from None
