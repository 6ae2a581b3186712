"""`crm ropa`: the record of processing activities of a business, to read or for programs."""

from __future__ import annotations

from typing import Literal

import msgspec
import rich_click as click

from crm.privacy import Processing, processing
from crm.terminal import joined_for, of_business, run
from crm.web.pages import fragment


@click.command("ropa")
@of_business
@click.option(
    "--as",
    "form",
    type=click.Choice(["html", "json"]),
    default="html",
    help="A page that prints well, or JSON.",
)
def command(which: str, form: Literal["html", "json"]) -> None:
    """Write the record of processing (Art. 30 GDPR) to standard output.

    It is made of what is declared: purposes with their terms, attributes and interactions with
    their ends, and the times by which everything else is deleted.
    """
    run(_write(which, form))


async def _write(which: str, form: str) -> None:
    async with joined_for(which) as here, here.database.read(here.business_id) as db:
        found = await processing(db)
    click.echo(as_page(found) if form == "html" else as_json(found))


def as_json(found: Processing) -> str:
    """Write the record for programs."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def as_page(found: Processing) -> str:
    """Write the record as one page that needs nothing else."""
    return fragment("privacy/pages/processing.html", {"found": found})
