"""Says what is wrong with the servers before anything is served, in one line each."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from crm import above, businesses
from crm.above import LedgerHealth, RetentionRound
from crm.campaigns.tracker import BadLists, load
from crm.connections import UNCONNECTED, passes
from crm.db import Database
from crm.journal import Found, Journal
from crm.migrate import MigrationRefused, missing
from crm.settings import Settings
from crm.wakes import open_pool

_OLDEST_MAJOR = 15
# Entries are sealed within seconds; what waits so long is not.
_LATE = timedelta(minutes=2)
# A round of each kind begins once a day.
_UNSWEPT = timedelta(hours=48)
_ROLE = """
SELECT r.rolsuper, r.rolbypassrls, current_user::text AS name,
       EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = 'crm'
                AND pg_has_role(current_user, n.nspowner, 'MEMBER')) AS owns
  FROM pg_roles r WHERE r.rolname = current_user
"""


class Unfit(Exception):
    """The servers cannot be used as they are; the message lists every reason."""


class Away(Unfit):
    """Only what may pass by itself: a database that is not there yet, or not brought up to date."""


async def check(settings: Settings) -> None:
    """Refuse with Unfit unless database, role, migrations and settings are as they must be.

    With Away where it is only that the database is away, or that its migrations are to come. Redis
    may be away: everything works without it, only later.
    """
    problems = address_problems(settings.redis_url)
    problems += journal_problems(settings)
    problems += list_problems(settings) + age_problems(settings)
    try:
        found = await _looked_into(settings.database_url)
    except Away as away:
        if not problems:
            raise
        found = [str(away)]
    if found or problems:
        raise Unfit("\n".join(found + problems))


async def database_problems(url: str) -> list[str]:
    """Look at version, role and migrations; promise 14 needs a role that row security binds."""
    try:
        return await _looked_into(url)
    except Away as away:
        return [str(away)]


async def _looked_into(url: str) -> list[str]:
    try:
        conn = await asyncpg.connect(url, timeout=10)
    except UNCONNECTED as wrong:
        reason = type(wrong).__name__
        told = f"CRM_DATABASE_URL: the database cannot be reached ({reason}); check the address."
        if passes(wrong):
            raise Away(told) from None
        return [told]
    try:
        return await _inside(conn)
    finally:
        await conn.close()


def port_problems(settings: Settings) -> list[str]:
    """Look whether the web process can listen where it should."""
    web = settings.web
    try:
        found = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM)
        family, kind, _, _, address = found[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as wrong:
        where = f"{web.host}:{web.port}"
        return [f"CRM_WEB__PORT: cannot listen on {where} ({wrong.strerror}); choose another."]
    return []


def journal_problems(settings: Settings) -> list[str]:
    """Look whether the journal can be written; without it a restore would go unnoticed."""
    if not settings.journal:
        return [
            "CRM_JOURNAL: is not set; name a directory outside the database, shared by all workers."
        ]
    try:
        Journal(Path(settings.journal)).check()
    except OSError as wrong:
        return [f"CRM_JOURNAL: {settings.journal} cannot be written ({wrong.strerror})."]
    return []


def age_problems(settings: Settings) -> list[str]:
    """Look whether the journal outlives every backup: what it lost would come back with one."""
    if settings.backup_days < settings.journal_days:
        return []
    message = (
        f"CRM_BACKUP_DAYS: a backup of {settings.backup_days} days ago is older than what the "
        f"journal keeps (CRM_JOURNAL_DAYS={settings.journal_days}); keep backups for fewer days."
    )
    return [message]


def put_back_problems(found: Found) -> list[str]:
    """Say of which businesses the database is behind the journal: nothing of them is served."""
    return [
        f"The database was put back: business {each} is behind the journal, and nothing is served "
        "or sent. Run `crm restore`."
        for each in found.put_back
    ]


def lost_problems(found: Found) -> list[str]:
    """Say where the journal is behind the database, or cannot be read, and what waits for it."""
    problems = [
        f"CRM_JOURNAL: what the database wrote for business {each} is not there: the journal "
        "vanished, or an older one is in its place. Bring it back, or begin it anew with "
        f"`crm ledger adopt --business {each}`."
        for each in found.lost
    ]
    problems += [
        f"CRM_JOURNAL: the journal of business {each} cannot be read ({why}), so nobody knows "
        "whether the database is whole. Bring it back as it was, or begin it anew with "
        f"`crm ledger adopt --business {each}`."
        for each, why in found.unread.items()
    ]
    if found.away:
        problems.append(f"CRM_JOURNAL: the journal cannot be read ({found.away}).")
    elif found.owed:
        problems.append(
            f"CRM_JOURNAL: {found.owed} entries wait to be written to it; is a worker running?"
        )
    return problems


def list_problems(settings: Settings) -> list[str]:
    """Look whether the lists of trackers can be read."""
    try:
        load(settings.lint.lists)
    except BadLists as no:
        return [f"CRM_LINT__LISTS: {no}."]
    return []


def ledger_problems(found: Sequence[LedgerHealth], now: datetime, watch_hours: int) -> list[str]:
    """Say what of the ledgers asks for an operator: stopped, altered, late, or not looked at."""
    problems = []
    for each in found:
        ledger = f"The ledger of {each.business_id}"
        if each.stopped_why:
            problems.append(f"{ledger} has stopped ({each.stopped_why}); `crm ledger status`.")
        if each.alarms:
            problems.append(f"{ledger} has {each.alarms} alarms; `crm ledger check` names them.")
        if each.waiting_since and now - each.waiting_since > _LATE:
            since = f"{each.waiting_since:%Y-%m-%d %H:%M}"
            problems.append(f"{ledger} waits to be sealed since {since}; is a worker running?")
        if each.watched_at and now - each.watched_at > 2 * timedelta(hours=watch_hours):
            day = f"{each.watched_at:%Y-%m-%d}"
            problems.append(f"{ledger} was last looked at on {day}; is a worker running?")
    return problems


def retention_problems(rounds: Sequence[RetentionRound], now: datetime) -> list[str]:
    """Say of which businesses something is kept longer than it was declared to be."""
    late: dict[UUID, list[str]] = {}
    for each in rounds:
        if now - each.since > _UNSWEPT:
            late.setdefault(each.business_id, []).append(each.what)
    return [
        f"Of business {business} nothing was swept for two days: {', '.join(sorted(whats))}. Is a "
        "worker running? Its log says `round_failed` where a round broke; `crm retention status`."
        for business, whats in late.items()
    ]


async def unnamed_authorities(database: Database) -> list[str]:
    """Say which businesses name no authority to complain to; it stops nothing from being served."""
    found = []
    for business_id in await above.businesses(database):
        async with database.read(business_id) as db:
            business = await businesses.get(db)
        if not (business.authority or business.authority_url):
            found.append(
                f"{business.name} names no authority that its customers can complain to: choose "
                f"one under Settings in its console ({business.origin}/staff/settings)."
            )
    return found


def address_problems(redis_url: str) -> list[str]:
    """Look whether the address of Redis is one; whether anybody answers there is another matter."""
    try:
        _ = open_pool(redis_url), Redis.from_url(redis_url)
    except ValueError:
        return ["CRM_REDIS_URL: this is no address; write it as redis://HOST:PORT/0."]
    return []


async def redis_problems(url: str) -> list[str]:
    """Look whether Redis answers; it wakes workers, and keeps counters of rate limits."""
    client = Redis.from_url(url, socket_connect_timeout=5)
    try:
        await client.ping()
    except (RedisError, OSError) as wrong:
        return [f"CRM_REDIS_URL: Redis cannot be reached ({type(wrong).__name__})."]
    finally:
        await client.aclose()
    return []


async def _inside(conn: asyncpg.Connection) -> list[str]:
    version = conn.get_server_version()
    if version.major < _OLDEST_MAJOR:
        return [f"PostgreSQL {version.major} is too old; use {_OLDEST_MAJOR} or newer."]
    role = await conn.fetchrow(_ROLE)
    assert role is not None  # noqa: S101  (we are connected as somebody)
    problems = []
    if role["rolsuper"] or role["rolbypassrls"]:
        problems.append(
            f"CRM_DATABASE_URL: the role {role['name']} is a superuser or bypasses row-level "
            "security; connect as crm_app (deploy/roles.sql makes it)."
        )
    elif role["owns"]:
        problems.append(
            f"CRM_DATABASE_URL: the role {role['name']} owns the tables; connect as crm_app, and "
            "keep the owner for CRM_MIGRATE_DATABASE_URL."
        )
    try:
        lacking = await missing(conn)
    except MigrationRefused as no:
        return [*problems, str(no)]
    except asyncpg.InsufficientPrivilegeError:
        problem = f"CRM_DATABASE_URL: the role {role['name']} may not read; connect as crm_app."
        return problems or [problem]
    if lacking:
        problems.append(f"{len(lacking)} migrations are missing; run `crm migrate` first.")
        if len(problems) == 1:
            # Whoever starts everything at once may be at it.
            raise Away(problems[0])
    return problems
