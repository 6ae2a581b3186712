"""The stage of the measurements: servers in a directory of their own, a business, its audience."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
from msgspec import Struct

from crm import businesses, consent, customers
from crm.businesses import Business, NewBusiness
from crm.consent import EvidenceKind, NewEvent, NewNotice, NewPurpose, Notice, Purpose, Version
from crm.customers import LawfulBasis, NewAttribute, NewValue
from crm.customers.value import AttributeType
from crm.db import Database, Db, Statements, open_database
from crm.embedded import clear, default_directory
from crm.events import Actor
from crm.ids import opaque
from crm.installation import Installation, installation
from crm.mail import sending_domains
from crm.wakes import Waker, open_pool

SYSTEM = Actor.system()
CONNECTIONS = 10
# The attribute that the letter writes for each customer, besides her name.
TOWN = "town"
# What is measured is the service as it comes, whatever this shell has set.
_SETTINGS = {
    "CRM_LOG_LEVEL": "error",
    "CRM_SENDING__CONNECTIONS": str(CONNECTIONS),
}
_AT_ONCE = 5_000


class Cast(Struct, frozen=True):
    """A business with a newsletter that accepts a former double opt-in."""

    business: Business
    purpose: Purpose
    version: Version
    notice: Notice


class Grown(Struct):
    """A ledger to measure with: whose, how many leaves, and how many a second it grew by."""

    business_id: UUID
    size: int = 0
    per_second: float = 0.0


class Stage(Struct, frozen=True):
    """Running servers; `database` wakes workers, `quiet` wakes nobody.

    `ledgers` are those grown so far, by the leaves they began with, `crowds` the businesses with so
    many customers: to make one of a million takes minutes.
    """

    here: Installation
    directory: Path
    database: Database
    quiet: Database
    ledgers: dict[int, Grown] = {}
    crowds: dict[int, Cast] = {}

    def environ(self, **changes: str | int) -> dict[str, str]:
        """Return the variables for a process of ours, with these settings changed."""
        return self.here.environ | {f"CRM_{name}": str(value) for name, value in changes.items()}

    async def settle(self) -> None:
        """Write out what earlier runs left behind, so that no run pays for another's."""
        conn = await asyncpg.connect(self.here.settings.migrate_database_url)
        try:
            await conn.execute(f"VACUUM ANALYZE {await conn.fetchval(_OWN_TABLES)}")
        finally:
            await conn.close()


_OWN_TABLES = """
SELECT string_agg(c.oid::regclass::text, ', ')
  FROM pg_class c
 WHERE c.relnamespace = 'crm'::regnamespace
   AND c.relkind = 'r'
   AND c.relowner = current_user::regrole
"""


@asynccontextmanager
async def staged(environ: Mapping[str, str]) -> AsyncIterator[Stage]:
    """Empty the directory, start the servers, stop them at the end; never configured ones."""
    place = default_directory(environ) / "bench"
    if not place.parent.exists():
        place.parent.mkdir(parents=True)
        place.parent.chmod(0o711)  # the servers run as another user when we are root
    await clear(place)
    async with installation(_SETTINGS, directory=place) as here:
        keys, url = here.settings.keys(), here.settings.database_url
        pool = open_pool(here.settings.redis_url)
        try:
            async with (
                open_database(url, keys, wake=Waker(pool), size=4) as database,
                open_database(url, keys, size=4) as quiet,
            ):
                yield Stage(here, place, database, quiet)
        finally:
            await pool.aclose()


async def found(database: Database) -> Cast:
    """Add a business that nothing was measured with yet."""
    business_id = opaque()
    async with database.write(business_id) as db:
        business = await businesses.add(db, _business())
        sender = sending_domains.domain_of(business.sender_address)
        await sending_domains.confirm(db, SYSTEM, sender)
        # Longer than the list goes back that is imported.
        new = NewPurpose(
            slug="letter",
            name="The Corner Letter",
            description="What we bake.",
            validity="P10Y",
        )
        purpose = await consent.add_purpose(db, SYSTEM, new)
        notice = await consent.publish_notice(
            db,
            SYSTEM,
            purpose.id,
            NewNotice(
                locale="en",
                text="Yes, send me The Corner Letter by e-mail. I can stop at any time.",
                control_label="Send me The Corner Letter",
                accepts=[EvidenceKind.former_double_opt_in],
            ),
        )
        version = await consent.version(db, purpose.id, purpose.version)
        town = NewAttribute(basis=LawfulBasis.legitimate_interests, origin="From you.",
            label="Town", type=AttributeType.text, purpose="To name the bakery nearby.",
            retention="P2Y",
        )  # fmt: skip
        await customers.declare_attribute(db, SYSTEM, TOWN, town)
    return Cast(business, purpose, version, notice)


def _business() -> NewBusiness:
    return NewBusiness(
        name="Corner Bakery",
        legal_name="Corner Bakery Ltd",
        postal_address="4 Mill Lane, Exampleton EX1 2AB",
        sender_name="Corner Bakery",
        sender_address="letter@corner-bakery.example",
        privacy_contact="privacy@corner-bakery.example",
        origin=f"http://{uuid4().hex}.example",
    )


async def audience(database: Database, cast: Cast, count: int) -> list[UUID]:
    """Add so many customers who consented at a former tool, by the bulk actions of an import."""
    ids: list[UUID] = []
    for begin in range(0, count, _AT_ONCE):
        async with database.write(cast.business.id) as db:
            arrivals = [
                customers.Arrival(
                    address=customers.parse(f"reader{number}@example.com"),
                    name=f"Reader {number}",
                )
                for number in range(begin, min(begin + _AT_ONCE, count))
            ]
            new = await customers.add_many(db, arrivals, source=customers.Source.imported)
            towns = [NewValue(each, TOWN, f"Exampleton {each.int % 97}") for each in new]
            await customers.fill_attributes(db, towns)
            await decided(db, cast, new)
            ids += new
    async with database.write(cast.business.id) as db:
        # As an import does at its end.
        await db.run(Statements("imports").analyze_customers)
    return ids


async def crowd(stage: Stage, count: int) -> Cast:
    """Return a business with so many such customers, the same for all that change none of them."""
    if count not in stage.crowds:
        cast = await found(stage.quiet)
        await audience(stage.quiet, cast, count)
        stage.crowds[count] = cast
    return stage.crowds[count]


async def decided(db: Db, cast: Cast, customer_ids: Sequence[UUID]) -> None:
    """Let customers have consented at a former tool."""
    given = [(agreed(cast, customer_id, db.now), None) for customer_id in customer_ids]
    await consent.append_many(db, SYSTEM, given)


def agreed(cast: Cast, customer_id: UUID, now: datetime) -> NewEvent:
    """Write that a customer consented at a former tool."""
    return NewEvent(
        customer_id=customer_id,
        purpose=cast.version.cited,
        notice=cast.notice.cited,
        status=consent.Status.given,
        method=consent.Method.imported,
        at=now,
        evidence={"kind": EvidenceKind.former_double_opt_in.value},
    )


def free_port() -> int:
    """Find a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """Read how much processor time a process has used so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Read how much memory a process holds now."""
    return _memory(pid, "VmRSS")


def peak_rss_mb(pid: int) -> float:
    """Read the most memory a process ever held, from the kernel's own account of it."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024
