"""How long it takes to erase a customer of many years, beside the bare deletions."""

from __future__ import annotations

import os
import time
from uuid import UUID

import asyncpg

from crm import customers, events, mail, privacy
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Run, Say, Series, interleaved
from crm.bench.stage import SYSTEM, Cast, Stage, audience, found
from crm.customers import Customer
from crm.mail import LetterKind

# In milliseconds, for a thousand messages and ten thousand events.
_GOAL = 1_000.0
_SIZE = 30_000
# What must go, as PostgreSQL is told by hand; the eraser insists on the tombstone.
_BARE = (
    (
        "DELETE FROM crm.service_message WHERE business_id = $1 AND address_hash ="
        " (SELECT address_hash FROM crm.customer WHERE business_id = $1 AND customer_id = $2)"
    ),
    "DELETE FROM crm.attribute_value WHERE business_id = $1 AND customer_id = $2",
    (
        "UPDATE crm.customer SET address = NULL, folded = NULL, address_hash = NULL, name = '',"
        " locale = '', erased_at = now() WHERE business_id = $1 AND customer_id = $2"
    ),
    "SELECT crm.erase_consent($1, $2)",
    "SELECT crm.erase_events($1, $2)",
)


async def erasure(stage: Stage, messages: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure erasures of customers with so many messages, and ten times as many events."""
    cast = await found(stage.quiet)
    say(f"living {2 * rounds} lives of {messages:,} messages")
    lived = [
        await _lived(stage, cast, customer_id, messages)
        for customer_id in await audience(stage.quiet, cast, 2 * rounds)
    ]
    await stage.settle()

    async def ours(number: int) -> float:
        her = lived[2 * number]
        began = time.perf_counter()
        async with stage.quiet.write(cast.business.id) as db:
            await privacy.erase(db, SYSTEM, her.id)
        return (time.perf_counter() - began) * 1000

    async def bare(number: int) -> float:
        return await _bare(stage, cast.business.id, lived[2 * number + 1].id)

    alone = "PostgreSQL deleting the same"
    contenders: dict[str, tuple[str, Run]] = {"erasure": ("ms", ours), alone: ("ms", bare)}
    runs = await interleaved(rounds, contenders, say)
    beside = [
        Beside(runs[alone]),
        Beside(Series("the goal", "ms", [_GOAL]), Goal(1, at_most=True)),
    ]
    notes: Notes = {"messages": messages, "events": 10 * messages, "bytes": messages * _SIZE}
    return [Figure("erasure", runs["erasure"], beside, notes)]


async def _lived(stage: Stage, cast: Cast, customer_id: UUID, messages: int) -> Customer:
    """Let somebody have been written to and looked at for years."""
    async with stage.quiet.write(cast.business.id) as db:
        her = await customers.get(db, customer_id)
        fingerprint = db.keys.address_hash(db.business_id, customers.fold(her.address))
        content = os.urandom(_SIZE)
        for _ in range(messages):
            await mail.post_written(
                db, LetterKind.notice, address=her.address, address_hash=fingerprint,
                content=content,
            )  # fmt: skip
        await events.look(db, SYSTEM, [customer_id] * 10 * messages, "to answer her")
    return her


async def _bare(stage: Stage, business_id: UUID, customer_id: UUID) -> float:
    conn = await asyncpg.connect(stage.here.settings.database_url)
    try:
        began = time.perf_counter()
        async with conn.transaction():
            await conn.execute("SELECT crm.begin_business($1)", business_id)
            for statement in _BARE:
                await conn.execute(statement, business_id, customer_id)
        return (time.perf_counter() - began) * 1000
    finally:
        await conn.close()
