"""The tally of consents beside the consents themselves."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from crm.db import ReadDb, parse

_ASTRAY, _ROWS, _TALLIED = parse(
    """-- name: astray
-- Where the tally says something else than a count.
SELECT t.purpose_id, t.purpose_version, t.status, sum(t.customers)::bigint AS astray
  FROM (
    SELECT c.purpose_id, c.purpose_version, c.status, c.customers
      FROM crm.consent_tally c
     WHERE c.business_id = :business_id
    UNION ALL
    SELECT s.purpose_id, s.purpose_version, s.status, -1
      FROM crm.consent s
     WHERE s.business_id = :business_id) t
 GROUP BY 1, 2, 3
HAVING sum(t.customers) <> 0;

-- name: rows
-- How many rows say it.
SELECT count(*)
  FROM crm.consent_tally
 WHERE business_id = :business_id;

-- name: tallied
-- What it says, over all purposes and versions.
SELECT status, sum(customers)::bigint AS customers
  FROM crm.consent_tally
 WHERE business_id = :business_id
 GROUP BY status
HAVING sum(customers) <> 0;
"""
)


class Astray(Struct, frozen=True):
    """How many too many are tallied."""

    purpose_id: UUID
    purpose_version: int
    status: str
    astray: int


class _State(Struct, frozen=True):
    status: str
    customers: int


async def astray(db: ReadDb) -> list[Astray]:
    """List where the tally of the business is wrong."""
    return await db.many(_ASTRAY, Astray)


async def rows(db: ReadDb) -> int:
    """Count the rows that the tally of the business is made of."""
    return await db.one(_ROWS, int)


async def tallied(db: ReadDb) -> dict[str, int]:
    """What the tally of the business says, by state."""
    return {each.status: each.customers for each in await db.many(_TALLIED, _State)}
