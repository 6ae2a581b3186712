"""`crm demo`: from nothing to a delivered, consented newsletter whose books balance."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from crm.demo.accounts import Accounts
from crm.demo.browser import Unexpected
from crm.demo.stage import staged
from crm.demo.story import Wishes, told
from crm.demo.story import newsletter as read_newsletter

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FAILED = 1


@click.command("demo")
@click.option("--customers", default=2000, show_default=True, type=click.IntRange(10, 5_000_000))
@click.option("--customers-file", "files", multiple=True, type=_FILE, help="CSV; repeatable.")
@click.option("--newsletter", type=_FILE, help="Markdown or HTML to send instead of ours.")
@click.option("--exit", "leave", is_flag=True, help="End when done; status 0 if books balance.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    *, customers: int, files: tuple[Path, ...], newsletter: Path | None, leave: bool, as_json: bool
) -> None:
    """Run the main job from nothing, in a directory of its own, and say where to look."""
    wishes = Wishes(customers, files, read_newsletter(newsletter))
    sys.exit(asyncio.run(_demo(wishes, leave=leave, as_json=as_json)))


async def _demo(wishes: Wishes, *, leave: bool, as_json: bool) -> int:
    console = Console(stderr=as_json)
    stopped = False
    accounts: Accounts | None = None
    try:
        async with staged() as stage:
            with _bars(console) as bar:
                accounts = await told(stage, wishes, bar)
            _show(console, accounts)
            if as_json:
                click.echo(json.dumps(accounts.as_json(), ensure_ascii=False))
            if not leave:
                await _until_told(console)
    except* Unexpected as group:
        for wrong in group.exceptions:
            console.print(f"[red]The demo stopped:[/] {escape(str(wrong))}", highlight=False)
        stopped = True
    return _FAILED if stopped or accounts is None or accounts.problems() else 0


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _show(console: Console, accounts: Accounts) -> None:
    counts = accounts.counts
    table = Table(title="The accounts of the campaign", show_footer=True)
    table.add_column("", footer="audience")
    table.add_column("customers", justify="right", footer=f"{counts.audience:,}")
    for word in ("waiting", "sending", "sent", "failed", "uncertain"):
        table.add_row(word, f"{getattr(counts, word):,}")
    for reason, customers in counts.reasons.items():
        table.add_row(f"excluded: {reason}", f"{customers:,}")
    console.print(table)
    accepted = accounts.accepted
    console.print(
        f"The letterbox's own log: {accepted.messages:,} accepted, none twice."
        if not accepted.doubled
        else f"{accepted.doubled} arrived twice."
    )
    console.print(
        f"{len(accounts.leavers)} left while it was sent; {accounts.claimed_after} of them were "
        f"claimed after that was answered, {accounts.in_flight} were on their way."
    )
    console.print(
        f"{accounts.rate:,.0f} messages/s at the letterbox's pace; the worker's peak memory was "
        f"{accounts.peak_rss_mb:.0f} MB; {accounts.seconds:.1f} s in all."
    )
    for problem in accounts.problems():
        console.print(f"[red]The books do not balance:[/] {escape(problem)}")
    for name, url in accounts.urls.items():
        console.print(f"{name.replace('_', ' '):16} {url}", highlight=False, soft_wrap=True)


async def _until_told(console: Console) -> None:
    console.print("\nIt keeps serving; Ctrl-C ends it.")
    told_to = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, told_to.set)
    await told_to.wait()
