"""The statements of an import with their arguments, kept and run again by PostgreSQL alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from crm.bench.stage import Stage
from crm.connections import Connection, Connections, connected
from crm.db import Database, Statements, no_wake

# All that an import asks or writes in its one transaction, besides its turn and its end.
_MERGE = {
    "customers": (
        "known_customers", "values_held", "tags_held", "external_ids_held", "add_customers",
        "add_customers_with_ids", "fill_customers", "values_not_allowed", "fill_values",
        "tags_not_allowed", "fill_tags",
    ),
    "consent": ("consents_for_purpose", "hold_customers", "append_events"),
    "events": ("record_events",),
    "mail": ("suppressed_among", "suppress"),
    "imports": ("add_to_quarantine", "add_rows", "analyze_customers"),
}  # fmt: skip
_CHANGE = {
    "uuid": "{column} = $2 WHERE {column} = $1",
    "uuid[]": "{column} = array_replace({column}, $1, $2) WHERE $1 = ANY ({column})",
}
_BEGINNING = Statements("imports").add_import.sql

Heard = asyncio.Queue["asyncpg.connection.LoggedQuery | None"]


class Kept(Struct):
    """One statement: its SQL and the types of its parameters; the table `bench.step_N` has them."""

    number: int
    sql: str
    types: list[str]

    @property
    def table(self) -> str:
        """Where its arguments are."""
        return f"bench.step_{self.number}"


class Recording:
    """What an import asked of PostgreSQL, in order; the arguments are in tables beside.

    Only the owner may make tables there, and she may not read customers: so they come by way of us.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._kept: dict[str, Kept] = {}
        self._began: tuple[Any, ...] = ()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Database]:
        """Lend a database of which everything that belongs to a merge is kept."""
        settings, quiet = self._stage.here.settings, self._stage.quiet
        heard: Heard = asyncio.Queue()

        async def opened() -> Connection:
            conn = await connected(settings.database_url)
            conn.add_query_logger(heard.put_nowait)
            return conn

        connections = Connections(opened, 4)
        owner = await asyncpg.connect(settings.migrate_database_url)
        try:
            await owner.execute("DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench")
            await owner.execute("CREATE TABLE bench.step (at serial, number integer)")
            keeping = asyncio.create_task(self._keep(owner, heard))
            yield Database(connections, quiet.keys, no_wake, quiet.clock)
            heard.put_nowait(None)
            await keeping
            await owner.execute("GRANT USAGE ON SCHEMA bench TO crm_app; ANALYZE bench.step")
            await owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA bench TO crm_app")
        finally:
            await connections.close()
            await owner.close()

    async def _keep(self, owner: asyncpg.Connection, heard: Heard) -> None:
        merge = {
            getattr(Statements(domain), name).sql
            for domain, names in _MERGE.items()
            for name in names
        }
        while (said := await heard.get()) is not None:
            if said.query == _BEGINNING:
                self._began = tuple(said.args)
            elif said.query in merge:
                kept = self._kept.get(said.query) or await self._table(owner, said.query)
                at = await owner.fetchval(
                    "INSERT INTO bench.step (number) VALUES ($1) RETURNING at", kept.number
                )
                places = ", ".join(f"${place}" for place in range(1, len(said.args) + 2))
                await owner.execute(f"INSERT INTO {kept.table} VALUES ({places})", at, *said.args)  # noqa: S608  (our own names)

    async def _table(self, owner: asyncpg.Connection, sql: str) -> Kept:
        """Make the table for the arguments of a statement; long ones lie there uncompressed."""
        conn = await connected(self._stage.here.settings.database_url)
        try:
            types = [each.name for each in (await conn.prepare(sql)).get_parameters()]
        finally:
            await conn.close()
        kept = self._kept[sql] = Kept(len(self._kept), sql, types)
        columns = "".join(f", a{place} {name}" for place, name in enumerate(types))
        await owner.execute(f"CREATE TABLE {kept.table} (at integer PRIMARY KEY{columns})")
        for place, name in enumerate(types):
            if name.endswith("[]"):
                await owner.execute(
                    f"ALTER TABLE {kept.table} ALTER COLUMN a{place} SET STORAGE EXTERNAL"
                )
        return kept

    async def again(self, business_id: UUID, changed: Mapping[UUID, UUID]) -> float:
        """Run all of it for another business, with these ids changed; return the seconds it took.

        One block of PL/pgSQL, so nothing goes back and forth.
        """
        settings = self._stage.here.settings
        owner = await asyncpg.connect(settings.migrate_database_url)
        conn = await connected(settings.database_url)
        try:
            await self._change(owner, changed)
            self._began = tuple(
                changed.get(each, each) if isinstance(each, UUID) else each for each in self._began
            )
            begin = "SELECT crm.begin_business($1)"
            async with conn.transaction():
                await conn.execute(begin, business_id)
                await conn.execute(_BEGINNING, *self._began)
            await conn.execute("SET statement_timeout = 0")
            block = self._block()
            began = time.monotonic()
            async with conn.transaction():
                await conn.execute(begin, business_id)
                await conn.execute(block)
            return time.monotonic() - began
        finally:
            await conn.close()
            await owner.close()

    async def _change(self, owner: asyncpg.Connection, changed: Mapping[UUID, UUID]) -> None:
        for kept in self._kept.values():
            for place, name in enumerate(kept.types):
                if name not in _CHANGE:
                    continue
                change = _CHANGE[name].format(column=f"a{place}")
                for old, new in changed.items():
                    await owner.execute(f"UPDATE {kept.table} SET {change}", old, new)  # noqa: S608  (our own names)
            await owner.execute(f"VACUUM ANALYZE {kept.table}")

    def _block(self) -> str:
        declared = "".join(f" s{each.number} {each.table};" for each in self._kept.values())
        cases = "\n".join(_case(each) for each in self._kept.values())
        return (
            f"DO $do$ DECLARE step record;{declared} BEGIN\n"  # noqa: S608  (our own statements)
            "FOR step IN SELECT at, number FROM bench.step ORDER BY at LOOP\n"
            f"CASE step.number\n{cases}\nEND CASE; END LOOP; END $do$"
        )


def _case(kept: Kept) -> str:
    using = ", ".join(f"s{kept.number}.a{place}" for place in range(len(kept.types)))
    given = f" USING {using}" if using else ""
    return (
        f"WHEN {kept.number} THEN\n"
        f"SELECT * INTO s{kept.number} FROM {kept.table} k WHERE k.at = step.at;\n"
        f"EXECUTE $sql${kept.sql}$sql${given};"
    )
