"""What somebody with the database's password can change, and how the monitor names each."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import asyncpg
from msgspec import Struct

from crm import ledger
from crm.businesses import Business
from crm.consent import monitor
from crm.db import Database
from crm.ledger import Finding

_FLIP = "set_byte({0}, 0, 255 - get_byte({0}, 0))"


class Meddling(Struct, frozen=True):
    """One change to what is kept of an event, and the kind of alarm that it raises."""

    name: str
    table: str
    change: str
    kind: str

    def __str__(self) -> str:
        """Name it in a report of tests."""
        return self.name


def _row(column: str, value: str) -> Meddling:
    return Meddling(column, "consent_record", f"{column} = {value}", "row_changed")


# The columns of a yes by her own word; what a constraint would not let pass is not tried.
ALL = [
    Meddling("salt", "consent_record", f"salt = {_FLIP.format('salt')}", "record_changed"),
    Meddling("bytes", "consent_record", "canonical = canonical || '\\x20'", "record_changed"),
    Meddling("record", "consent_record", "", "record_missing"),
    Meddling(
        "commitment",
        "consent_event",
        f"commitment = {_FLIP.format('commitment')}",
        "record_changed",
    ),
    Meddling("stub", "consent_event", "", "stub_missing"),
    _row("at", "at - interval '1 year'"),
    _row("recorded_at", "recorded_at - interval '1 year'"),
    _row("method", "CASE method WHEN 'portal' THEN 'double_opt_in' ELSE 'portal' END"),
    _row("status", "CASE status WHEN 'requested' THEN 'unknown' ELSE 'requested' END"),
    _row("valid_until", "now() + interval '99 years'"),
    _row("actor_id", "gen_random_uuid()"),
    _row("proof_id", "gen_random_uuid()"),
    _row("customer_id", "gen_random_uuid()"),
]

# What can be done to whatever decision.
ANY = [each for each in ALL if each.kind != "row_changed" or each.name in {"at", "recorded_at"}]


async def meddle(conn: asyncpg.Connection, event_id: UUID, how: Meddling) -> asyncpg.Record:
    """Do it, past every trigger and constraint; return the row as it was."""
    await conn.execute("SET session_replication_role = replica")
    before = await conn.fetchrow(f"SELECT * FROM crm.{how.table} WHERE event_id = $1", event_id)  # noqa: S608
    assert before is not None
    verb = f"UPDATE crm.{how.table} SET {how.change}"  # noqa: S608
    if not how.change:
        verb = f"DELETE FROM crm.{how.table}"  # noqa: S608
    done = await conn.execute(f"{verb} WHERE event_id = $1", event_id)
    assert done.endswith(" 1")
    return before


async def undo(conn: asyncpg.Connection, before: asyncpg.Record, how: Meddling) -> None:
    """Put the row back as it was."""
    await conn.execute(f"DELETE FROM crm.{how.table} WHERE event_id = $1", before["event_id"])  # noqa: S608
    # What PostgreSQL computes itself is not put back.
    computed = {"warrants"} if how.table == "consent_record" else set()
    names = [name for name, _ in before.items() if name not in computed]
    marks = ", ".join(f"${number + 1}" for number in range(len(names)))
    await conn.execute(
        f"INSERT INTO crm.{how.table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608
        *(before[name] for name in names),
    )


async def watched(database: Database, business: Business) -> list[Finding]:
    """Make one whole round; return the alarms that stand after it, and settle them."""
    async with database.write(business.id) as db:
        if not await ledger.begin_watch(db):
            return []
    while True:
        async with database.write(business.id) as db:
            if await monitor.watch_next(db) is None:
                break
    async with database.write(business.id) as db:
        return [Finding(each.kind, each.subject, each.detail) for each in await ledger.alarms(db)]


def about(found: list[Finding], event_id: UUID) -> Iterator[str]:
    """The kinds of alarm that name this event."""
    return (each.kind for each in found if str(event_id) in each.subject)
