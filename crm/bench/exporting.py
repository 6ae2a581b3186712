"""How fast all customers come in one stream, beside PostgreSQL copying the same as JSON."""

from __future__ import annotations

import time

import asyncpg
import httpx2

from crm import staff
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Say, interleaved
from crm.bench.requests import served
from crm.bench.stage import SYSTEM, Cast, Stage, audience, found
from crm.staff import NewKey, Scope

# As one writes it who wants a customer a line with all that the export says of her.
_COPY = """
SELECT row_to_json(said)
  FROM (SELECT c.customer_id AS id, c.address, c.name, c.locale, c.time_zone, c.external_id,
               c.source, c.version, c.created_at, c.changed_at, c.restricted_at,
               coalesce((SELECT json_object_agg(v.name, v.text_value)
                           FROM crm.attribute_value v
                          WHERE v.business_id = $1 AND v.customer_id = c.customer_id), '{}')
                 AS attributes,
               coalesce((SELECT json_agg(v.name)
                           FROM crm.customer_tag v
                          WHERE v.business_id = $1 AND v.customer_id = c.customer_id), '[]')
                 AS tags,
               u.reason AS suppressed,
               coalesce((SELECT json_object_agg(p.slug, row_to_json(decided))
                           FROM crm.consent_now s
                           JOIN crm.purpose p ON p.business_id = $1 AND p.purpose_id = s.purpose_id
                           JOIN crm.consent_record r
                             ON r.business_id = $1 AND r.event_id = s.event_id
                           LEFT JOIN crm.mailbox_proof m
                             ON m.business_id = $1 AND m.proof_id = r.proof_id
                          CROSS JOIN LATERAL (
                            SELECT s.status, s.method, s.at, s.ends_at, m.mailed_at, m.proved_at,
                                   convert_from(r.canonical, 'UTF8')::json -> 'evidence'
                                     AS evidence) decided
                          WHERE s.business_id = $1 AND s.customer_id = c.customer_id), '{}')
                 AS consents
          FROM crm.customer c
          LEFT JOIN crm.silenced u ON u.business_id = $1 AND u.address_hash = c.address_hash
         WHERE c.business_id = $1 AND c.erased_at IS NULL) said
"""


async def exporting(stage: Stage, customers: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure the stream of all customers by the web process, with a look at each."""
    cast = await found(stage.quiet)
    say(f"adding {customers:,} customers")
    await audience(stage.quiet, cast, customers)
    async with stage.quiet.write(cast.business.id) as db:
        scopes = [Scope.customers_read, Scope.consents_read]
        _, key = await staff.add_key(
            db, SYSTEM, NewKey(name="Warehouse", scopes=scopes, reason="to count the readers")
        )
    sizes: list[int] = []
    async with served(stage) as port:

        async def ours(_: int) -> float:
            await stage.settle()
            began = time.monotonic()
            sizes.append(await _streamed(port, key, customers))
            return customers / (time.monotonic() - began)

        async def ceiling(_: int) -> float:
            await stage.settle()
            began = time.monotonic()
            await _copied(stage, cast)
            return customers / (time.monotonic() - began)

        copy = "COPY TO, as JSON"
        runs = await interleaved(
            rounds, {"crm export": ("rows/s", ours), copy: ("rows/s", ceiling)}, say
        )
    notes: Notes = {
        "customers": customers,
        "bytes": sizes[-1],
        "ceiling": "one COPY of the same by PostgreSQL alone, without a look at anybody",
    }
    return [Figure("export", runs["crm export"], [Beside(runs[copy], Goal(0.5))], notes)]


async def _streamed(port: int, key: str, customers: int) -> int:
    """Read all of it as it comes, and return how many bytes it was."""
    size, last = 0, b""
    headers = {"authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=600) as client,
        client.stream("GET", "/v1/customers.ndjson", headers=headers) as answer,
    ):
        async for piece in answer.aiter_raw():
            size += len(piece)
            last = (last + piece)[-200:]
    assert f'{{"closing":{{"count":{customers},'.encode() in last  # noqa: S101  (it is whole)
    return size


async def _copied(stage: Stage, cast: Cast) -> None:
    async def heard(_: bytes) -> None:
        """Drop it: what is measured is PostgreSQL."""

    conn = await asyncpg.connect(stage.here.settings.database_url)
    try:
        async with conn.transaction():
            await conn.execute("SELECT crm.begin_business($1)", cast.business.id)
            await conn.copy_from_query(_COPY, cast.business.id, output=heard)
    finally:
        await conn.close()
