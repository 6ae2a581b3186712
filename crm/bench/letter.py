"""The message that is sent: the demo's newsletter, cut to 30 kB on the wire."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from msgspec import Struct

from crm import campaigns
from crm.bench.stage import TOWN, Cast
from crm.campaigns import NewCampaign
from crm.campaigns.composing import Envelope
from crm.campaigns.render import Compiled
from crm.db import Database, ReadDb
from crm.ids import opaque
from crm.mail.mime import stamp

WIRE = 30_000
_FILE = Path(__file__).resolve().parent.parent / "demo" / "newsletter.md"


class Letter(Struct, frozen=True):
    """A draft, and how many bytes one customer's message of it has."""

    draft: NewCampaign
    size: int


async def letter(database: Database, cast: Cast) -> Letter:
    """Take as many paragraphs of the newsletter as fit."""
    newsletter = campaigns.read_newsletter(_FILE.read_bytes(), _FILE.name)
    parts = newsletter.source.split("\n\n")
    sizes: dict[int, int] = {}
    async with database.read(cast.business.id) as db:
        for count in range(1, len(parts) + 1):
            draft = _draft(cast, newsletter, "\n\n".join(parts[:count]))
            sizes[count] = len(_wire(db, cast, await campaigns.compiled(db, draft)))
    count = max(bisect_right(list(sizes.values()), WIRE), 1)
    return Letter(_draft(cast, newsletter, "\n\n".join(parts[:count])), sizes[count])


def _draft(cast: Cast, newsletter: campaigns.Newsletter, source: str) -> NewCampaign:
    return NewCampaign(
        purpose_id=cast.purpose.id,
        subject=newsletter.subject,
        preheader=newsletter.preheader,
        source=f'{source}\n\nBaked near {{{{ attribute.{TOWN} | default("you") }}}}.\n',
        format=newsletter.kind,
    )


def _wire(db: ReadDb, cast: Cast, compiled: Compiled) -> bytes:
    envelope = Envelope(db.keys, cast.business, opaque(), cast.purpose.code, stamp(db.now))
    address = "reader1000@example.com"
    values = campaigns.values_of("Reader 1000", address, {TOWN: "Exampleton 10"})
    return compiled.bytes_for(values, envelope.slots(address, bytes(16)))
