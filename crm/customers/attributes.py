"""What is done with attributes: they are declared, and then set, filled and read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from crm import events
from crm.customers.basis import LawfulBasis, WhenNotAllowed
from crm.customers.model import (
    Attribute,
    AttributeValue,
    Bound,
    Customer,
    EndsWith,
    HeldName,
    NewAttribute,
    NewValue,
    NotHers,
    TypeFixed,
    UnknownAttribute,
    UnknownCustomer,
    ValueNotAllowed,
    ValueRow,
    names_by_customer,
)
from crm.customers.retention import retention
from crm.customers.text import Label, Sentence, checked_name, filled, named
from crm.customers.value import Given, Written, WrongType, written
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid, Problem
from crm.events import Actor, ActorKind, Kind
from crm.languages import gettext

sql = Statements("customers")

# What is written down as the source of a value.
_SOURCES = {
    ActorKind.customer: "customer",
    ActorKind.member: "member",
    ActorKind.key: "key",
}
_IMPORTED = "import"


async def declare_attribute(db: Db, by: Actor, name: str, new: NewAttribute) -> Attribute:
    """Declare a field, or say anew what it is for; its type stays (TypeFixed)."""
    retention(new.retention)
    await check_purpose(db, new.purpose_id)
    if new.basis is LawfulBasis.consent and new.purpose_id is None:
        sentence = "A consent is for a purpose. Name the purpose that this is kept for."
        raise Invalid(sentence, [Problem("purpose_id", sentence)])
    attribute = await db.maybe(
        sql.declare_attribute,
        Attribute,
        name=checked_name(name),
        label=filled(new.label, "label", Label),
        type=new.type,
        purpose=filled(new.purpose, "purpose", Sentence),
        basis=new.basis,
        origin=filled(new.origin, "origin", Sentence),
        retention=new.retention,
        hers=new.hers,
        purpose_id=new.purpose_id,
        not_allowed=new.not_allowed,
    )
    if attribute is None:
        raise named(TypeFixed(), "type")
    await events.record(db, by, Kind.attribute_declared, reason=f"attribute {name}")
    return attribute


async def check_purpose(db: ReadDb, purpose_id: UUID | None) -> None:
    """Refuse an end that is no purpose of this business."""
    if purpose_id is None or await db.one(sql.purpose_is_known, bool, purpose_id=purpose_id):
        return
    sentence = "There is no such purpose. Leave it out where the time alone counts."
    raise Invalid(sentence, [Problem("purpose_id", sentence)])


async def attributes(db: ReadDb) -> list[Attribute]:
    """Return every declared attribute, by name."""
    return await db.many(sql.attributes, Attribute)


async def purposes_to_end_with(db: ReadDb) -> list[EndsWith]:
    """Return the purposes in use, which an attribute may end with."""
    return await db.many(sql.purposes_to_end_with, EndsWith)


async def set_attributes(
    db: Db, by: Actor, customer_id: UUID, given: Mapping[str, Given | None]
) -> list[str]:
    """Set some values of one customer and leave the others; None takes a value away.

    Refuses with every problem at once, named `attributes/<name>`; then nothing is set. She herself
    sets only what was declared as hers to correct (NotHers). A value whose purpose she does not
    allow is refused (ValueNotAllowed), or left out where the declaration says so; the names of
    those left out are returned.
    """
    if await db.maybe(sql.customer_locked, Customer, customer_id=customer_id) is None:
        raise UnknownCustomer
    declared = {attribute.name: attribute for attribute in await attributes(db)}
    to_set = _read_all(declared, given)
    own = by.kind is ActorKind.customer
    if own and not all(declared[name].hers for name in given):
        raise NotHers
    dropped = await _not_allowed(db, declared, [(customer_id, name) for name in to_set])
    rows = [(customer_id, name, value) for name, value in to_set.items() if name not in dropped]
    await _set(db, sql.set_values, rows, source=_SOURCES.get(by.kind, ""))
    gone = [name for name, value in given.items() if value is None]
    await db.run(sql.drop_values, customer_id=customer_id, names=gone)
    if rows or gone:
        await events.record(
            db, by, Kind.customer_changed, customer_id=customer_id, reason="attributes"
        )
    return sorted(dropped)


async def fill_attributes(db: Db, new: Sequence[NewValue]) -> int:
    """Set many values where customers have none yet, in one statement; returns how many.

    Every value must be of its type: an import reads its rows by `written` before. Values whose
    purpose the customer does not allow are left out, whatever the declaration says.
    """
    types = {attribute.name: attribute.type for attribute in await attributes(db)}
    rows = []
    for each in await allowed_values(db, new):
        if each.name not in types:
            raise UnknownAttribute
        rows.append((each.customer_id, each.name, written(types[each.name], each.value)))
    return await _set(db, sql.fill_values, rows, source=_IMPORTED)


async def allowed_values(db: ReadDb, new: Sequence[NewValue]) -> list[NewValue]:
    """Return those of some values that are for no purpose, or for one that the customer allows."""
    refused = await _refused(db, [(each.customer_id, each.name) for each in new])
    return [each for each in new if (each.customer_id, each.name) not in refused]


async def held_among(
    db: ReadDb, customer_ids: Sequence[UUID], names: Sequence[str]
) -> dict[UUID, set[str]]:
    """Return which of these attributes some customers have a value of; for imports."""
    found = await db.many(
        sql.values_held, HeldName, customer_ids=list(customer_ids), names=list(names)
    )
    return names_by_customer(found)


async def values(
    db: ReadDb, customer_id: UUID, *, purpose_id: UUID | None = None, special: bool = True
) -> list[AttributeValue]:
    """Return what is held of one customer by attributes, each with what for and until when.

    With a purpose: only what is kept for it. Whether she allows it is asked elsewhere. Without
    `special` nothing that tells of a purpose of Art. 9 GDPR.
    """
    rows = await db.many(
        sql.values_of_customer,
        ValueRow,
        customer_id=customer_id,
        purpose_id=purpose_id,
        special=special,
    )
    return [row.held() for row in rows]


async def ending_with(db: ReadDb, customer_id: UUID) -> defaultdict[UUID, list[str]]:
    """Return by purpose which details of hers go within a day once that is off."""
    bound: defaultdict[UUID, list[str]] = defaultdict(list)
    for each in await db.many(sql.values_ending_with, Bound, customer_id=customer_id):
        bound[each.purpose_id].append(each.label)
    return bound


async def _not_allowed(
    db: ReadDb, declared: Mapping[str, Attribute], pairs: Sequence[tuple[UUID, str]]
) -> set[str]:
    """Return which values of one customer are to be left out, or refuse all (ValueNotAllowed)."""
    found = {name for _, name in await _refused(db, pairs)}
    refused = [name for name in found if declared[name].not_allowed is WhenNotAllowed.refuse]
    if refused:
        sentence = gettext("This is kept for a purpose that is not allowed now.")
        problems = [Problem(f"attributes/{name}", sentence) for name in sorted(refused)]
        raise ValueNotAllowed(problems=problems)
    return found


async def _refused(db: ReadDb, pairs: Sequence[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    rows = await db.many(
        sql.values_not_allowed,
        HeldName,
        customer_ids=[customer_id for customer_id, _ in pairs],
        names=[name for _, name in pairs],
    )
    return {(row.customer_id, row.name) for row in rows}


def _read_all(
    declared: Mapping[str, Attribute], given: Mapping[str, Given | None]
) -> dict[str, Written]:
    read: dict[str, Written] = {}
    problems: list[Problem] = []
    unknown = False
    for name, value in given.items():
        if name not in declared:
            unknown = True
            # The name itself is not repeated: it may be a value in the wrong place.
            problems.append(Problem(f"attributes/{_pointed(name)}", str(UnknownAttribute())))
        elif value is not None:
            try:
                read[name] = written(declared[name].type, value)
            except Invalid as wrong:
                problems.append(Problem(f"attributes/{name}", wrong.message))
    if problems:
        raise UnknownAttribute(problems=problems) if unknown else WrongType(problems=problems)
    return read


def _pointed(name: str) -> str:
    # RFC 6901 §3: the two characters that mean something in a pointer.
    return name[:63].replace("~", "~0").replace("/", "~1")


async def _set(
    db: Db, statement: Any, rows: Sequence[tuple[UUID, str, Written]], *, source: str
) -> int:
    numbers: list[Decimal | None] = [value.number for _, _, value in rows]
    return await db.run(
        statement,
        customer_ids=[customer_id for customer_id, _, _ in rows],
        names=[name for _, name, _ in rows],
        texts=[value.text for _, _, value in rows],
        numbers=numbers,
        dates=[value.date for _, _, value in rows],
        booleans=[value.boolean for _, _, value in rows],
        source=source,
    )
