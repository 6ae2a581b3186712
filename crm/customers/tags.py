"""What is done with tags: they are declared, put on customers, taken off and read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from crm import events
from crm.customers.attributes import check_purpose
from crm.customers.model import (
    Customer,
    HeldName,
    UnknownCustomer,
    ValueNotAllowed,
    names_by_customer,
)
from crm.customers.retention import retention
from crm.customers.tag import HeldTag, NewTag, Tag, TagRow, UnknownTag
from crm.customers.text import Label, Sentence, checked_name, filled
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind, Kind
from crm.pieces import Piece

sql = Statements("customers")

# What is written down as the source of a tag.
_SOURCES = {ActorKind.member: "member", ActorKind.key: "key"}
_IMPORTED = "import"


async def declare_tag(db: Db, by: Actor, name: str, new: NewTag) -> Tag:
    """Declare a tag, or say anew what it is for and how long it stays."""
    retention(new.retention)
    await check_purpose(db, new.purpose_id)
    tag = await db.one(
        sql.declare_tag,
        Tag,
        name=checked_name(name),
        label=filled(new.label, "label", Label),
        purpose=filled(new.purpose, "purpose", Sentence),
        retention=new.retention,
        purpose_id=new.purpose_id,
    )
    await events.record(db, by, Kind.attribute_declared, reason=f"tag {name}")
    return tag


async def tags(db: ReadDb) -> list[Tag]:
    """Return every declared tag, by name."""
    return await db.many(sql.tags, Tag)


async def put_tag(db: Db, by: Actor, customer_id: UUID, name: str) -> list[HeldTag]:
    """Put a declared tag on a customer (UnknownTag); again, its time begins anew.

    Refuses one that is for a purpose which she does not allow (ValueNotAllowed).
    """
    await _hold(db, customer_id)
    allowed = await db.maybe(sql.tag_allowed, bool, customer_id=customer_id, name=name)
    if allowed is None:
        raise UnknownTag
    if not allowed:
        raise ValueNotAllowed
    source = _SOURCES.get(by.kind, "")
    await db.run(sql.put_tag, customer_id=customer_id, name=name, source=source)
    await events.record(db, by, Kind.customer_changed, customer_id=customer_id, reason="tags")
    return await tags_of(db, customer_id)


async def drop_tag(db: Db, by: Actor, customer_id: UUID, name: str) -> None:
    """Take a tag off a customer; one that she does not have changes nothing."""
    await _hold(db, customer_id)
    if await db.run(sql.drop_tag, customer_id=customer_id, name=name):
        await events.record(db, by, Kind.customer_changed, customer_id=customer_id, reason="tags")


async def fill_tags(db: Db, new: Sequence[tuple[UUID, str]]) -> int:
    """Put many declared tags on who does not have them yet, in one statement; returns how many.

    Whether each is allowed (`tags_not_allowed`) is asked before.
    """
    return await db.run(
        sql.fill_tags,
        customer_ids=[customer_id for customer_id, _ in new],
        names=[name for _, name in new],
        source=_IMPORTED,
    )


async def tags_not_allowed(db: ReadDb, new: Sequence[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    """Return those of some tags that are for a purpose which the customer does not allow now."""
    found = await db.many(
        sql.tags_not_allowed,
        HeldName,
        customer_ids=[customer_id for customer_id, _ in new],
        names=[name for _, name in new],
    )
    return {(each.customer_id, each.name) for each in found}


async def tagged_among(
    db: ReadDb, customer_ids: Sequence[UUID], names: Collection[str]
) -> dict[UUID, set[str]]:
    """Return which of these tags some customers have; for imports."""
    found = await db.many(
        sql.tags_held, HeldName, customer_ids=list(customer_ids), names=list(names)
    )
    return names_by_customer(found)


async def tags_of(
    db: ReadDb, customer_id: UUID, *, purpose_id: UUID | None = None, special: bool = True
) -> list[HeldTag]:
    """Return the tags of one customer, each with what for and until when.

    With a purpose: only those that are for it. Whether she allows it is asked elsewhere. Without
    `special` none that tells of a purpose of Art. 9 GDPR.
    """
    rows = await db.many(
        sql.tags_of_customer,
        TagRow,
        customer_id=customer_id,
        purpose_id=purpose_id,
        special=special,
    )
    return [row.held() for row in rows]


async def lapse_tags(db: Db, after: UUID, limit: int) -> Piece:
    """Delete tags whose time is over, or whose purpose has ended (promise 13), a piece at a time.

    One that is for a purpose which she never allowed goes a day after it was put on.
    """
    return await db.one(sql.lapse_tags, Piece, after=after, limit=limit)


async def _hold(db: Db, customer_id: UUID) -> None:
    if await db.maybe(sql.customer_locked, Customer, customer_id=customer_id) is None:
        raise UnknownCustomer
