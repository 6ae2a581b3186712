"""Lists to import, written by the tests, and questions to the books afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from crm import consent, customers, imports, mail
from crm.consent import ConsentEvent, EvidenceKind, Notice, Status
from crm.db import Database, Db, ReadDb, Statement
from crm.events import Actor
from crm.imports import Import, RowReport
from crm.imports.working import Watch
from tests import make
from tests.conftest import Cluster

SLUG = "letter"
HEADER = "Email Address,First Name,Last Name,OPTIN_TIME,CONFIRM_TIME,UNSUB_TIME,CLEAN_TIME,TAGS\n"
ASKED, CONFIRMED = "2021-05-04 09:10:11", "2021-05-04 09:12:00"
LEFT = "2023-06-07 08:09:10"


def row(
    address: str,
    name: str = "",
    *,
    asked: str = ASKED,
    confirmed: str = CONFIRMED,
    left: str = "",
    gone: str = "",
    tags: str = "",
) -> str:
    """One row as Mailchimp writes it; proven unless told otherwise."""
    return f'{address},{name},,{asked},{confirmed},{left},{gone},"{tags}"\n'


def many(count: int, prefix: str = "reader") -> str:
    """A list of proven subscribers."""
    return HEADER + "".join(
        row(f"{prefix}{each}@example.com", f"Nr {each}") for each in range(count)
    )


async def letter(database: Database, business_id: UUID, **changes: Any) -> Notice:
    """Add the purpose that these tests import for; it accepts confirmed double opt-ins."""
    async with database.write(business_id) as db:
        weak = EvidenceKind.former_single_opt_in in changes.get("accepts", [])
        purpose = await make.purpose(db, slug=SLUG, validity="P10Y", double_opt_in=not weak)
        return await make.notice(db, purpose.id, **changes)


async def declared(db: Db, name: str, purpose_id: UUID | None = None) -> None:
    """Declare an attribute that lists may have a column of."""
    new = customers.NewAttribute(
        basis=customers.LawfulBasis.legitimate_interests,
        origin="From you.",
        label=name,
        type=customers.AttributeType.text,
        purpose="To name the next shop.",
        retention="P2Y",
        purpose_id=purpose_id,
    )
    await customers.declare_attribute(db, Actor.system(), name, new)


async def take(
    database: Database, business_id: UUID, text: str | bytes, *, watch: Watch | None = None
) -> Import:
    """Import a list from a file, as the command does."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return await imports.work_file(
            database, business_id, Actor.system(), SLUG, path, watch=watch
        )


class Held(Struct):
    """What the books hold about one address."""

    known: bool
    name: str
    status: Status | None
    allowed: bool
    suppressed: bool
    history: list[ConsentEvent]

    @property
    def mailable(self) -> bool:
        """Whether a campaign would go there."""
        return self.allowed and not self.suppressed


async def held(database: Database, notice: Notice, business_id: UUID, address: str) -> Held:
    """Look an address up in all the books."""
    async with database.read(business_id) as db:
        found = await customers.by_address(db, address)
        silent = await mail.suppressed(db, hash_of(db, address)) is not None
        if found is None:
            return Held(
                known=False, name="", status=None, allowed=False, suppressed=silent, history=[]
            )
        state = await consent.state(db, found.id, notice.purpose_id)
        return Held(
            known=True,
            name=found.name,
            status=state.status if state else None,
            allowed=state is not None and state.authorises(db.now),
            suppressed=silent,
            history=await consent.history(db, found.id),
        )


def hash_of(db: ReadDb, address: str) -> bytes:
    """The fingerprint of an address in this business."""
    return db.keys.address_hash(db.business_id, customers.fold(address))


async def report(database: Database, business_id: UUID, import_id: UUID) -> list[RowReport]:
    """The first lines of a report."""
    async with database.read(business_id) as db:
        return await imports.report(db, import_id)


async def rows(database: Database, business_id: UUID, table: str) -> int:
    """How many rows of a table the business has."""
    counting = f"SELECT count(*) FROM crm.{table} WHERE business_id = $1"  # noqa: S608
    statement = Statement("rows", "", counting, ("business_id",))
    async with database.read(business_id) as db:
        return await db.one(statement, int)


def tally(done: Import) -> tuple[int, int, int, int]:
    """The four numbers that add up to the rows of the file."""
    return done.added, done.changed, done.unchanged, done.rejected


def recorded(done: Import) -> tuple[int, int, int, int]:
    """What was recorded besides."""
    return done.given, done.withdrawn, done.unproven, done.suppressed


async def somebody_waits(cluster: Cluster) -> None:
    """Return when a transaction of this database waits for another."""
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        async with asyncio.timeout(30):
            while not await conn.fetchval(  # noqa: ASYNC110  (PostgreSQL tells nobody)
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)
    finally:
        await conn.close()
