"""`crm verify`: check receipts, proofs, checkpoints and mails with the network off."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import rich_click as click

from crm import campaigns, consent
from crm.privacy.copies import archive

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
@click.option(
    "--skeleton",
    "skeletons",
    multiple=True,
    type=_FILE,
    help="For a mail: the skeleton of its campaign, from the host of its why-link.",
)
def command(
    files: tuple[Path, ...],
    checkpoints: tuple[Path, ...],
    trusted: tuple[Path, ...],
    skeletons: tuple[Path, ...],
) -> None:
    """Check a receipt, proof, checkpoint, bundle, copy or mail, offline; say what is wrong.

    A copy may be the whole ZIP: then each of its files has to match its manifest.

    Exits with 1 where a check fails, or nothing is shown. docs/verify.md names the checks, and
    docs/no-tracking.md what is looked at in a mail.
    """
    try:
        given = _read(files)
    except archive.BrokenArchive as no:
        click.echo(f"WRONG   archive      {no}")
        sys.exit(1)
    if skeletons or all(_is_mail(each) for each in given):
        _mails(files, given, skeletons)
        return
    verdict = consent.verify(given, checkpoints=_read(checkpoints), trusted=_read(trusted))
    for name, sentence in verdict.shown:
        click.echo(f"holds   {name:12} {sentence}")
    for name, sentence in verdict.open:
        click.echo(f"open    {name:12} {sentence}")
    if verdict.failed:
        click.echo(f"WRONG   {verdict.failed:12} {verdict.why}")
    if not verdict.holds:
        sys.exit(1)


def _is_mail(raw: bytes) -> bool:
    """A mail has a Message-ID in its header; no paper of ours does."""
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].lower()
    return head.startswith(b"message-id:") or b"\nmessage-id:" in head


def _mails(paths: tuple[Path, ...], given: list[bytes], skeletons: tuple[Path, ...]) -> None:
    """Compare mails with skeletons; of several skeletons the nearest counts."""
    try:
        known = [campaigns.unpacked(raw) for raw in _read(skeletons)]
    except campaigns.BadSkeleton as no:
        raise click.ClickException(str(no)) from None
    wrong = False
    for path, raw in zip(paths, given, strict=True):
        if not known:
            wrong = True
            campaign = campaigns.campaign_of(raw)
            click.echo(f"open    mail         {path}: {_where(campaign)}")
            continue
        compared = min(
            (campaigns.compare(raw, each) for each in known),
            key=lambda each: len(each.differences),
        )
        wrong = wrong or not compared.same
        if compared.same:
            click.echo(f"holds   mail         {path} is the mail that was sent.")
        for each in compared.differences:
            click.echo(f"WRONG   mail         {each.sentence}")
            for name, text in (("was", each.was), ("is", each.now)):
                if text:
                    click.echo(f"        {name:12} {_visible(text)}")
    if wrong:
        sys.exit(1)


def _where(campaign: str) -> str:
    if not campaign:
        return "its Message-ID names no campaign of Firsthand, so there is nothing to compare."
    return (
        "give the skeleton of its campaign with --skeleton. It is at the host of the mail's "
        f"why-link, under /mail-check/{campaign}"
    )


def _visible(text: str) -> str:
    """What a mail holds must not steer a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _read(paths: tuple[Path, ...]) -> list[bytes]:
    """Read files, each no further than one byte beyond what is looked at."""
    found = []
    for path in paths:
        if zipfile.is_zipfile(path):
            found.append(archive.unzipped(path)[: consent.LARGEST_FILE + 1])
            click.echo(f"holds   archive      {path} is what its unsigned manifest says.")
            continue
        with path.open("rb") as file:
            found.append(file.read(consent.LARGEST_FILE + 1))
    return found
