"""The rows of recipient domains that go slower than the rest, for those who send."""

from __future__ import annotations

from collections.abc import Iterable

from crm.db import Db, ReadDb
from crm.mail.pacing import DomainPace
from crm.mail.relays import sql


async def slowed(db: ReadDb) -> dict[str, DomainPace]:
    """Return them by their names."""
    return {pace.domain: pace for pace in await db.many(sql.domain_paces, DomainPace)}


async def hold(db: Db, domains: Iterable[str], *, new: Iterable[str] = ()) -> dict[str, DomainPace]:
    """Return those of these that have a row, held until the transaction ends.

    Those that are `new` get a row first. Once in a transaction, and after every other row that
    senders share: so no two of them wait for each other.
    """
    if begun := sorted(new):
        await db.run(sql.begin_domain_paces, domains=begun)
    found = await db.many(sql.hold_domain_paces, DomainPace, domains=sorted(domains))
    return {pace.domain: pace for pace in found}


async def keep(db: Db, pace: DomainPace) -> None:
    """Write how a domain goes on."""
    await db.run(
        sql.write_domain_pace,
        domain=pace.domain,
        rate=pace.rate,
        strikes=pace.strikes,
        held_until=pace.held_until,
        reason=pace.reason,
        next_at=pace.next_at,
        line_at=pace.line_at,
        changed_at=pace.changed_at,
    )


async def forget_recovered(db: Db, domains: Iterable[str]) -> None:
    """Drop the rows of which nothing is left to say; only of domains that are held."""
    await db.run(sql.forget_domain_paces, domains=sorted(domains))
