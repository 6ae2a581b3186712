"""`crm campaign`: write, look at, try, schedule, start and stop campaigns from a terminal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import rich_click as click
from rich.table import Table

from crm import campaigns, consent, segments
from crm.campaigns import NewCampaign
from crm.errors import Invalid
from crm.events import Actor
from crm.terminal import joined, of_business, one_business, out, run, show

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_WORDS = ("waiting", "sending", "sent", "failed", "excluded", "uncertain")


@click.group("campaign")
def group() -> None:
    """Write, look at, try, schedule, start and stop campaigns."""


_id = click.argument("campaign_id", type=click.UUID)


@group.command("list")
@of_business
def list_all(which: str) -> None:
    """List campaigns with their counts."""
    run(_list(which))


async def _list(which: str) -> None:
    table = Table("id", "subject", "state", *_WORDS)
    async with joined() as database, database.read(await one_business(database, which)) as db:
        for each in await campaigns.page(db):
            counts = await campaigns.counts(db, each.id)
            figures = [str(getattr(counts, word)) for word in _WORDS]
            table.add_row(str(each.id), each.subject, each.state, *figures)
    show(table)


@group.command("draft")
@click.argument("file", type=_FILE)
@click.option("--purpose", required=True, help="The short name of the purpose it is for.")
@click.option("--subject", default="", help="Else what the file says.")
@click.option("--segment", default="", help="The name of a segment; else to everybody who agreed.")
@of_business
def draft(file: Path, purpose: str, subject: str, segment: str, which: str) -> None:
    """Keep a Markdown or HTML file as a draft, and say what is wrong with it."""
    read = campaigns.read_newsletter(file.read_bytes(), file.name)
    run(_draft(read, purpose, subject, segment, which))


async def _draft(
    read: campaigns.Newsletter, slug: str, subject: str, segment: str, which: str
) -> None:
    async with joined() as database, database.write(await one_business(database, which)) as db:
        purpose = await consent.purpose_by_slug(db, slug)
        to = (await segments.by_name(db, segment)).id if segment else None
        given = {
            "purpose_id": purpose.id,
            "subject": subject or read.subject,
            "preheader": read.preheader,
            "source": read.source,
            "format": read.kind,
            "segment_id": to,
        }
        try:
            new = msgspec.convert(given, NewCampaign)
        except msgspec.ValidationError as wrong:
            raise click.UsageError(str(wrong)) from None
        kept = await campaigns.draft(db, Actor.system(), new)
        checked = await campaigns.check(db, kept)
    out.print(f"Kept as draft {kept.id}.")
    for warning in (*read.warnings, *checked.warnings):
        out.print(f"Please look: {warning}")
    for problem in checked.problems:
        out.print(f"Before it can be sent: {problem.message}")


@group.command("preview")
@_id
@click.option("--html", is_flag=True, help="The HTML part instead of the text.")
@of_business
def preview(campaign_id: UUID, which: str, *, html: bool) -> None:
    """Print what a customer would read."""
    run(_preview(campaign_id, which, html=html))


async def _preview(campaign_id: UUID, which: str, *, html: bool) -> None:
    async with joined() as database, database.read(await one_business(database, which)) as db:
        shown = await campaigns.preview(db, campaign_id)
    click.echo(shown.html if html else f"Subject: {shown.subject}\n\n{shown.text}")


@group.command("review")
@_id
@of_business
def review(campaign_id: UUID, which: str) -> None:
    """Say how many would get it now, and how many not, by reason."""
    run(_review(campaign_id, which))


async def _review(campaign_id: UUID, which: str) -> None:
    async with joined() as database, database.read(await one_business(database, which)) as db:
        counted = await campaigns.review(db, campaign_id)
    table = Table("", "customers", show_footer=True)
    table.add_row("will get it", f"{counted.will_get:,}")
    for reason, customers in counted.left_out.items():
        table.add_row(f"left out: {reason}", f"{customers:,}")
    table.columns[0].footer, table.columns[1].footer = "audience", f"{counted.audience:,}"
    show(table)
    if counted.outside:
        out.print(f"{counted.outside:,} who were asked are outside of its segment.")
    if counted.missed:
        missed = f"{counted.missed:,} of them would not get it"
        out.print(f"{missed}: it expires before their mailing hours open.")


@group.command("test")
@_id
@click.argument("address")
@of_business
def try_out(campaign_id: UUID, address: str, which: str) -> None:
    """Send it to one member of staff, with links that harm nobody."""
    run(_try_out(campaign_id, address, which))


async def _try_out(campaign_id: UUID, address: str, which: str) -> None:
    async with joined() as database, database.write(await one_business(database, which)) as db:
        await campaigns.try_out(db, Actor.system(), campaign_id, address)
    out.print("The test is on its way.")


@group.command("schedule")
@_id
@click.argument("at")
@of_business
def schedule(campaign_id: UUID, at: str, which: str) -> None:
    """Start it by itself at an instant such as 2026-12-24T07:00:00+01:00."""
    try:
        instant = datetime.fromisoformat(at)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        message = "Write an instant with its zone, such as 2026-12-24T07:00:00+01:00."
        raise Invalid(message)
    run(_act(campaign_id, which, lambda db, by: campaigns.schedule(db, by, campaign_id, instant)))


def _simple(name: str, action: Any, words: str) -> None:
    @group.command(name, help=words)
    @_id
    @of_business
    def command(campaign_id: UUID, which: str) -> None:
        run(_act(campaign_id, which, lambda db, by: action(db, by, campaign_id)))


async def _act(campaign_id: UUID, which: str, act: Any) -> None:
    async with joined() as database, database.write(await one_business(database, which)) as db:
        moved = await act(db, Actor.system())
    out.print(f"The campaign {campaign_id} is {moved.state}.")


_simple("unschedule", campaigns.unschedule, "Make a scheduled campaign a draft again.")
_simple("start", campaigns.start, "Begin a campaign now.")
_simple("pause", campaigns.pause, "Claim nothing more of a campaign.")
_simple("resume", campaigns.resume, "Go on with a paused campaign.")
_simple("cancel", campaigns.cancel, "End a campaign for good.")
