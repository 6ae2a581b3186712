"""What is done with interactions: kinds are declared, and what happens is recorded and read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

from crm import events
from crm.customers.attributes import check_purpose
from crm.customers.interaction import (
    BUILT_IN,
    NOTE,
    REPLY,
    WISH,
    Detail,
    Interaction,
    InteractionKind,
    KindCount,
    Moment,
    NewInteraction,
    NewKind,
    NewReply,
    Title,
    UnknownKind,
    check_amount,
    checked_instant,
    kept_reply,
)
from crm.customers.model import Customer, UnknownCustomer, ValueNotAllowed
from crm.customers.retention import retention
from crm.customers.text import Label, Sentence, checked_name, cleaned, filled, named
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.ids import time_ordered

sql = Statements("customers")

_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_LAST = UUID(int=2**128 - 1)


async def declare_kind(db: Db, by: Actor, name: str, new: NewKind) -> InteractionKind:
    """Declare a kind of interaction, or say anew what it is for and how long each is kept."""
    retention(new.retention)
    await check_purpose(db, new.purpose_id)
    kind = await db.one(
        sql.declare_kind,
        InteractionKind,
        name=checked_name(name),
        label=filled(new.label, "label", Label),
        purpose=filled(new.purpose, "purpose", Sentence),
        retention=new.retention,
        purpose_id=new.purpose_id,
    )
    await events.record(db, by, Kind.attribute_declared, reason=f"kind of interaction {name}")
    return kind


async def kinds(db: ReadDb) -> list[InteractionKind]:
    """Return every declared kind of interaction, by name."""
    return await db.many(sql.kinds, InteractionKind)


async def interact(db: Db, by: Actor, customer_id: UUID, new: NewInteraction) -> Interaction:
    """Record something that happened, under a declared kind (UnknownKind).

    One for a purpose that she does not allow is refused (ValueNotAllowed).
    """
    check_amount(new)
    at = checked_instant(new.at, db.now)
    if await db.maybe(sql.customer_locked, Customer, customer_id=customer_id) is None:
        raise UnknownCustomer
    kind = await db.maybe(sql.kind, InteractionKind, name=new.kind)
    if kind is None:
        raise named(UnknownKind(), "kind")
    if not await db.one(sql.kind_allowed, bool, customer_id=customer_id, name=kind.name):
        raise named(ValueNotAllowed(), "kind")
    interaction = await db.one(
        sql.add_interaction,
        Interaction,
        interaction_id=time_ordered(),
        customer_id=customer_id,
        kind=kind.name,
        label=kind.label,
        at=at,
        title=filled(new.title, "title", Title),
        detail=cleaned(new.detail, "detail", Detail, lines=True),
        amount=new.amount,
        currency=new.currency,
        actor_kind=by.kind,
        actor_name=by.name,
    )
    await events.record(
        db, by, Kind.interaction_recorded, customer_id=customer_id, ref=interaction.id
    )
    return interaction


async def note(db: Db, by: Actor, customer_id: UUID, title: str, detail: str = "") -> Interaction:
    """Record a note, a kind that every business has unless it declared its own; two years kept."""
    await _declare_once(db, NOTE)
    new = NewInteraction(kind=NOTE, title=title, detail=detail)
    return await interact(db, by, customer_id, new)


async def reply(db: Db, customer_id: UUID, new: NewReply, *, wish: bool = False) -> bool:
    """Keep a mail of a customer, two years unless declared otherwise; once by its Message-ID.

    A `wish` is one to leave that nobody could prove to be hers.
    """
    if await db.maybe(sql.customer_locked, Customer, customer_id=customer_id) is None:
        raise UnknownCustomer
    await _declare_once(db, WISH if wish else REPLY)
    added = await db.maybe(
        sql.add_reply,
        UUID,
        interaction_id=time_ordered(),
        customer_id=customer_id,
        kind=WISH if wish else REPLY,
        **kept_reply(new, db.now),
    )
    if added is None:
        return False
    by = Actor.customer(customer_id)
    await events.record(db, by, Kind.interaction_recorded, customer_id=customer_id, ref=added)
    return True


async def _declare_once(db: Db, name: str) -> None:
    label, purpose = BUILT_IN[name]
    await db.run(sql.declare_kind_once, name=name, label=label, purpose=purpose, retention="P2Y")


async def interactions(
    db: ReadDb,
    customer_id: UUID,
    *,
    after: Moment | None = None,
    limit: int = 50,
    purpose_id: UUID | None = None,
    for_her: bool = False,
    special: bool = True,
) -> list[Interaction]:
    """Return what happened with one customer, newest first, beginning after this moment.

    With a purpose: only what is kept for it. Whether she allows it is asked elsewhere. What is
    `for_her` names staff only where the business lets her read it. Without `special` nothing that
    tells of a purpose of Art. 9 GDPR.
    """
    return await db.many(
        sql.interactions_before,
        Interaction,
        customer_id=customer_id,
        at=after.at if after else _LATEST,
        interaction_id=after.id if after else _LAST,
        purpose_id=purpose_id,
        for_her=for_her,
        special=special,
        limit=limit,
    )


async def happenings(db: ReadDb, customer_id: UUID) -> dict[str, int]:
    """Count what happened with one customer, by kind."""
    found = await db.many(sql.interactions_counted, KindCount, customer_id=customer_id)
    return {each.kind: each.count for each in found}


def all_interactions(db: ReadDb, customer_id: UUID) -> AsyncIterator[Interaction]:
    """Yield everything that happened with one customer, newest first: for her own copy."""
    return db.stream(sql.interactions_of_customer, Interaction, customer_id=customer_id)
