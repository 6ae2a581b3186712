"""An import is undone in short pieces, each of which stays done whatever ends the next."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from msgspec import Struct

from crm import consent, customers, imports, journal
from crm.consent import Method
from crm.db import Database, Db, Statements
from crm.events import Actor
from crm.imports import Import, quarantine
from crm.privacy.actions import FORGET

sql = Statements("privacy")

_FIRST, _MANY = UUID(int=0), 100
_SYSTEM = Actor.system()
_WHY = "The import that it came with was undone."


class Yes(Struct, frozen=True):
    """A consent that stands on nothing but an import."""

    customer_id: UUID
    purpose_id: UUID


async def undo(database: Database, business_id: UUID, found: Import) -> Import:
    """Carry out what `imports.undo` asked for; returns what came of it.

    Who was decided about since stays, and so does whoever left or is suppressed: with her opt-out.
    A yes that nothing but the import speaks for ends.
    """
    after: UUID | None = _FIRST
    while after is not None:
        after = await database.attempt(business_id, partial(_remove, found=found, after=after))
    while await database.attempt(business_id, partial(_end_yeses, found=found)):
        pass

    async def finished(db: Db) -> Import:
        # A job lets them go, and with them whoever is known by nothing but such rows after all.
        await quarantine.end_all(db, found.id)
        return await imports.undone(db, found.id)

    return await database.attempt(business_id, finished)


async def _remove(db: Db, *, found: Import, after: UUID) -> UUID | None:
    """Remove the next of those who were added and not touched; None at the end of them."""
    piece = await db.many(
        sql.arrivals_held,
        UUID,
        import_id=found.id,
        after=after,
        limit=_MANY,
    )
    # Only now: whoever decided in this very moment has committed.
    untouched = await db.many(
        sql.untouched_arrivals, UUID, customer_ids=piece, done_at=found.done_at
    )
    for customer_id in untouched:
        await unmake(db, customer_id)
    await imports.removed(db, found.id, len(untouched))
    return piece[-1] if len(piece) == _MANY else None


async def unmake(db: Db, customer_id: UUID, *, silenced: bool = False) -> None:
    """Empty a record as an erasure does, but for the fingerprint: a right list may bring her yet.

    Where her address is `silenced` already, what keeps mail from it stays. There is no certificate,
    for she asked for nothing, and nothing was done with what was held.
    """
    emptied = await customers.forget(db, customer_id)
    await consent.withdraw_all(db, _SYSTEM, customer_id, method=Method.erasure)
    for forget in FORGET:
        await forget(db, customer_id)
    if emptied.address_hash is not None:
        told = journal.Erased(customer_id, emptied.address_hash.hex(), dropped=not silenced)
        db.note(told)


async def _end_yeses(db: Db, *, found: Import) -> int:
    """End some of the consents that are left of it; returns how many, none at the end."""
    piece = await db.many(
        sql.yeses_of_import,
        Yes,
        purpose_id=found.purpose_id,
        done_at=found.done_at,
        limit=_MANY,
    )
    for each in piece:
        await consent.invalidate(db, _SYSTEM, each.customer_id, each.purpose_id, why=_WHY)
    return len(piece)
