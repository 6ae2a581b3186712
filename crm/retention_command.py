"""`crm retention`: what is kept until when, what the sweep deleted, and a round by hand."""

from __future__ import annotations

from datetime import timedelta

import rich_click as click
from rich.table import Table

from crm import businesses
from crm.privacy.retention import sweeping
from crm.privacy.retention.declarations import DECLARED
from crm.privacy.retention.sweeps import SWEEPS
from crm.terminal import joined_for, of_business, out, run, show


@click.group("retention")
def group() -> None:
    """What is kept until when, and that it is deleted."""


@group.command("status")
@of_business
def status(which: str) -> None:
    """Show what ends when, and what the last rounds deleted."""
    run(_status(which))


async def _status(which: str) -> None:
    async with joined_for(which) as here, here.database.read(here.business_id) as db:
        reports, business = await sweeping.reports(db), await businesses.get(db)
    table = Table("", "until", "last round", "deleted", "in 30 days", "longest lock")
    for each in DECLARED:
        last = reports.get(each.name)
        if each.name not in SWEEPS and last is None:
            continue
        if last is None:
            table.add_row(each.name, each.ends(business), "not yet", "", "", "")
            continue
        ended = f"{last.ended_at:%Y-%m-%d %H:%M}" if last.ended_at else "under way"
        longest = f"{last.longest_ms} ms" if last.ended_at else ""
        table.add_row(
            each.name, each.ends(business), ended, f"{last.deleted:,}", f"{last.lately:,}", longest
        )
    show(table)


@group.command("run")
@of_business
@click.option("--dry-run", is_flag=True, help="Count what would go, and take it back.")
def run_now(which: str, *, dry_run: bool) -> None:
    """Do a round now, whenever the last one was; interrupted, the next goes on there."""
    run(_run(which, dry_run=dry_run))


async def _run(which: str, *, dry_run: bool) -> None:
    async with joined_for(which) as here:
        for name, act in SWEEPS.items():
            if dry_run:
                count = await sweeping.rehearse(here.database, here.business_id, act)
                out.print(f"{name}: {count:,} would go")
                continue
            await sweeping.sweep(here.database, here.business_id, name, act, every=timedelta(0))
            async with here.database.read(here.business_id) as db:
                last = (await sweeping.reports(db))[name]
            told = f"{last.deleted:,} deleted in {last.pieces} pieces"
            out.print(f"{name}: {told}, the longest {last.longest_ms} ms")
