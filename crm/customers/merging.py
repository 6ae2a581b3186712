"""What becomes of two records of one person here: one is emptied, the other has what it lacked."""

from __future__ import annotations

from collections.abc import Sequence
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
    # For a purpose that the kept record does not allow, or that has ended in the other since.
    dropped: list[str]
    conflicts: list[Disagreement]


class NotTaken(Struct, frozen=True):
    """Which details and tags of a record that goes are left behind, by their short names."""

    values: frozenset[str]
    tags: frozenset[str]


async def kept_as(db: ReadDb, customer_id: UUID) -> UUID | None:
    """Return under which number a customer is known now, or None where she is not."""
    return await db.maybe(sql.kept_as, UUID, customer_id=customer_id)


async def merged_records(db: ReadDb, customer_id: UUID) -> list[UUID]:
    """Return the numbers of the records that were merged into one."""
    return await db.many(sql.merged_records, UUID, customer_id=customer_id)


async def not_taken(db: ReadDb, gone_id: UUID, allowed: Sequence[UUID]) -> NotTaken:
    """Return what may not go over from a record that goes.

    That is what is for a purpose, unless it is one of those `allowed` and has not ended in that
    record since.
    """
    asked = {"customer_id": gone_id, "purpose_ids": list(allowed)}
    return NotTaken(
        values=frozenset(await db.many(sql.values_not_taken, str, **asked)),
        tags=frozenset(await db.many(sql.tags_not_taken, str, **asked)),
    )


async def take_over(db: Db, kept: Customer, gone: Customer, allowed: Sequence[UUID]) -> None:
    """Empty the record that goes; what the kept one lacks goes over, if it may.

    Of what is for a purpose only what is for one of those `allowed` that has not ended in the
    record that goes since. Both rows are held.
    """
    both = {"customer_id": gone.id, "merged_into": kept.id}
    stays = await not_taken(db, gone.id, allowed)
    await db.run(sql.take_values, **both, left_behind=list(stays.values))
    await db.run(sql.take_tags, **both, left_behind=list(stays.tags))
    await db.run(sql.take_interactions, **both, purpose_ids=list(allowed))
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
    lost: NotTaken,
) -> Differences:
    """Compare what is known by two records; what is `lost` goes with the one that goes."""
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
            (dropped if value.name in lost.values else taken).append(value.label)
    carries = {each.name for each in kept[2]}
    for tag in gone[2]:
        if tag.name not in carries:
            (dropped if tag.name in lost.tags else taken).append(tag.label)
    return Differences(taken=taken, dropped=dropped, conflicts=conflicts)


def _fields(kept: Customer, gone: Customer) -> list[tuple[str, str, str]]:
    return [
        ("Name", kept.name, gone.name),
        ("Language", kept.locale, gone.locale),
        ("Time zone", kept.time_zone, gone.time_zone),
        ("External id", kept.external_id or "", gone.external_id or ""),
    ]
