"""What is kept of a deletion that can be called off: read, forgotten, and put back as it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import structs

from crm import customers, events, journal
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.privacy.model import Wish

sql = Statements("privacy")


async def wish(db: ReadDb, customer_id: UUID) -> Wish | None:
    """Return the deletion that a customer waits for."""
    return await db.maybe(sql.wish, Wish, customer_id=customer_id)


async def stay_frozen(db: Db, customer_id: UUID) -> None:
    """Have her record stay frozen where she calls it off: that was asked for beside."""
    waits = await wish(db, customer_id)
    if waits is not None and not waits.was_frozen:
        await change(db, structs.replace(waits, was_frozen=True))


async def waiting_among(db: ReadDb, customer_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Return which of these customers wait for their deletion: no program reads them."""
    found = await db.many(sql.wishes_among, UUID, customer_ids=list(customer_ids))
    return frozenset(found)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete the wish of a customer who is being erased; return how many rows of which table."""
    return {"erasure_wish": await db.run(sql.forget_wish, customer_id=customer_id)}


async def keep(db: Db, planned: Wish, call_off_hash: bytes) -> bool:
    """Keep a deletion that can be called off, here and in the journal; False: she waits already."""
    kept = await db.run(
        sql.add_wish,
        customer_id=planned.customer_id,
        asked_at=planned.asked_at,
        due_at=planned.due_at,
        fingerprint=planned.fingerprint,
        was_frozen=planned.was_frozen,
        call_off_hash=call_off_hash,
    )
    _note(db, planned, call_off_hash)
    return bool(kept)


async def change(db: Db, planned: Wish) -> None:
    """Keep what she says otherwise while she waits; her row is held. The day and link stay."""
    call_off_hash = await _changed(db, planned)
    if call_off_hash is not None:
        _note(db, planned, call_off_hash)


async def plan_again(db: Db, planned: Wish, call_off_hash: bytes) -> None:
    """Let a customer wait for her deletion as she did in a database that was lost.

    She has her letter: its link and its day hold. UnknownCustomer where she is erased by now.
    """
    await customers.restrict(db, Actor.system(), planned.customer_id)
    if await keep(db, planned, call_off_hash):
        await events.record(
            db, Actor.system(), Kind.erasure_planned, customer_id=planned.customer_id
        )
    else:
        await _changed(db, planned)


async def call_off_again(
    db: Db, customer_id: UUID, *, unless_since: datetime | None = None
) -> None:
    """Forget a deletion that she called off, but not one asked for after `unless_since`.

    The freeze that came with it ends with it.
    """
    waits = await wish(db, customer_id)
    if waits is None or (unless_since and waits.asked_at > unless_since):
        return
    await db.run(sql.forget_wish, customer_id=customer_id)
    if not waits.was_frozen:
        await customers.unrestrict(db, Actor.system(), customer_id)
    await events.record(db, Actor.system(), Kind.erasure_called_off, customer_id=customer_id)


async def _changed(db: Db, planned: Wish) -> bytes | None:
    return await db.maybe(
        sql.change_wish,
        bytes,
        customer_id=planned.customer_id,
        fingerprint=planned.fingerprint,
        was_frozen=planned.was_frozen,
    )


def _note(db: Db, planned: Wish, call_off_hash: bytes) -> None:
    db.note(
        journal.Planned(
            customer_id=planned.customer_id,
            due_at=planned.due_at,
            fingerprint=planned.fingerprint,
            was_frozen=planned.was_frozen,
            call_off=call_off_hash.hex(),
        )
    )
