"""A connection that lives long does not keep a plan that was made when a table was small.

The tables are analysed while they are all but empty and grow then, as on a new installation,
without anybody telling the planner.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest
from msgspec import Struct

from crm import connections, consent, customers
from crm.businesses import Business
from crm.consent import Circumstances, Method, Notice
from crm.db import Database, Db, Statement, Statements, open_database
from crm.web.idempotency import Claim
from tests import make
from tests.conftest import KEYS, Cluster

# PostgreSQL makes one plan for all values when it has made five for given ones.
TIMES = 10
MANY = 2_000
TABLES = ("customer", "idempotency_key", "consent")
FEW = 100
web = Statements("web")
imports = Statements("imports")

WHOLE = Statement(
    "whole",
    "How often this connection has read each table as a whole, since it last reported that.",
    "SELECT relname::text AS name, seq_scan AS times FROM pg_stat_xact_user_tables"
    " WHERE relname = ANY ($1) ORDER BY 1",
    ("tables",),
)
FETCHED = Statement(
    "fetched",
    "How many states of consent this transaction has read by an index so far.",
    "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'consent'",
    (),
)
GROW = Statement(
    "grow",
    "Many answers at once.",
    "INSERT INTO idempotency_key (business_id, scope, key, fingerprint, status, body,"
    " created_at, expires_at) SELECT $1, $2, n::text, '', 200, '', $3, $3"
    " FROM generate_series(1, $4) AS n",
    ("business_id", "scope", "now", "rows"),
)
HELPED = Statement(
    "helped",
    "Which process of PostgreSQL has computed this.",
    "SELECT crm.which_process()",
    (),
)


class Table(Struct):
    """A table, and how often it was read as a whole."""

    name: str
    times: int


class Shop(Struct):
    """A business with a notice and one customer."""

    id: UUID
    notice: Notice
    customer_id: UUID


async def opened(database: Database) -> Shop:
    business = await make.business(database)
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        (customer_id,) = await make.audience(db, notice, 1)
        await db.run(GROW, scope="first", rows=1)
    return Shop(business.id, notice, customer_id)


async def settled(cluster: Cluster) -> None:
    """Let the planner know the tables as they are, and nothing of what is to come."""
    owner = await asyncpg.connect(cluster.owner_url)
    for table in TABLES:
        await owner.execute(f"ALTER TABLE crm.{table} SET (autovacuum_enabled = off)")
        await owner.execute(f"VACUUM ANALYZE crm.{table}")
    await owner.close()


async def asked(db: Db, shop: Shop, key: str) -> None:
    """Read by a key, let a function read, and let foreign keys be checked."""
    await customers.get(db, shop.customer_id)
    await db.one(web.claim_answer, Claim, scope="s", key=key)
    await consent.state(db, shop.customer_id, shop.notice.purpose_id)
    asking = Circumstances(Method.web_form)
    await consent.request(db, make.SYSTEM, shop.customer_id, shop.notice.question, asking)


async def grown(cluster: Cluster, shop: Shop) -> None:
    async with (
        open_database(cluster.app_url, KEYS, size=1) as other,
        other.write(shop.id) as db,
    ):
        await make.audience(db, shop.notice, MANY, prefix="later")
        await db.run(GROW, scope="later", rows=MANY)


@pytest.mark.parametrize(
    ("seconds", "whole"), [(float("inf"), ["consent", "customer", "idempotency_key"]), (-1.0, [])]
)
async def test_plans_follow_the_size_of_the_tables(
    own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch, seconds: float, whole: list[str]
) -> None:
    """Where plans are kept for ever, this shows what would happen."""
    async with open_database(own_cluster.app_url, KEYS, size=1) as database:
        shop = await opened(database)
        await settled(own_cluster)
        for number in range(TIMES):
            async with database.write(shop.id) as db:
                await asked(db, shop, f"before {number}")
        await grown(own_cluster, shop)
        monkeypatch.setattr(connections, "PLAN_SECONDS", seconds)
        async with database.write(shop.id) as db:
            before = await db.many(WHOLE, Table, tables=list(TABLES))
            await asked(db, shop, "after")
            after = await db.many(WHOLE, Table, tables=list(TABLES))
        assert [one.name for one, other in zip(after, before, strict=True) if one != other] == whole


async def test_an_import_looks_up_states_by_their_key(own_cluster: Cluster) -> None:
    """Nobody tells the planner how many rows it has written, and it takes all of them for one.

    To read them all again for each batch made a list of a million take three times as long.
    """
    async with open_database(own_cluster.app_url, KEYS, size=1) as database:
        shop = await opened(database)
        purpose_id = shop.notice.purpose_id
        async with database.write(shop.id) as db:
            some = (await make.audience(db, shop.notice, MANY, prefix="new"))[:FEW]
            before = await db.one(FETCHED, int)
            for _ in range(TIMES):
                assert len(await consent.states_for(db, purpose_id, some)) == FEW
            looked_up = await db.one(FETCHED, int)
            for _ in range(TIMES):
                await quarantined(db, purpose_id, some)
            kept = await db.one(FETCHED, int)
    assert looked_up - before <= TIMES * FEW
    assert kept - looked_up <= TIMES * FEW


async def quarantined(db: Db, purpose_id: UUID, customer_ids: list[UUID]) -> None:
    """Try to keep rows of customers who have all decided: none is kept."""
    kept = await db.run(
        imports.add_to_quarantine,
        customer_ids=customer_ids,
        parts=[""] * len(customer_ids),
        lines=list(range(len(customer_ids))),
        whys=["It has no time."] * len(customer_ids),
        purpose_id=purpose_id,
        import_id=UUID(int=0),
        ends_at=db.now,
    )
    assert kept == 0


async def test_a_snapshot_is_one_also_where_plans_are_old(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgetting them is no reason for PostgreSQL to refuse it, nor to write or to read."""
    monkeypatch.setattr(connections, "PLAN_SECONDS", 0.0)
    for begin in (database.snapshot, database.read, database.write):
        async with begin(business.id) as db:
            assert await customers.page(db) == []


async def test_several_processes_help_with_a_total(
    database: Database, business: Business, shared_cluster: Cluster
) -> None:
    """And with one row none does, whatever was planned."""
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    await conn.execute(
        "CREATE FUNCTION crm.which_process() RETURNS integer LANGUAGE plpgsql PARALLEL SAFE AS"
        " $$ BEGIN RETURN pg_backend_pid(); END $$"
    )
    name = "debug_parallel_query" if conn.get_server_version().major > 15 else "force_parallel_mode"
    try:
        async with database.read(business.id) as db:
            own = await db._conn.fetchval("SELECT pg_backend_pid()")  # noqa: SLF001
            await db._conn.execute(f"SET LOCAL {name} = on")  # noqa: SLF001
            alone, helped = await db.one(HELPED, int), await db.total(HELPED)
    finally:
        await conn.execute("DROP FUNCTION crm.which_process()")
        await conn.close()

    assert alone == own
    assert helped != own
