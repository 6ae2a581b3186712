"""The schema keeps businesses apart and stays ready for several machines."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest

from crm.businesses import Business
from crm.db import Database
from tests.conftest import Cluster

# Reference tables: the same on every machine, and known before the business is.
REFERENCE = {"business", "host"}
# Triggers guard; these alone write, in the withdrawing transaction, for the same business.
WRITING_TRIGGERS = {
    "consent_excludes",
    "consent_leaves_quarantine",
    "consent_lifts",
    "consent_tallies_changed",
    "consent_tallies_gone",
    "consent_tallies_new",
    "customer_excludes",
    "record_lifts",
    "suppression_excludes",
}


@pytest.fixture(scope="module")
async def catalog(shared_cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """Look at the schema as a superuser."""
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    yield conn
    await conn.close()


async def _tables(catalog: asyncpg.Connection) -> list[str]:
    rows = await catalog.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'r'"
    )
    return sorted(row["relname"] for row in rows)


async def test_every_table_forces_row_level_security(catalog: asyncpg.Connection) -> None:
    """Also for the owner, who would otherwise see everything."""
    rows = await catalog.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'r'"
        " AND NOT (relrowsecurity AND relforcerowsecurity)"
    )

    assert [row["relname"] for row in rows] == []


async def test_every_table_has_the_policy_of_its_business(catalog: asyncpg.Connection) -> None:
    """One policy for the serving roles, by the business of the transaction."""
    rows = await catalog.fetch(
        "SELECT tablename, qual FROM pg_policies WHERE schemaname = 'crm'"
        " AND policyname = 'of_business'"
    )
    policies = {row["tablename"]: row["qual"] for row in rows}

    assert sorted(policies) == await _tables(catalog)
    assert all("crm.business_id" in qual for qual in policies.values())


async def test_the_sweep_sees_ids_only(catalog: asyncpg.Connection) -> None:
    """The one role above businesses reads no column that could hold a person's data."""
    rows = await catalog.fetch(
        "SELECT DISTINCT column_name FROM information_schema.column_privileges"
        " WHERE grantee = 'crm_sweep' AND table_schema = 'crm'"
    )

    assert {row["column_name"] for row in rows} == {
        "active",
        "beat_at",
        "begun_at",
        "business_id",
        "campaign_id",
        "changed_at",
        "clearing",
        "created_at",
        "debt_id",
        "done_at",
        "due_at",
        "ended_at",
        "endpoint_id",
        "entered_at",
        "expires_at",
        "host",
        "import_id",
        "kind",
        "last_at",
        "last_ended_at",
        "leased_until",
        "next_at",
        "number",
        "open",
        "origin_number",
        "position",
        "purpose_id",
        "relays_as_of",
        "reports",
        "rest_until",
        "return_domain",
        "scheduled_at",
        "sending",
        "settled_at",
        "signed_size",
        "size",
        "state",
        "stopped_why",
        "via",
        "waiting",
        "what",
        "xact",
    }


async def test_every_key_begins_with_the_business(catalog: asyncpg.Connection) -> None:
    """Primary keys and unique indexes, partial ones too."""
    rows = await catalog.fetch(
        """
        SELECT t.relname AS table_name, i.relname AS index_name, a.attname AS first
          FROM pg_index x
          JOIN pg_class t ON t.oid = x.indrelid AND t.relnamespace = 'crm'::regnamespace
          JOIN pg_class i ON i.oid = x.indexrelid
          JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[0]
         WHERE x.indisunique
        """
    )
    strangers = [
        row["index_name"]
        for row in rows
        if row["first"] != "business_id" and row["table_name"] not in REFERENCE
    ]

    assert strangers == []


async def test_every_foreign_key_carries_the_business(catalog: asyncpg.Connection) -> None:
    """On both sides, and none sets a column to null."""
    rows = await catalog.fetch(
        """
        SELECT c.conname, c.confdeltype::text AS deletes,
               ARRAY(SELECT attname FROM pg_attribute
                      WHERE attrelid = c.conrelid AND attnum = ANY (c.conkey)) AS here,
               ARRAY(SELECT attname FROM pg_attribute
                      WHERE attrelid = c.confrelid AND attnum = ANY (c.confkey)) AS there
          FROM pg_constraint c
         WHERE c.contype = 'f' AND c.connamespace = 'crm'::regnamespace
        """
    )

    assert rows
    for row in rows:
        assert "business_id" in row["here"], row["conname"]
        assert "business_id" in row["there"], row["conname"]
        assert row["deletes"] == "a", row["conname"]


async def test_views_see_what_their_reader_may_see(catalog: asyncpg.Connection) -> None:
    """Without security_invoker a view shows every business's rows."""
    rows = await catalog.fetch(
        "SELECT relname, reloptions FROM pg_class"
        " WHERE relnamespace = 'crm'::regnamespace AND relkind = 'v'"
    )

    assert rows
    assert all("security_invoker=true" in (row["reloptions"] or []) for row in rows)


