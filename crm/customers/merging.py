"""What becomes of two records of one person here: one is emptied, the other has what it lacked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.customers.model import AttributeValue, Customer
from crm.customers.tag import HeldTag
from crm.db import Db, ReadDb, Statements

sql = Statements("customers")


class Disagreement(Struct, frozen=True):
    """Something of which each record says another thing; what is kept stays."""

    label: str
    kept: str
    gone: str


class Differences(Struct, frozen=True, kw_only=True):
    """What comes of the details and tags of a record that goes, by what they are called."""

    taken: list[str]
    # For a purpose that the kept record does not allow.
    dropped: list[str]
    conflicts: list[Disagreement]


async def kept_as(db: ReadDb, customer_id: UUID) -> UUID | None:
    """Return under which number a customer is known now, or None where she is not."""
    return await db.maybe(sql.kept_as, UUID, customer_id=customer_id)


async def merged_records(db: ReadDb, customer_id: UUID) -> list[UUID]:
    """Return the numbers of the records that were merged into one."""
    return await db.many(sql.merged_records, UUID, customer_id=customer_id)


async def take_over(db: Db, kept: Customer, gone: Customer, allowed: Sequence[UUID]) -> None:
    """Empty the record that goes; what the kept one lacks goes over, if it may.

    Of what is for a purpose only what is for one of those `allowed`. Both rows are held.
    """
    both = {"customer_id": gone.id, "merged_into": kept.id}
    for statement in (sql.take_values, sql.take_tags, sql.take_interactions):
        await db.run(statement, **both, purpose_ids=list(allowed))
    for statement in (sql.erase_values, sql.erase_tags, sql.erase_interactions):
        await db.run(statement, customer_id=gone.id)
    # First of the two: an external id is of one record only.
    await db.run(sql.merge_customer, **both)
    await db.run(
        sql.fill_merged,
        customer_id=kept.id,
        name=gone.name,
        locale=gone.locale,
        time_zone=gone.time_zone,
        external_id=gone.external_id,
    )


async def part(db: Db, customer_id: UUID, *, at: datetime) -> None:
    """Let no record point to one that was erased: each is an erased one of its own."""
    await db.run(sql.part_merged, customer_id=customer_id, at=at)


def differences(
    kept: tuple[Customer, Sequence[AttributeValue], Sequence[HeldTag]],
    gone: tuple[Customer, Sequence[AttributeValue], Sequence[HeldTag]],
    lost: Collection[str],
) -> Differences:
    """Compare what is known by two records; `lost` is called what is for a purpose that is off."""
    taken: list[str] = []
    dropped: list[str] = []
    conflicts: list[Disagreement] = []
    for label, mine, other in _fields(kept[0], gone[0]):
        if other and not mine:
            taken.append(label)
        elif other and other != mine:
            conflicts.append(Disagreement(label, mine, other))
    has = {each.name: str(each.value) for each in kept[1]}
    for value in gone[1]:
        if value.name in has:
            if has[value.name] != str(value.value):
                conflicts.append(Disagreement(value.label, has[value.name], str(value.value)))
        else:
            (dropped if value.label in lost else taken).append(value.label)
    carries = {each.name for each in kept[2]}
    for tag in gone[2]:
        if tag.name not in carries:
            (dropped if tag.label in lost else taken).append(tag.label)
    return Differences(taken=taken, dropped=dropped, conflicts=conflicts)


def _fields(kept: Customer, gone: Customer) -> list[tuple[str, str, str]]:
    return [
        ("Name", kept.name, gone.name),
        ("Language", kept.locale, gone.locale),
        ("Time zone", kept.time_zone, gone.time_zone),
        ("External id", kept.external_id or "", gone.external_id or ""),
    ]
