"""What is asked above all businesses, every few seconds, reads no work that is over."""

from __future__ import annotations

import asyncpg

from crm.db import Database, Statements
from tests import make
from tests.conftest import Cluster

# Work that is over, of one business, but for one campaign that sends.
OVER = """
INSERT INTO crm.campaign (business_id, campaign_id, purpose_id, format, state, created_at,
                          changed_at, started_at, ended_at)
SELECT $1, gen_random_uuid(), $1, 'markdown', 'done', now(), now(), now(), now()
  FROM generate_series(1, 20000);
INSERT INTO crm.campaign (business_id, campaign_id, purpose_id, format, state, created_at,
                          changed_at, started_at)
VALUES ($1, gen_random_uuid(), $1, 'markdown', 'sending', now(), now(), now());
INSERT INTO crm.lease (business_id, campaign_id, number, low, high, cursor, due_at, waiting,
                       excluded, open)
SELECT business_id, campaign_id, 1, $1, $1, $1, now(), 0, 0, state = 'sending' FROM crm.campaign;
INSERT INTO crm.value_check (business_id, campaign_id, version, purpose_id, state, walked_to,
                             audience, began_at, beat_at, ended_at)
SELECT business_id, campaign_id, 1, $1, 'done', $1, 0, now(), now(), now() FROM crm.campaign;
INSERT INTO crm.import (business_id, import_id, purpose_id, notice_id, file_name, file_sha256,
                        format, state, actor_kind, created_at, done_at)
SELECT $1, campaign_id, $1, $1, 'list.csv', sha256(''), '', 'done', 'system', now(), now()
  FROM crm.campaign;
"""
TABLES = ["campaign", "import", "lease", "value_check"]
READ = """SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)
  FROM pg_stat_xact_user_tables WHERE relname = ANY ($1)"""
ASKED = (
    "campaigns_over",
    "campaigns_sending",
    "campaigns_to_start",
    "cancellations_due",
    "imports_waiting",
    "leases_due",
    "value_checks_waiting",
)


async def test_a_sweep_reads_no_work_that_is_over(
    own_cluster: Cluster, own_database: Database
) -> None:
    business = await make.business(own_database)
    root = await asyncpg.connect(own_cluster.superuser_url)
    await root.execute("SET session_replication_role = replica")
    for each in filter(str.strip, OVER.split(";")):
        await root.execute(each.replace("$1", f"'{business.id}'"))
    for table in TABLES:
        await root.execute(f"VACUUM ANALYZE crm.{table}")
    above, read = Statements("above"), {}
    for name in ASKED:
        statement = getattr(above, name)
        async with root.transaction():
            # What this connection did before may not have been handed on yet.
            before = await root.fetchval(READ, TABLES)
            await root.fetch(statement.sql, *[own_database.clock() for _ in statement.params])
            read[name] = await root.fetchval(READ, TABLES) - before
    await root.close()

    assert {name: rows for name, rows in read.items() if rows > len(ASKED)} == {}