async def test_few_triggers_write(catalog: asyncpg.Connection) -> None:
    """All others guard."""
    rows = await catalog.fetch(
        """
        SELECT DISTINCT t.tgname, p.prosrc
          FROM pg_trigger t
          JOIN pg_class c ON c.oid = t.tgrelid AND c.relnamespace = 'crm'::regnamespace
          JOIN pg_proc p ON p.oid = t.tgfoid
         WHERE NOT t.tgisinternal
        """
    )
    writing = {
        row["tgname"]
        for row in rows
        if re.search("exclude_waiting|DELETE FROM|INSERT INTO", row["prosrc"])
    }
    guards = {row["tgname"]: row["prosrc"] for row in rows if row["tgname"] not in writing}

    assert writing == WRITING_TRIGGERS
    for name, source in guards.items():
        assert not any(word in source for word in ("INSERT ", "UPDATE crm", "DELETE FROM")), name


async def test_functions_above_the_caller_are_few(catalog: asyncpg.Connection) -> None:
    """Each SECURITY DEFINER function has a fixed search path and is not for everybody."""
    rows = await catalog.fetch(
        """
        SELECT p.proname, r.rolname AS owner, p.proconfig,
               has_function_privilege('public', p.oid, 'EXECUTE') AS everybody
          FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
         WHERE p.pronamespace = 'crm'::regnamespace AND p.prosecdef
        """
    )

    assert {row["proname"]: row["owner"] for row in rows} == {
        "analyze_customers": "crm_owner",
        "analyze_deliveries": "crm_owner",
        "business_of_host": "crm_sweep",
        "businesses": "crm_sweep",
        "businesses_with_letters": "crm_sweep",
        "businesses_with_service_messages": "crm_sweep",
        "campaigns_over": "crm_sweep",
        "campaigns_sending": "crm_sweep",
        "campaigns_to_start": "crm_sweep",
        "cancellations_due": "crm_sweep",
        "digests_due": "crm_sweep",
        "endpoints_due": "crm_sweep",
        "endpoints_to_clear": "crm_sweep",
        "feeds_behind": "crm_sweep",
        "feeds_due": "crm_sweep",
        "erase_consent": "crm_eraser",
        "close_undos": "crm_prover",
        "leave_address": "crm_prover",
        "prove_new_address": "crm_prover",
        "prove_sign_in": "crm_prover",
        "prove_sign_up": "crm_prover",
        "undo_new_address": "crm_prover",
        "erase_events": "crm_eraser",
        "end_events": "crm_eraser",
        "end_records": "crm_eraser",
        "end_proofs": "crm_eraser",
        "end_files": "crm_eraser",
        "end_kept_proofs": "crm_eraser",
        "end_requests": "crm_eraser",
        "imports_elsewhere": "crm_sweep",
        "imports_waiting": "crm_sweep",
        "journal_marks": "crm_sweep",
        "leases_due": "crm_sweep",
        "retention_rounds": "crm_sweep",
        "ledgers_due": "crm_sweep",
        "ledgers_health": "crm_sweep",
        "value_checks_waiting": "crm_sweep",
        "businesses_of_return_domain": "crm_sweep",
        "inbound_counts": "crm_sweep",
        "mailboxes_due": "crm_sweep",
    }
    for row in rows:
        assert row["proconfig"] == ["search_path=pg_catalog"], row["proname"]
        assert not row["everybody"], row["proname"]


async def test_no_role_is_above_row_level_security(catalog: asyncpg.Connection) -> None:
    """Not the application, not the owner, not the sweep, not the eraser."""
    rows = await catalog.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'crm\\_%'"
        " AND (rolsuper OR rolbypassrls OR rolcreaterole)"
    )

    assert rows == []


async def test_without_a_business_nothing_is_seen(
    shared_cluster: Cluster, business: Business
) -> None:
    """A statement outside a transaction of a business fails closed."""
    conn = await asyncpg.connect(shared_cluster.app_url)
    try:
        with pytest.raises(asyncpg.PostgresError):
            await conn.fetch("SELECT * FROM crm.business WHERE business_id = $1", business.id)
    finally:
        await conn.close()


async def test_another_business_sees_nothing(
    database: Database, shared_cluster: Cluster, business: Business, other_business: Business
) -> None:
    """Not even where a statement forgets to name the business."""
    conn = await asyncpg.connect(shared_cluster.app_url)
    try:
        await conn.execute(f"BEGIN; SELECT crm.begin_business('{other_business.id}')")
        seen = await conn.fetch("SELECT business_id FROM crm.business")
    finally:
        await conn.close()

    assert business.id not in {row["business_id"] for row in seen}
    assert {row["business_id"] for row in seen} == {other_business.id}
