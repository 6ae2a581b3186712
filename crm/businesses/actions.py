"""What is done with businesses."""

from __future__ import annotations

from uuid import UUID

import msgspec

from crm import events
from crm.businesses.model import (
    Business,
    BusinessStale,
    NewBusiness,
    UnusableHost,
    checked,
)
from crm.businesses.origin import checked_origin
from crm.businesses.theme import Theme
from crm.businesses.theme import checked as checked_theme
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind

sql = Statements("businesses")


async def add(db: Db, new: NewBusiness) -> Business:
    """Add the business whose id the transaction was opened for, and the host it answers on."""
    origin, host = checked_origin(new.origin)
    fields = msgspec.structs.asdict(checked(new)) | {"origin": origin}
    business = await db.one(sql.add_business, Business, **fields)
    await _answer_on(db, host)
    return business


async def get(db: ReadDb) -> Business:
    """Return the business of this transaction."""
    return await db.one(sql.business, Business)


async def hosts(db: ReadDb) -> list[str]:
    """Return where the business answers: the host of its origin, and those it had before."""
    return await db.many(sql.hosts, str)


async def change(db: Db, by: Actor, new: NewBusiness, *, expected: int | None = None) -> Business:
    """Replace what is known of the business; a new origin answers at once.

    The old host goes on answering, because links in mails already sent lead there (promise 8).
    Where soft opt-in is switched off, campaigns that rest on it pause in this transaction.
    """
    origin, host = checked_origin(new.origin)
    fields = msgspec.structs.asdict(checked(new)) | {"origin": origin}
    # First, because it refuses: a form is then shown again, and nothing of it may be kept.
    await _answer_on(db, host)
    before = await get(db)
    business = await db.maybe(sql.change_business, Business, expected=expected, **fields)
    if business is None:
        raise BusinessStale
    await events.record(db, by, Kind.business_changed)
    if before.soft_opt_in and not business.soft_opt_in:
        await _pause_what_rests_on_sales(db, by)
    return business


async def _pause_what_rests_on_sales(db: Db, by: Actor) -> None:
    why = "Soft opt-in was switched off in the settings, and its purpose rests on that."
    for campaign_id in await db.many(sql.pause_what_rests_on_sales, UUID, why=why):
        await events.record(db, by, Kind.campaign_paused, ref=campaign_id, reason=why)


async def theme_of(db: ReadDb) -> Theme:
    """Return how the pages and newsletters of the business look."""
    return await db.maybe(sql.theme, Theme) or Theme()


async def change_theme(db: Db, by: Actor, theme: Theme) -> None:
    """Let pages look like this at once, newsletters from the next start on.

    Refuses what could not be read.
    """
    await db.run(sql.change_theme, **msgspec.structs.asdict(checked_theme(theme)))
    await events.record(db, by, Kind.business_changed)


async def _answer_on(db: Db, host: str) -> None:
    holder = await db.maybe(sql.add_host, UUID, host=host)
    if holder is None and await db.maybe(sql.own_host, str, host=host) is None:
        raise UnusableHost
