"""Numbers are compared as they are, and looked up by the nearest double, as an index can."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from crm import customers, segments
from crm.db import Database
from crm.segments.compiling import counting
from tests import make
from tests.conftest import Cluster
from tests.segments.conftest import Shop

# All three have one double.
BELOW, AT, ABOVE = "899999999999999.999999", "900000000000000", "900000000000000.000001"

_MANY = """
INSERT INTO crm.attribute_value (business_id, customer_id, name, text_value, number, set_at)
SELECT $1, gen_random_uuid(), 'points', n::text, n, now() FROM generate_series(0, 4999) AS n
"""


def _rule(compared: str, value: str) -> dict[str, Any]:
    return {"test": "attribute", "name": "points", "is": compared, "value": value}


@pytest.mark.parametrize(
    ("compared", "selected"),
    [
        ("equals", {AT}),
        ("less_than", {BELOW}),
        ("at_most", {BELOW, AT}),
        ("at_least", {AT, ABOVE}),
        ("more_than", {ABOVE}),
    ],
)
async def test_numbers_of_one_double_are_told_apart(
    database: Database, shop: Shop, compared: str, selected: set[str]
) -> None:
    assert float(BELOW) == float(AT) == float(ABOVE)
    async with database.write(shop.business.id) as db:
        held = dict(zip((BELOW, AT, ABOVE), shop.ids, strict=False))
        for number, each in held.items():
            await customers.set_attributes(db, make.SYSTEM, each, {"points": number})
        found = await segments.count(db, _rule(compared, AT), sample=3)

    assert set(found.sample) == {held[each] for each in selected}


@pytest.mark.parametrize(
    ("compared", "value"),
    [
        ("equals", "500"),
        ("less_than", "10"),
        ("at_most", "10"),
        ("at_least", "4990"),
        ("more_than", "4990"),
    ],
)
async def test_only_numbers_in_reach_are_read(
    database: Database, shop: Shop, shared_cluster: Cluster, compared: str, value: str
) -> None:
    """Behind row-level security, too, the comparison narrows what is read of the index."""
    async with database.read(shop.business.id) as db:
        rule = await segments.checked(db, _rule(compared, value))
        known, at = await segments.vocabulary(db), await segments.instant(db)
    asked = counting(rule, known, at)
    values = {**asked.values, "business_id": shop.business.id}
    conn = await asyncpg.connect(
        shared_cluster.superuser_url,
        server_settings={"crm.business_id": str(shop.business.id)},
    )
    # Nothing of it stays, the statistics neither.
    meanwhile = conn.transaction()
    await meanwhile.start()
    try:
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(_MANY, shop.business.id)
        await conn.execute("ANALYZE crm.attribute_value")
        await conn.execute("SET LOCAL ROLE crm_app")
        lines = await conn.fetch(f"EXPLAIN {asked.statement.sql}", *asked.statement.args(values))
    finally:
        await meanwhile.rollback()
        await conn.close()

    narrowed = [each[0] for each in lines if "Index Cond" in each[0] and "number_near" in each[0]]
    assert len(narrowed) == 1
