"""An import is undone in short pieces, each of which stays done whatever ends the next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import consent, customers, events, imports, journal
from crm.consent import Method
from crm.db import Database, Db, Statements
from crm.events import Actor
from crm.imports import Import, Undoing, quarantine
from crm.privacy.actions import FORGET

sql = Statements("privacy")

_MANY = 100
_SYSTEM = Actor.system()
_WHY = "The import that it came with was undone."


class Asked(Struct, frozen=True):
    """A customer of a purpose, and whether her yes stands on nothing but the import."""

    customer_id: UUID
    brought: bool


async def undo(database: Database, business_id: UUID, found: Import) -> Import:
    """Carry out what `imports.undo` asked for; returns what came of it.

    Who was decided about since stays, and so does whoever left or is suppressed: with her opt-out.
    A yes that nothing but the import speaks for ends.
    """
    while await database.attempt(business_id, partial(go_on, found=found)):
        pass
    async with database.read(business_id) as db:
        return await imports.get(db, found.id)


async def go_on(db: Db, *, found: Import) -> bool:
    """Do the next piece of an undo, behind all that were done; False once it is through.

    Yeses end first, as mail goes out on them. Where two workers are at it, each takes the next.
    """
    far = await imports.hold_undo(db, found.id)
    if far is None:
        return False
    moved = await _end_yeses(db, found, far) or await _remove(db, found, far)
    if moved is None:
        # A job lets them go, and with them whoever is known by nothing but such rows after all.
        await quarantine.end_all(db, found.id)
        await imports.undone(db, found.id)
        return False
    await imports.move_undo(db, found.id, moved)
    return True


async def _end_yeses(db: Db, found: Import, far: Undoing) -> Undoing | None:
    """End the yeses of the next of its purpose, or remove her; None at the end of them."""
    piece = await db.many(
        sql.yeses_of_import,
        Asked,
        purpose_id=found.purpose_id,
        done_at=found.done_at,
        after=far.yeses_upto,
        limit=_MANY,
    )
    if not piece:
        return None
    brought = [each.customer_id for each in piece if each.brought]
    # In the one order of locks: what is hers, what she decided, ranges.
    await consent.hold_many(db, brought)
    if gone := await _unmake_untouched(db, found, brought):
        # Whoever stays has her turn next, with no range held before what she decided.
        return msgspec.structs.replace(far, removed=far.removed + gone)
    # Only now: whoever left in this very moment has committed.
    ending = await db.many(sql.yeses_held, UUID, purpose_id=found.purpose_id, customer_ids=brought)
    # All at once: reader by reader, who leaves in this moment and this would wait for each other.
    await consent.hold_ranges(db, *ending)
    for customer_id in ending:
        await consent.invalidate(db, _SYSTEM, customer_id, found.purpose_id, why=_WHY)
    return msgspec.structs.replace(far, yeses_upto=piece[-1].customer_id)


async def _remove(db: Db, found: Import, far: Undoing) -> Undoing | None:
    """Remove the next of those who were added and not touched; None at the end of them."""
    piece = await db.many(
        sql.arrivals, UUID, import_id=found.id, after=far.arrivals_upto, limit=_MANY
    )
    if not piece:
        return None
    gone = await _unmake_untouched(db, found, piece)
    return msgspec.structs.replace(far, arrivals_upto=piece[-1], removed=far.removed + gone)


async def _unmake_untouched(db: Db, found: Import, customer_ids: Sequence[UUID]) -> int:
    """Remove those of them whom the import added and nobody touched; returns how many."""
    held = await db.many(sql.arrivals_held, UUID, import_id=found.id, customer_ids=customer_ids)
    # Only now: whoever decided in this very moment has committed.
    untouched = await db.many(
        sql.untouched_arrivals,
        UUID,
        customer_ids=held,
        done_at=found.done_at,
        told_since=db.now - events.KEPT,
    )
    await consent.hold_ranges(db, *untouched)
    for customer_id in untouched:
        await unmake(db, customer_id)
    return len(untouched)


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
