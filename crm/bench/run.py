"""`crm bench`: every figure beside its ceiling from the same run."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import rich_click as click
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from crm.bench import (
    audience,
    copying,
    customers,
    erasure,
    exporting,
    importing,
    ledger,
    portal,
    receipts,
    requests,
    retention,
    segments,
    sending,
    service,
    signing,
    whole,
)
from crm.bench.figure import Figure, Missing, Say, written
from crm.bench.stage import Stage, staged

_PARTS = (
    "send", "fast", "far", "tls", "dkim", "memory", "import", "export", "consent", "check", "bulk",
    "seal", "prove", "receipt", "audience", "copy", "erasure", "retention", "portal", "whole",
    "service", "segment", "upsert", "read",
)  # fmt: skip
_ROUNDS = 3

Found = list[Figure | Missing]


class Wishes(Struct, frozen=True):
    """What is to be measured, and with how much."""

    parts: tuple[str, ...] = _PARTS
    messages: int = 10_000
    crowd: int = 100_000
    rows: int = 20_000
    requests: int = 4_000
    leaves: int = 300_000
    # In the copy of one customer, beside ten times as many events.
    letters: int = 1_000
    rounds: int = _ROUNDS


_QUICK = Wishes(
    messages=2_000, crowd=10_000, rows=5_000, requests=1_600, leaves=50_000, letters=200, rounds=1
)


@click.command("bench")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--only", "parts", multiple=True, type=click.Choice(_PARTS), help="Repeatable.")
@click.option("--messages", type=click.IntRange(10, 1_000_000), help="Messages of a round.")
@click.option("--customers", type=click.IntRange(10), help="Customers of imports and exports.")
@click.option("--leaves", type=click.IntRange(10), help="Of the ledger: 10000000 takes minutes.")
@click.option("--quick", is_flag=True, help="One round, and a fraction of everything.")
def command(
    *,
    as_json: bool,
    parts: tuple[str, ...],
    messages: int | None,
    customers: int | None,
    leaves: int | None,
    quick: bool,
) -> None:
    """Measure speed and memory on servers in a directory of their own."""
    usual = _QUICK if quick else Wishes()
    wishes = Wishes(
        parts=parts or _PARTS,
        messages=messages or usual.messages,
        crowd=customers or usual.crowd,
        rows=customers or usual.rows,
        requests=usual.requests,
        letters=usual.letters,
        leaves=leaves or usual.leaves,
        rounds=usual.rounds,
    )
    console = Console(stderr=True)
    found = asyncio.run(
        measured(os.environ, wishes, lambda text: console.print(text, style="dim", highlight=False))
    )
    _show(Console(stderr=as_json), found)
    if as_json:
        click.echo(json.dumps(told(found), ensure_ascii=False))


async def measured(environ: Mapping[str, str], wishes: Wishes, say: Say) -> Found:
    """Measure what was wished for, one after the other."""
    found: Found = []
    async with staged(environ) as stage:
        for part in wishes.parts:
            found += await _measure(stage, part, wishes, _prefixed(part, say))
    return found


def _prefixed(part: str, say: Say) -> Say:
    return lambda text: say(f"{part}: {text}")


def _measure(stage: Stage, part: str, wishes: Wishes, say: Say) -> Awaitable[Found]:
    measures: dict[str, Callable[[], Awaitable[Found]]] = {
        "send": lambda: sending.send(stage, wishes.messages, wishes.rounds, say),
        "fast": lambda: sending.send_fast(stage, wishes.messages, wishes.rounds, say),
        "far": lambda: sending.send_far(stage, wishes.messages, wishes.rounds, say),
        "tls": lambda: sending.send_tls(stage, wishes.messages, wishes.rounds, say),
        "dkim": lambda: signing.dkim(stage, wishes.messages, wishes.rounds, say),
        "audience": lambda: audience.audience(stage, wishes.crowd, wishes.rounds, say),
        "erasure": lambda: erasure.erasure(stage, min(wishes.messages, 1_000), wishes.rounds, say),
        "portal": lambda: portal.portal(stage, wishes.crowd, wishes.requests, wishes.rounds, say),
        "retention": lambda: retention.retention(stage, wishes.crowd, wishes.rounds, say),
        "segment": lambda: segments.segment(stage, wishes.crowd, wishes.rounds, say),
        "whole": lambda: whole.whole(stage, wishes.messages, say),
        "service": lambda: service.service(stage, wishes.crowd, say),
        "memory": lambda: sending.memory(stage, wishes.crowd, say),
        "export": lambda: exporting.exporting(stage, wishes.rows, wishes.rounds, say),
        "import": lambda: importing.importing(stage, wishes.rows, wishes.rounds, say),
        "consent": lambda: requests.event(stage, wishes.requests, wishes.rounds, say),
        "upsert": lambda: customers.upsert(
            stage, wishes.crowd, wishes.requests, wishes.rounds, say
        ),
        "read": lambda: customers.read(stage, wishes.crowd, wishes.requests, wishes.rounds, say),
        "check": lambda: requests.check(stage, wishes.requests, wishes.rounds, say),
        "bulk": lambda: requests.bulk(stage, wishes.requests, wishes.rounds, say),
        "copy": lambda: copying.copy(
            stage, wishes.letters, 10 * wishes.letters, wishes.rounds, say
        ),
        "seal": lambda: ledger.seal(stage, wishes.leaves, wishes.rounds, say),
        "receipt": lambda: receipts.receipt(stage, wishes.requests, wishes.rounds, say),
        "prove": lambda: ledger.prove(stage, wishes.leaves, wishes.requests, wishes.rounds, say),
    }
    return measures[part]()


def told(found: Found) -> dict[str, Any]:
    """Return everything for JSON."""
    return {
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "figures": [each.told() for each in found if isinstance(each, Figure)],
        "not_measured": [
            {"name": each.name, "reason": each.reason}
            for each in found
            if isinstance(each, Missing)
        ],
    }


def _show(console: Console, found: Found) -> None:
    table = Table("", "median", "spread", "runs", "beside", "median", "ratio", "goal")
    notes = Table("", "what was counted on the way", show_header=False)
    for each in found:
        if isinstance(each, Missing):
            notes.add_row(each.name, f"not measured: {each.reason}")
            continue
        for number, beside in enumerate(each.beside):
            ours, other = each.ours, beside.series
            ratio = each.ratio(other)
            first = (each.name, f"{written(ours.median)} {ours.unit}", f"{ours.spread:.0%}")
            met = ""
            if beside.goal is not None:
                met = f"{beside.goal} {'reached' if beside.goal.reached(ratio) else 'missed'}"
            table.add_row(
                *(first if number == 0 else ("", "", "")),
                *(str(len(ours.runs)), other.what, written(other.median), f"{ratio:.2f}", met),
            )
        notes.add_row(each.name, ", ".join(_note(*pair) for pair in each.notes.items()))
    console.print(table)
    console.print(notes)


def _note(name: str, value: float | str) -> str:
    number = f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')}: {number}"
