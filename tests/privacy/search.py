"""Looks everywhere for what should be gone: PostgreSQL, Redis, and every file of the service.

Marks are put into each column of each table that may hold a customer, as the catalog lists them,
so that a column added later is looked for as well.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from msgspec import Struct
from redis.asyncio import Redis

# What cannot hold a word of anybody's.
_WORDS = ("text", "jsonb", "bytea", "_text", "varchar")
# What takes none: one word of a list that only Python knows, and what her rows are found by.
_TAKES_NONE = frozenset(
    {
        "consent.status",
        "consent.method",
        "customer.address_hash",
        "former_address.address_hash",
        "privacy_request.address_hash",
    }
)
# A fingerprint has 16 bytes and a hash 32; a mark is cut or filled to fit where it must.
_LENGTHS = (14, 16, 32)


class Mark(Struct, frozen=True):
    """Something of hers that can be found again, and where it was put."""

    where: str
    value: bytes

    def spellings(self) -> set[bytes]:
        """Write it in every way in which a store may hold it."""
        small = self.value.lower()
        plain = {self.value, small}
        # In base64 it looks different at each of three places; the ends depend on what is beside.
        coded = {
            base64.b64encode(b"\0" * before + self.value)[4 if before else 0 : -4]
            for before in range(3)
        }
        return plain | {each.hex().encode() for each in plain} | coded


class Trace(Struct, frozen=True, order=True):
    """A mark that was found."""

    place: str
    mark: str


class Places(Struct, frozen=True):
    """Where to look."""

    superuser_url: str
    redis_url: str
    folders: tuple[Path, ...]


async def seed(
    superuser_url: str, business_id: UUID, rows: Mapping[str, tuple[str, Sequence[Any]]]
) -> list[Mark]:
    """Put a mark into every column of these rows that takes one; return the marks.

    `rows` names for each table the column by which her rows are found, and its values. A column
    that PostgreSQL allows only some words in takes none; what finds the row keeps its value.
    """
    conn = await asyncpg.connect(superuser_url)
    try:
        await conn.execute("SET session_replication_role = replica")
        found = []
        for table, (key, values) in rows.items():
            for column, kind in await _columns(conn, table):
                if column != key and f"{table}.{column}" not in _TAKES_NONE:
                    found += await _put(conn, business_id, table, column, kind, key, values)
        return found
    finally:
        await conn.close()


async def search(places: Places, marks: Sequence[Mark]) -> list[Trace]:
    """Return every place in which a mark is found, in whatever spelling."""
    found = []
    async for place, content in _everything(places):
        small = content.lower()
        found += [
            Trace(place, mark.where)
            for mark in marks
            if any(each in content or each in small for each in mark.spellings())
        ]
    return sorted(set(found))


async def _everything(places: Places) -> AsyncIterator[tuple[str, bytes]]:
    """Read one store after the other: tables whole, keys with their values, files."""
    for table, content in await _tables(places.superuser_url):
        yield table, content
    for key, content in await _keys(places.redis_url):
        yield f"redis {key}", content
    for folder in places.folders:
        for path in await asyncio.to_thread(_files, folder):
            yield f"file {path.relative_to(folder)}", await asyncio.to_thread(path.read_bytes)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def _tables(superuser_url: str) -> Iterable[tuple[str, bytes]]:
    """Dump every table, as COPY writes it: the superuser sees every business."""
    conn = await asyncpg.connect(superuser_url)
    try:
        names = await conn.fetch(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        dumped = []
        for schema, name in names:
            out = BytesIO()
            await conn.copy_from_table(name, schema_name=schema, output=out)
            dumped.append((name, out.getvalue()))
        return dumped
    finally:
        await conn.close()


async def _keys(redis_url: str) -> Iterable[tuple[str, bytes]]:
    """Dump every key of Redis with its value, in its own serialisation."""
    redis = Redis.from_url(redis_url)
    try:
        found = []
        async for key in redis.scan_iter():
            content = await redis.dump(key)
            found.append((key.decode(errors="replace"), key + (content or b"")))
        return found
    finally:
        await redis.aclose()


async def _columns(conn: asyncpg.Connection, table: str) -> list[tuple[str, str]]:
    rows = await conn.fetch(
        "SELECT column_name, udt_name FROM information_schema.columns"
        " WHERE table_schema = 'crm' AND table_name = $1 AND udt_name = ANY ($2)"
        " AND is_generated = 'NEVER'",
        table,
        list(_WORDS),
    )
    return [(row[0], row[1]) for row in rows]


async def _put(  # noqa: PLR0917  (where, what and whose)
    conn: asyncpg.Connection,
    business_id: UUID,
    table: str,
    column: str,
    kind: str,
    key: str,
    values: Sequence[Any],
) -> list[Mark]:
    """Write a mark into one column of one row of hers, if any length of it is allowed there."""
    for length in _LENGTHS:
        value = f"zq{uuid4().hex}"[:length]
        given = {"bytea": value.encode(), "jsonb": f'{{"{value}": 1}}', "_text": [value]}
        statement = (
            f"UPDATE crm.{table} SET {column} = $1 WHERE ctid = ("  # noqa: S608
            f"SELECT ctid FROM crm.{table} WHERE business_id = $2 AND {key} = ANY ($3)"
            f" ORDER BY {column} IS NULL, ctid LIMIT 1)"
        )
        try:
            async with conn.transaction():
                done = await conn.execute(
                    statement, given.get(kind, value), business_id, list(values)
                )
        except asyncpg.PostgresError:
            continue
        return [Mark(f"{table}.{column}", value.encode())] if done != "UPDATE 0" else []
    return []
