"""`crm ledger`: how the ledgers are, a whole look at one, and what only an operator may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import msgspec
import rich_click as click
from msgspec import Struct
from rich.progress import Progress
from rich.table import Table

from crm import above, consent, events, ledger
from crm.db import Database
from crm.doctor import check as check_installation
from crm.events import Actor, Kind
from crm.journal import CHECKPOINT, Ending, Journal, hold
from crm.ledger import Halt, JournalKnown, KeyKind, NothingSealed, Round, Stopped
from crm.terminal import database_of, joined_servers, of_business, one_business, out, run, show

_SYSTEM = Actor.system()
# What to do where nothing can be sealed.
MENDS = {
    Stopped.restored: "The database was restored: `crm ledger reopen` goes on, and shows the gap.",
    Stopped.journal_lost: "The journal is empty: bring it back, or `crm ledger adopt` begins it.",
    Stopped.journal_away: "The journal cannot be written: look at CRM_JOURNAL.",
    Stopped.key_wrong: "The signing key cannot be read: look at CRM_STORAGE_KEYS.",
    Stopped.damaged: "The tree was changed: `crm ledger check` names it; bring back a backup.",
}


class Here(Struct, frozen=True):
    """What these commands work with."""

    database: Database
    business_id: UUID
    journal: Journal


@click.group("ledger")
def group() -> None:
    """Look at ledgers, and do what only an operator may."""


@asynccontextmanager
async def _here(which: str) -> AsyncIterator[Here]:
    async with joined_servers() as here:
        await check_installation(here.settings)
        async with database_of(here) as database:
            business_id = await one_business(database, which)
            yield Here(database, business_id, Journal(Path(here.settings.journal)))


@group.command("status")
def status() -> None:
    """Say of every ledger how far it is sealed, what waits, and what is wrong."""
    run(_status())


async def _status() -> None:
    table = Table("business", "sealed", "waiting", "alarms", "last look", "stopped")
    async with joined_servers() as here:
        await check_installation(here.settings)
        async with database_of(here) as database:
            found = await above.ledgers_health(database)
    for each in found:
        looked = each.watched_at.isoformat(timespec="minutes") if each.watched_at else "never"
        figures = [str(figure) for figure in (each.size, each.unsealed, each.alarms)]
        table.add_row(str(each.business_id), *figures, looked, each.stopped_why or "")
    show(table)
    for each in found:
        if each.stopped_why:
            out.print(f"{each.business_id}: {MENDS[Stopped(each.stopped_why)]}")


@group.command("check")
@of_business
def check(which: str) -> None:
    """Derive a ledger anew from what is kept, and name whatever was altered, lost or put in."""
    run(_check(which))


async def _check(which: str) -> None:
    async with _here(which) as here:
        async with here.database.write(here.business_id) as db:
            begun = await ledger.begin_watch(db)
        if not begun:
            out.print("Nothing is sealed yet, so there is nothing to check.")
            return
        done = await _whole_round(here)
        async with here.database.read(here.business_id) as db:
            alarms = await ledger.alarms(db)
    for each in alarms:
        out.print(f"{each.id}  {each.kind}  {each.subject}: {each.detail}")
    if alarms:
        out.print(f"{len(alarms)} alarms. `crm ledger settle ID --reason …` settles one.")
        raise SystemExit(1)
    out.print(f"{done.size} entries are what was sealed, and every signed head follows from them.")


async def _whole_round(here: Here) -> Round:
    last: Round | None = None
    with Progress(console=out) as progress:
        task = progress.add_task("Entries looked at", total=None)
        while True:
            async with here.database.write(here.business_id) as db:
                now = await consent.watch_next(db)
            if now is None:
                break
            last = now
            progress.update(task, total=now.size, completed=now.position)
    if last is None or last.ended_at is None:
        message = "A worker is looking already; try again when it is done."
        raise click.ClickException(message)
    return last


@group.command("reopen")
@click.option("--reason", required=True, help="Kept for ever, and shown to everybody.")
@of_business
def reopen(reason: str, which: str) -> None:
    """Give a ledger that cannot go on a new name, which cites the last signed head for ever."""
    run(_reopen(reason, which))


async def _reopen(reason: str, which: str) -> None:
    async with _here(which) as here:
        known = here.journal.read(here.business_id, CHECKPOINT)
        async with here.database.write(here.business_id) as db:
            origin = await ledger.reopen(db, _SYSTEM, known, reason=reason)
    out.print(f"{origin.origin} is open from entry {origin.begins_at}.")
    out.print(
        f"{origin.lost} entries that were signed before are not here; the ledger's page says so."
        if origin.lost
        else "No entry that was signed before is missing."
    )


@group.command("adopt")
@of_business
def adopt(which: str) -> None:
    """Begin a journal that was lost with the newest head of the database, if you trust that."""
    run(_adopt(which))


async def _adopt(which: str) -> None:
    async with _here(which) as here:
        begun = await _begin_entries(here)
        try:
            head = await ledger.adopt(here.database, here.business_id, here.journal)
        except Halt as halt:
            raise click.ClickException(MENDS[halt.why]) from None
        except (JournalKnown, NothingSealed):
            if begun is None:
                raise
        else:
            signed = f"{head.origin}, {head.size} entries"
            out.print(f"The journal goes on from {signed}.")
    if begun is not None:
        out.print(f"Its lines go on after number {begun}.")


async def _begin_entries(here: Here) -> int | None:
    """Begin the lines anew where those that the database wrote are lost or damaged; with which."""
    log = here.journal.log(here.business_id)
    async with here.database.write(here.business_id) as db:
        mark = await hold(db)
        with suppress(OSError):
            if log.tail().last >= mark.number:
                return None
        await asyncio.to_thread(log.begin, mark.number, db.now)
    return mark.number


@group.command("rotate")
@click.argument("kind", type=click.Choice([each.value for each in KeyKind]))
@of_business
def rotate(kind: str, which: str) -> None:
    """Put a new signing key in the place of the present one; old signatures go on holding."""
    run(_rotate(KeyKind(kind), which))


async def _rotate(kind: KeyKind, which: str) -> None:
    async with _here(which) as here, here.database.write(here.business_id) as db:
        verifier = await ledger.rotate(db, _SYSTEM, kind)
    out.print(f"The {kind} key is now {verifier}; the one before has endorsed it.")


@group.command("encrypt-anew")
@of_business
def encrypt_anew(which: str) -> None:
    """Encrypt the signing keys under the newest of CRM_STORAGE_KEYS."""
    run(_encrypt_anew(which))


async def _encrypt_anew(which: str) -> None:
    async with _here(which) as here, here.database.write(here.business_id) as db:
        done = [kind.value for kind in KeyKind if await ledger.encrypt_anew(db, kind)]
    out.print(f"Encrypted anew: {', '.join(done) or 'nothing, for there is no key yet'}.")


@group.command("settle")
@click.argument("alarm_id", type=click.UUID)
@click.option(
    "--reason",
    required=True,
    help="Shown to staff: with the ledger while the alarm stays settled, and in the audit trail.",
)
@of_business
def settle(alarm_id: UUID, reason: str, which: str) -> None:
    """Say that an alarm was looked into, and what came of it."""
    run(_settle(alarm_id, reason, which))


async def _settle(alarm_id: UUID, reason: str, which: str) -> None:
    async with _here(which) as here, here.database.write(here.business_id) as db:
        if not await ledger.settle(db, _SYSTEM, alarm_id, why=reason):
            message = "There is no such alarm that is open; `crm ledger check` lists them."
            raise click.ClickException(message)
    out.print("Settled; the reason is kept.")


@group.command("lines")
@of_business
def lines(which: str) -> None:
    """List the lines of the journal that nobody committed or a restore left, and are not done."""
    run(_lines(which))


async def _lines(which: str) -> None:
    async with _here(which) as here:
        found = here.journal.log(here.business_id).tail().open
    for number, line in sorted(found.items()):
        out.print(f"{number}  {line.at:%Y-%m-%d %H:%M:%S}")
        for entry in line.entries:
            said = msgspec.json.encode(entry).decode()
            out.print(f"  {said}", soft_wrap=True)
    if not found:
        out.print("Every line is committed, or has been carried out.")


@group.command("set-aside")
@click.argument("number", type=int)
@click.option(
    "--reason",
    required=True,
    help=f"Shown to staff in the audit trail, for {events.KEPT.days // 365} years.",
)
@of_business
def set_aside(number: int, reason: str, which: str) -> None:
    """Let a line of the journal rest that can never be carried out; it is kept as long as all."""
    run(_set_aside(number, reason, which))


async def _set_aside(number: int, reason: str, which: str) -> None:
    async with _here(which) as here:
        log = here.journal.log(here.business_id)
        async with here.database.write(here.business_id) as db:
            # With the mark held nothing is under way: what is open now stays so by itself.
            mark = await hold(db)
            line = log.tail().open.get(number)
            if line is None or number == mark.number:
                message = "There is no such line that is open; `crm ledger lines` lists them."
                raise click.ClickException(message)
            kinds = ", ".join(type(each).__name__.lower() for each in line.entries)
            why = f"line {number} ({kinds}): {reason}"[:500]
            await events.record(db, _SYSTEM, Kind.journal_line_set_aside, reason=why)
        # Recorded first: killed in between, it is open still, and this is done again.
        log.settle([number], Ending.set_aside)
    out.print(
        "Set aside; the reason is in the audit trail. The line stays in the journal for its days, "
        "and a restore tries it again. Do by hand what it says, if it still has to be done."
    )
