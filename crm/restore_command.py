"""`crm restore`: after a database was put back, bring it up to date from the journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import rich_click as click
from msgspec import Struct
from msgspec.structs import replace
from rich.progress import Progress

from crm import above, businesses, ledger, restore
from crm.db import Database, open_database
from crm.doctor import check, lost_problems
from crm.errors import NotFound
from crm.journal import Found, Keeper, journal_of
from crm.restore import Lost, Restored
from crm.terminal import joined_servers, of_business, of_id, out, run

_WORDS = {
    "withdrawn": "times that consents ended",
    "erased": "erasures",
    "forgotten": "erasures of who was no customer",
    "suppressed": "suppressions",
    "lifted": "suppressions lifted",
    "left": "people who left by a link during the restore",
    "restricted": "restrictions, or ends of them",
    "merged": "merges of two records",
    "planned": "deletions planned",
    "calledoff": "deletions called off",
    "revoked": "keys revoked, or members of staff disabled",
    "campaign": "notes of what campaigns did",
}
_STILL = """
What is left to you:
 - Look at the relay's log for what was handed over after the backup, and settle what is
   uncertain in the console (Campaigns): "sent" or "failed". It is not sent again by itself.
 - Start what is held, or take it back.
 - Sign-ups, yeses, imports and changes made after the backup are gone: import lists again.
   Customers who signed up since get no mail until they sign up again.
 - Staff, their passwords and API keys are those of the backup, without whom you have disabled or
   revoked since. Everybody is signed out, customers too. Change again what was changed since:
   a role, a password that somebody else knew.
 - Announce again where a freeze is to end: she may have refused since the backup.
 - If the ledger has a new name, say so where its heads are kept; then `crm ledger check`.
 - Make a new backup, and let the one that was used age out.
