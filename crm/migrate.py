"""Apply `sql/migrations` in order, once, under an advisory lock; refuse a changed file."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

import asyncpg
from msgspec import Struct

from crm.connections import UNCONNECTED, passes
from crm.db import SQL

# Two replicas that start together: polled, because waiting for the lock inside PostgreSQL
# deadlocks with CREATE INDEX CONCURRENTLY.
_LOCK = 0x66697273
_POLL_SECONDS = 0.2
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_PIECE = re.compile(
    r"'(?:[^']|'')*'"  # a string
    r"|--[^\n]*"  # a comment
    r"|\$(\w*)\$.*?\$\1\$"  # a function body
    r"|;",
    re.DOTALL,
)
_TABLE = """
CREATE TABLE IF NOT EXISTS public.crm_migration (
  number     integer PRIMARY KEY,
  name       text NOT NULL,
  sha256     bytea NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class Migration(Struct, frozen=True):
    """One file, and the fingerprint it must keep once it is applied."""

    number: int
    name: str
    statements: tuple[str, ...]
    sha256: bytes


class MigrationRefused(Exception):
    """The database cannot be brought to this version; the message says why."""


class OwnerAway(MigrationRefused):
    """The database cannot be reached as its owner, and by itself may be later."""


def migrations(directory: Path = SQL / "migrations") -> list[Migration]:
    """Read all migrations, in order; a gap or a bad name is our bug."""
    found = [_read(path) for path in sorted(directory.glob("*.sql"))]
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        message = "migrations are numbered from 0001 without a gap"
        raise ValueError(message)
    return found


def statements(text: str) -> tuple[str, ...]:
    """Cut a file into its statements: each is sent as a message of its own."""
    parts: list[str] = []
    start = 0
    for match in _PIECE.finditer(text):
        if match[0] == ";":
            parts.append(text[start : match.start()].strip())
            start = match.end()
    parts.append(text[start:].strip())
    return tuple(part for part in parts if re.sub(r"--[^\n]*", "", part).strip())


async def migrate(url: str) -> list[str]:
    """Apply what is missing as the owner of the database; return the names applied."""
    try:
        conn = await asyncpg.connect(url, server_settings={"lock_timeout": "10s"})
    except UNCONNECTED as wrong:
        message = f"CRM_MIGRATE_DATABASE_URL: cannot be reached ({type(wrong).__name__})"
        refused = OwnerAway if passes(wrong) else MigrationRefused
        raise refused(f"{message}; check the address and the password.") from None
    try:
        # Another process may hold it; PostgreSQL tells nobody when it lets go.
        while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        await _check_role(conn)
        await conn.execute(_TABLE)
        await conn.execute("GRANT SELECT ON public.crm_migration TO crm_app")
        done = await _applied(conn)
        return [await _apply(conn, one) for one in migrations() if one.number not in done]
    except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedObjectError) as wrong:
        message = f"CRM_MIGRATE_DATABASE_URL: the role may not ({type(wrong).__name__})"
        raise MigrationRefused(f"{message}; run deploy/roles.sql, connect as crm_owner.") from wrong
    finally:
        await conn.close()


async def _check_role(conn: asyncpg.Connection) -> None:
    # A superuser's tables would be the superuser's: row-level security never binds it.
    if await conn.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        message = "Migrations run as the role crm_owner, not as a superuser."
        raise MigrationRefused(message)


async def missing(conn: asyncpg.Connection) -> list[str]:
    """Name the migrations a database still lacks; refuse one that is newer than this program."""
    if await conn.fetchval("SELECT to_regclass('public.crm_migration')") is None:
        return [one.name for one in migrations()]
    done = await _applied(conn)
    return [one.name for one in migrations() if one.number not in done]


async def _applied(conn: asyncpg.Connection) -> set[int]:
    ours = {one.number: one for one in migrations()}
    rows = await conn.fetch("SELECT number, name, sha256 FROM public.crm_migration")
    for row in rows:
        known = ours.get(row["number"])
        if known is None:
            message = f"the database is newer than this program: it has {row['name']}"
            raise MigrationRefused(message)
        if known.sha256 != row["sha256"]:
            message = f"{known.name} was changed after it was applied; add a new file instead"
            raise MigrationRefused(message)
    return {row["number"] for row in rows}


async def _apply(conn: asyncpg.Connection, migration: Migration) -> str:
    async with conn.transaction():
        for statement in migration.statements:
            await conn.execute(statement)
        await conn.execute(
            "INSERT INTO public.crm_migration (number, name, sha256) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.sha256,
        )
    return migration.name


def _read(path: Path) -> Migration:
    match = _NAME.fullmatch(path.name)
    if match is None:
        message = f"{path.name} is not named NNNN_words.sql"
        raise ValueError(message)
    data = path.read_bytes()
    digest = hashlib.sha256(data).digest()
    return Migration(int(match[1]), path.name, statements(data.decode()), digest)
