"""How fast a customer list is imported, beside PostgreSQL merging the same rows already parsed."""

from __future__ import annotations

import asyncio
import io
import time
from uuid import UUID

import asyncpg

from crm import imports
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Say, interleaved
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
    "ledger_unsealed": "business_id, entry_id",
}
_COLUMNS = """
SELECT quote_ident(attname) AS name FROM pg_attribute
 WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
 ORDER BY attnum
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
    notes: Notes = {
        "rows": expected.rows,
        "ceiling": "INSERT … SELECT of the same rows, already judged, same role, one transaction",
    }
    return [Figure("import", runs["crm import"], [Beside(runs[merge], Goal(0.4))], notes)]


async def _merged(stage: Stage, source: Cast, target: Cast) -> float:
    """Give all that one business holds to another; return the seconds of the transaction."""
    settings = stage.here.settings
    conn = await asyncpg.connect(settings.database_url)
    owner = await asyncpg.connect(settings.migrate_database_url)
    try:
        await _stage(conn, owner, source)
        statements = [await _statement(conn, table, source, target) for table in _TABLES]
        began = time.monotonic()
        async with conn.transaction():
            await _begin(conn, target.business.id)
            for statement in statements:
                await conn.execute(statement)
        return time.monotonic() - began
    finally:
        await conn.close()
        await owner.close()


async def _stage(conn: asyncpg.Connection, owner: asyncpg.Connection, source: Cast) -> None:
    """Copy one business's rows to a schema beside: only the owner may make tables there.

    The owner may not read them where they are, so they come by way of us.
    """
    await owner.execute("DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench")
    await owner.execute("GRANT USAGE ON SCHEMA bench TO crm_app")
    for table in _TABLES:
        rows = io.BytesIO()
        async with conn.transaction():
            await _begin(conn, source.business.id)
            query = f"SELECT * FROM crm.{table}"  # noqa: S608  (one of our own names)
            await conn.copy_from_query(query, output=rows, format="binary")
        rows.seek(0)
        await owner.execute(f"CREATE TABLE bench.{table} (LIKE crm.{table})")
        await owner.copy_to_table(table, schema_name="bench", source=rows, format="binary")
        await owner.execute(f"ANALYZE bench.{table}; GRANT SELECT ON bench.{table} TO crm_app")


async def _begin(conn: asyncpg.Connection, business_id: UUID) -> None:
    await conn.execute("SELECT crm.begin_business($1)", business_id)


async def _statement(conn: asyncpg.Connection, table: str, source: Cast, target: Cast) -> str:
    """Write the merge of one table: the same rows, with the ids of the other business."""
    changed = {
        "business_id": f"'{target.business.id}'::uuid",
        "purpose_id": f"'{target.purpose.id}'::uuid",
        "notice_id": (
            f"CASE WHEN notice_id = '{source.notice.id}' THEN '{target.notice.id}'::uuid END"
        ),
        "warrants": (
            f"CASE WHEN warrants = '{source.notice.id}' THEN '{target.notice.id}'::uuid"
            " ELSE warrants END"
        ),
        "import_id": "NULL",
    }
    names = [row["name"] for row in await conn.fetch(_COLUMNS, f"crm.{table}")]
    values = ", ".join(changed.get(name, name) for name in names)
    return (
        f"INSERT INTO crm.{table} ({', '.join(names)}) SELECT {values} FROM bench.{table} "  # noqa: S608  (names of our own schema)
        f"ON CONFLICT ({_TABLES[table]}) DO NOTHING"
    )
