"""Ranges that rest while a database is brought to this version are woken as any others."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg

from tests.conftest import Cluster
from tests.test_upgrade import AT, insert, upgraded

# The last migration before a range that rests for caps knew relays.
BEFORE = 109


async def rested(conn: asyncpg.Connection) -> None:
    """Ranges that wait: for caps, for a relay, and for their turn."""
    # Neither businesses nor campaigns are needed.
    await conn.execute("SET session_replication_role = replica")
    for number in (1, 2, 3):
        relay = {"name": f"R{number}", "host": "localhost", "port": 25, "tls": "none"}
        kept = {"weight": 1, "connections": 1, "active": number < 3}
        times = dict.fromkeys(("created_at", "changed_at"), AT + timedelta(days=number))
        of = {"business_id": UUID(int=1), "relay_id": UUID(int=number)}
        await insert(conn, "relay", **of, **relay, **kept, **times)
    for number, waits_for in enumerate(("cap R1", "relay R1", "")):
        sums = {"waiting": 1, "excluded": 0, "waits_for": waits_for, "due_at": AT}
        keys = dict.fromkeys(("campaign_id", "low", "high", "cursor"), UUID(int=1))
        await insert(conn, "lease", business_id=UUID(int=1), number=number, **keys, **sums)


async def test_what_rested_for_a_cap_is_woken_by_a_relay_that_is_changed(cluster: Cluster) -> None:
    """It knows those that are in use as they were before, so only a later change wakes it."""
    async with upgraded(cluster, BEFORE, rested) as (here, _):
        root = await asyncpg.connect(here.superuser_url)
        known = await root.fetch("SELECT relays_as_of FROM crm.lease ORDER BY number")
        await root.close()

    assert [each["relays_as_of"] for each in known] == [AT + timedelta(days=2), None, None]