"""


class _Here(Struct, frozen=True):
    database: Database
    keeper: Keeper
    found: Found


@click.command("restore")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option(
    "--anyway",
    is_flag=True,
    help="Hold campaigns though no journal says so: it was put back or lost as well.",
)
@click.option(
    "--despite-gap",
    is_flag=True,
    help="Go on though the backup is older than the oldest entry of the journal.",
)
@of_business
def command(which: str, *, dry_run: bool, anyway: bool, despite_gap: bool) -> None:
    """After a database was put back: replay the journal, hold campaigns, and let it serve again.

    For all businesses of the database, or for one; when no other is behind, all are restored with
    it. It may be stopped and run again; web and workers may run, and go on by themselves when it
    is done.
    """
    run(_restore(which, dry_run=dry_run, anyway=anyway, despite_gap=despite_gap))


@asynccontextmanager
async def _here() -> AsyncIterator[_Here]:
    async with joined_servers() as here:
        await check(here.settings)
        settings = here.settings
        keeper = Keeper(journal_of(settings))
        # Without the keeper: what is replayed is in the journal already.
        async with open_database(settings.database_url, settings.keys(), size=2) as database:
            found = await ledger.journal_watch(database, keeper).look()
            if found.away:
                message = f"The journal cannot be read: {found.away}. Look at CRM_JOURNAL."
                raise click.ClickException(message)
            yield _Here(database, keeper, found)


async def _restore(which: str, *, dry_run: bool, anyway: bool, despite_gap: bool) -> None:
    async with _here() as here:
        wanted = await _wanted(here, which, anyway=anyway)
        if not wanted:
            message = "The database is not behind the journal, so there is nothing to replay."
            raise NotFound(message)
        failed: dict[UUID, list[int]] = {}
        for business_id in wanted:
            numbers = await _one(here, business_id, dry_run=dry_run, despite_gap=despite_gap)
            failed |= {business_id: numbers} if numbers else {}
        if dry_run:
            out.print("Nothing was changed.")
            return
        await _look_again(here, wanted)
        out.print(_STILL, soft_wrap=True)
        _name_failed(failed)
        if failed:
            raise SystemExit(1)


def _name_failed(failed: dict[UUID, list[int]]) -> None:
    """Say last what was not done, erasures included, where nobody reads past it."""
    for business_id, numbers in failed.items():
        named = ", ".join(map(str, numbers))
        out.print(
            f"Not carried out, business {business_id}: line {named} of the journal. Look at "
            f"`crm ledger lines --business {business_id}`, and do by hand what is said there.",
            soft_wrap=True,
        )


async def _look_again(here: _Here, done: list[UUID]) -> None:
    """Refuse to say that all is well where it is not; say whose turn is still to come."""
    found = await ledger.journal_watch(here.database, here.keeper).look()
    problems = [
        f"Business {each} is still behind the journal, and nothing is served or sent. Mend what "
        "`crm doctor` and `crm ledger status` say, and run `crm restore` once more."
        for each in done
        if each in found.put_back
    ]
    if problems or not found.whole:
        raise click.ClickException("\n".join(problems + lost_problems(replace(found, owed=0))))
    if found.put_back:
        out.print(f"{len(found.put_back)} more are behind: nothing is served until they are done.")


async def _wanted(here: _Here, which: str, *, anyway: bool) -> list[UUID]:
    """List whom to restore, whoever is behind last; with the last of those all others as well."""
    behind = set(here.found.put_back)
    every = await above.businesses(here.database)
    named = of_id(which, every) if which else None
    wanted = await restore.put_back(here.database, here.found)
    if anyway and not behind:
        wanted = every
    if named and behind != {named}:
        wanted = [each for each in wanted if each == named]
    if not anyway and any(each in here.found.lost or each in here.found.unread for each in wanted):
        # What they would go on from is not there, and nothing is served before all are done.
        raise click.ClickException("\n".join(lost_problems(replace(here.found, owed=0))))
    return wanted


async def _one(here: _Here, business_id: UUID, *, dry_run: bool, despite_gap: bool) -> list[int]:
    """Restore one business; return the numbers of the lines that could not be carried out."""
    async with here.database.read(business_id) as read:
        name = (await businesses.get(read)).name
    gone = await restore.lost(here.database, here.keeper, business_id, despite_gap=despite_gap)
    out.print(f"{name} ({business_id})")
    _say_lost(gone)
    if dry_run:
        return []
    with Progress(console=out, transient=True) as progress:
        task = progress.add_task("Lines of the journal", total=gone.lines)
        done = await restore.restore(
            here.database,
            here.keeper,
            business_id,
            despite_gap=despite_gap,
            watch=lambda lines: progress.update(task, completed=lines),
        )
    _say_done(done)
    return done.failed


def _say_lost(gone: Lost) -> None:
    out.print(f"  The database ends with line {gone.number}; the journal has {gone.lines} more.")
    for kind, count in sorted(gone.entries.items()):
        if kind in _WORDS:
            out.print(f"  {count} {_WORDS[kind]}")


def _say_done(done: Restored) -> None:
    for number in done.failed:
        out.print(
            f"  Line {number} of the journal could not be carried out; the log says why. Look at "
            "`crm ledger lines`, and do by hand what it says.",
            soft_wrap=True,
        )
    for each in done.held:
        was = f"was {each.state}"
        doubt = f", {each.uncertain} deliveries are uncertain" if each.uncertain else ""
        title = each.subject or each.id
        out.print(f"  Held: {title} ({was}{doubt})")
    known = {each.id for each in done.held}
    for gone in sorted(done.lost.campaigns - known):
        out.print(f"  Not here any more, or over: campaign {gone}, begun after the backup")
    stopped = done.stopped
    if stopped.letters:
        out.print(f"  {stopped.letters} service messages that waited were given up.")
    if stopped.lists:
        out.print(f"  {stopped.lists} import lists that waited were given up.")
    if stopped.ends_of_freezes:
        out.print(f"  {stopped.ends_of_freezes} announced ends of freezes were taken back.")
    if done.origin:
        out.print(
            f"  The ledger goes on as {done.origin}; {done.leaves} signed entries are gone.",
        )
