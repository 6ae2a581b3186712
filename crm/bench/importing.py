"""How fast a customer list is imported, beside PostgreSQL merging the same rows already parsed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

import asyncpg

from crm import imports
from crm.bench.figure import Beside, Figure, Goal, Missing, Say, interleaved
from crm.bench.stage import SYSTEM, Cast, Stage, found
from crm.demo.people import write_export

_SEED = 20260604
# In the order of their foreign keys, with the index that decides what is new.
_TABLES = {
    "customer": "business_id, folded",
    "consent_event": "business_id, event_id",
    "consent_record": "business_id, event_id",
    "consent": "business_id, customer_id, purpose_id",
    "suppression": "business_id, address_hash",
}
_COLUMNS = """
SELECT quote_ident(attname) AS name FROM pg_attribute
 WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


async def importing(stage: Stage, customers: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure the import of a file in Mailchimp's format, new customers all of them."""
    path = stage.directory / "subscribers.csv"
    expected = await asyncio.to_thread(write_export, path, customers=customers, seed=_SEED)
    imported: list[Cast] = []

    async def ours(_: int) -> float:
        await stage.settle()
        cast = await found(stage.quiet)
        imported.append(cast)
        began = time.monotonic()
        await imports.work_file(stage.quiet, cast.business.id, SYSTEM, cast.purpose.slug, path)
        return expected.rows / (time.monotonic() - began)

    async def ceiling(_: int) -> float:
        await stage.settle()
        seconds = await _merged(stage, imported[-1], await found(stage.quiet))
        return expected.rows / seconds

    merge = "PostgreSQL alone"
    runs = await interleaved(
        rounds, {"crm import": ("rows/s", ours), merge: ("rows/s", ceiling)}, say
    )
    notes = {
        "rows": expected.rows,
        "bytes": Path(path).stat().st_size,
        "ceiling": "INSERT … SELECT of the same rows, parsed and judged, one transaction, same role",
    }
    return [Figure("import", runs["crm import"], [Beside(runs[merge], Goal(0.4))], notes)]


async def _merged(stage: Stage, source: Cast, target: Cast) -> float:
    """Give all that one business holds to another; return the seconds of the transaction."""
    conn = await asyncpg.connect(stage.here.settings.database_url)
    try:
        async with conn.transaction():
            await _begin(conn, source.business.id)
            for table in _TABLES:
                await conn.execute(f"CREATE TEMP TABLE {table} AS SELECT * FROM crm.{table}")  # noqa: S608
            await conn.execute("ANALYZE")
        statements = [await _statement(conn, table, source, target) for table in _TABLES]
        began = time.monotonic()
        async with conn.transaction():
            await _begin(conn, target.business.id)
            for statement in statements:
                await conn.execute(statement)
        return time.monotonic() - began
    finally:
        await conn.close()


async def _begin(conn: asyncpg.Connection, business_id: UUID) -> None:
    await conn.execute("SELECT crm.begin_business($1)", business_id)


async def _statement(conn: asyncpg.Connection, table: str, source: Cast, target: Cast) -> str:
    """Write the merge of one table: the same rows, with the ids of the other business."""
    changed = {
        "business_id": f"'{target.business.id}'::uuid",
        "purpose_id": f"'{target.purpose.id}'::uuid",
        "notice_id": f"CASE WHEN notice_id = '{source.notice.id}' THEN '{target.notice.id}'::uuid END",
        "import_id": "NULL",
    }
    names = [row["name"] for row in await conn.fetch(_COLUMNS, f"crm.{table}")]
    values = ", ".join(changed.get(name, name) for name in names)
    return (
        f"INSERT INTO crm.{table} ({', '.join(names)}) SELECT {values} FROM pg_temp.{table} "  # noqa: S608  (names of our own schema)
        f"ON CONFLICT ({_TABLES[table]}) DO NOTHING"
    )
