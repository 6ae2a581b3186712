"""Mappings that a business saved: what each column of some other tool's list means, by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import customers, events
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid, Problem
from crm.events import Actor, Kind
from crm.imports.encoding import ENCODINGS
from crm.imports.mapping import (
    MOST_MAPPINGS,
    Mapping,
    NewMapping,
    Reading,
    Separator,
    TooManyMappings,
    UnknownMapping,
    checked,
)

sql = Statements("imports")

LONGEST_NAME = 100


class _Row(Struct, frozen=True):
    name: str
    mapping: dict[str, Any]
    changed_at: datetime


async def save(db: Db, by: Actor, name: str, new: NewMapping) -> Mapping:
    """Save what columns mean under a name, in place of what it was called before.

    TooManyMappings for one more than a business may have.
    """
    name = _name(name)
    declared = frozenset(each.name for each in await customers.attributes(db))
    columns = checked(new.columns, declared)
    await _check_room(db, name)
    kept = NewMapping(columns=columns, otherwise=new.otherwise)
    await db.run(sql.save_mapping, name=name, mapping=msgspec.to_builtins(kept))
    await events.record(db, by, Kind.import_mapping_changed, reason=f"{name}: saved")
    return await get(db, name)


async def remove(db: Db, by: Actor, name: str) -> None:
    """Forget a mapping; what was imported by it stays as it is."""
    if not await db.run(sql.remove_mapping, name=name):
        raise UnknownMapping
    await events.record(db, by, Kind.import_mapping_changed, reason=f"{name}: removed")


async def saved(db: ReadDb) -> list[Mapping]:
    """Return every mapping, by name."""
    return [_read(row) for row in await db.many(sql.mappings, _Row)]


async def get(db: ReadDb, name: str) -> Mapping:
    """Return one mapping, or refuse with UnknownMapping."""
    found = await db.maybe(sql.mapping_named, _Row, name=name)
    if found is None:
        raise UnknownMapping
    return _read(found)


async def reading(
    db: ReadDb, *, mapping: str = "", encoding: str = "", separator: Separator | None = None
) -> Reading:
    """Say how a file is to be read: by the mapping named, or by any whose headers it has."""
    if encoding and encoding not in ENCODINGS:
        sentence = f"Use one of: {', '.join(ENCODINGS)}."
        raise Invalid(sentence, [Problem("encoding", sentence)])
    among: Sequence[Mapping] = [await get(db, mapping)] if mapping else await saved(db)
    return Reading(encoding=encoding, separator=separator, mappings=list(among), only=bool(mapping))


async def reading_of(db: ReadDb, import_id: UUID) -> Reading:
    """Return how the list of an import was read when it was received."""
    found = await db.one(sql.reading_of_import, dict[str, Any], import_id=import_id)
    return msgspec.convert(found, Reading)


async def _check_room(db: ReadDb, name: str) -> None:
    if await db.maybe(sql.mapping_named, _Row, name=name) is not None:
        return
    if await db.one(sql.count_mappings, int) >= MOST_MAPPINGS:
        raise TooManyMappings


def _read(row: _Row) -> Mapping:
    return msgspec.convert({**row.mapping, "name": row.name, "changed_at": row.changed_at}, Mapping)


def _name(name: str) -> str:
    plain = " ".join(name.split())
    if not 0 < len(plain) <= LONGEST_NAME or not plain.isprintable() or "/" in plain:
        sentence = f"A name has 1 to {LONGEST_NAME} characters, and no slash."
        raise Invalid(sentence, [Problem("name", sentence)])
    return plain
