"""What is done for the trust page: its figures are counted, and all of it is gathered."""

from __future__ import annotations

from crm import businesses, consent, ledger
from crm.db import Db, ReadDb, Statements
from crm.trust.model import WINDOW, Figures, Shown, Words, newest_first

sql = Statements("trust")


async def count(db: Db) -> None:
    """Count the figures anew, from sums over ranges and the withdrawals of the last 90 days."""
    zone = (await businesses.get(db)).time_zone
    await db.run(sql.count, zone=zone, since=db.now - WINDOW)


async def shown(db: ReadDb) -> Shown:
    """Gather what everybody may see; nothing in it is anybody's."""
    words = [
        Words(each, newest_first(await consent.notices(db, each.id)))
        for each in await consent.purposes(db)
    ]
    heads = await ledger.signed_heads(db, limit=1)
    figures = await db.maybe(sql.figures, Figures)
    return Shown(words, figures, heads[0] if heads else None)
