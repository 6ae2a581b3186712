"""`crm verify`: check receipts, proofs and checkpoints with the network off."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from crm import consent

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("verify")
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=_FILE,
    help="A checkpoint kept earlier: the ledger must continue it.",
)
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    type=_FILE,
    help="Keys known from elsewhere: a JWKS, or vkeys. The signing key must be or follow one.",
)
def command(
    files: tuple[Path, ...], checkpoints: tuple[Path, ...], trusted: tuple[Path, ...]
) -> None:
    """Check a receipt, proof, checkpoint, bundle or copy, offline; say what is wrong, if anything.

    Exits with 1 where a check fails, or nothing is shown. docs/verify.md names the checks.
    """
    verdict = consent.verify(_read(files), checkpoints=_read(checkpoints), trusted=_read(trusted))
    for name, sentence in verdict.shown:
        click.echo(f"holds   {name:12} {sentence}")
    for name, sentence in verdict.open:
        click.echo(f"open    {name:12} {sentence}")
    if verdict.failed:
        click.echo(f"WRONG   {verdict.failed:12} {verdict.why}")
    if not verdict.holds:
        sys.exit(1)


def _read(paths: tuple[Path, ...]) -> list[bytes]:
    """Read files, each no further than one byte beyond what is looked at."""
    found = []
    for path in paths:
        with path.open("rb") as file:
            found.append(file.read(consent.LARGEST_FILE + 1))
    return found
