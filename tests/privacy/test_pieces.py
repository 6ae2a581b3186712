"""A piece of a sweep reads what it is about, however large the tables are."""

from __future__ import annotations

from uuid import UUID

import asyncpg
from msgspec import Struct

from crm import customers
from crm.customers import LawfulBasis, NewAttribute, NewValue
from crm.customers.interaction import NewKind
from crm.customers.tag import NewTag
from crm.customers.value import AttributeType
from crm.db import Database, Db, Statement, open_database
from crm.pieces import Sweep
from crm.privacy.retention.sweeps import SWEEPS
from tests import make
from tests.conftest import KEYS, Cluster

MANY = 1_000
PIECE = 10
FIRST = UUID(int=0)
TABLES = (
    "attribute_value", "consent", "consent_record", "customer", "customer_tag", "event",
    "interaction",
)  # fmt: skip
# Rows of those tables that one piece may touch: some columns of each of its few, several times.
FEW = 40 * PIECE

TOUCHED = Statement(
    "touched",
    "How many rows of each table this transaction has read, by an index or without.",
    "SELECT relname::text AS name, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows"
    " FROM pg_stat_xact_user_tables WHERE relname = ANY ($1) ORDER BY 1",
    ("tables",),
)
ONE_PLAN = Statement(
    "one_plan",
    "As PostgreSQL does when a statement was asked often.",
    "SET LOCAL plan_cache_mode = force_generic_plan",
    (),
)
TAGGED = Statement(
    "tagged",
    "A tag on every customer.",
    "INSERT INTO customer_tag (business_id, customer_id, name, set_at)"
    " SELECT business_id, customer_id, 'bakes', $2 FROM customer WHERE business_id = $1",
    ("business_id", "at"),
)
HAPPENED = Statement(
    "happened",
    "As many purchases as there are customers.",
    "INSERT INTO interaction (business_id, interaction_id, customer_id, kind, at, title, detail,"
    " actor_kind, recorded_at)"
    " SELECT business_id, gen_random_uuid(), customer_id, 'purchase', $2, 'Rye', '', 'system', $2"
    " FROM customer WHERE business_id = $1",
    ("business_id", "at"),
)


class Touched(Struct):
    """A table, and how many of its rows were read."""

    name: str
    rows: int


async def _grown(db: Db) -> None:
    notice = await make.notice(db, (await make.purpose(db)).id)
    ids = await make.audience(db, notice, MANY)
    for name, purpose_id in (("town", None), ("diet", notice.purpose_id)):
        new = NewAttribute(basis=LawfulBasis.legitimate_interests,
            origin="From you.",
            label=name, type=AttributeType.text, purpose="For socks.", retention="P2Y",
            purpose_id=purpose_id,
        )  # fmt: skip
        await customers.declare_attribute(db, make.SYSTEM, name, new)
        await customers.fill_attributes(db, [NewValue(each, name, "Exampleton") for each in ids])
    kind = NewKind(label="Purchase", purpose="For the till.", retention="P2Y")
    await customers.declare_kind(db, make.SYSTEM, "purchase", kind)
    await db.run(HAPPENED, at=db.now)
    tag = NewTag(
        label="Bakes", purpose="For courses.", retention="P2Y", purpose_id=notice.purpose_id
    )
    await customers.declare_tag(db, make.SYSTEM, "bakes", tag)
    await db.run(TAGGED, at=db.now)


async def _touched(database: Database, business_id: UUID, act: Sweep) -> int:
    async with database.write(business_id) as db:
        await db.run(ONE_PLAN)
        # After the first, for some look further than the nothing before it.
        piece = await act(db, FIRST, PIECE)
        before = await db.many(TOUCHED, Touched, tables=list(TABLES))
        await act(db, piece.upto or FIRST, PIECE)
        after = await db.many(TOUCHED, Touched, tables=list(TABLES))
    return max(one.rows - other.rows for one, other in zip(after, before, strict=True))


async def test_a_piece_reads_few_rows(own_cluster: Cluster) -> None:
    """Also by the one plan that is made for all values: no sweep reads a table as a whole."""
    async with open_database(own_cluster.app_url, KEYS, size=1) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            await _grown(db)
        owner = await asyncpg.connect(own_cluster.owner_url)
        for table in TABLES:
            await owner.execute(f"ANALYZE crm.{table}")
        await owner.close()
        touched = {name: await _touched(database, business.id, act) for name, act in SWEEPS.items()}

    assert {name: rows for name, rows in touched.items() if rows > FEW} == {}
