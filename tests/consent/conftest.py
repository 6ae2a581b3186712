"""Customers for the tests of consent, and the raw statements that no action would send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from crm import consent
from crm.businesses import Business
from crm.consent import Consent, EvidenceKind, Method, NewEvent, Notice, Purpose, Status
from crm.db import Database, Db, ReadDb, parse
from crm.events import Actor
from tests import make
from tests.conftest import KEYS, Cluster

SIGNED = {"kind": "signed_form", "kept_at": "Folder 3, page 41"}
FORMER = {"kind": "former_double_opt_in", "tool": "mailchimp"}

_ADD = parse(
    """-- name: add_customer
-- A customer as any domain above sees one.
INSERT INTO crm.customer (business_id, customer_id, address, folded, address_hash, source,
                          created_at, changed_at)
VALUES (:business_id, :customer_id, :address, :address, :address_hash, 'api', :now, :now)
"""
)[0]
_ERASE = parse(
    """-- name: empty_customer
-- The tombstone that an erasure leaves.
UPDATE crm.customer
   SET address = NULL, folded = NULL, address_hash = NULL, name = '', locale = '', erased_at = :now
 WHERE business_id = :business_id AND customer_id = :customer_id
"""
)[0]

Raw = Callable[..., Awaitable[str]]


async def add_customer(db: Db) -> UUID:
    """Add a customer with an address nobody else has."""
    customer_id = uuid4()
    address = f"{customer_id.hex}@example.com"
    await db.run(
        _ADD,
        customer_id=customer_id,
        address=address,
        address_hash=KEYS.address_hash(db.business_id, address),
    )
    return customer_id


async def empty_customer(db: Db, customer_id: UUID) -> None:
    """Make the tombstone that an erasure makes before it forgets the rest."""
    await db.run(_ERASE, customer_id=customer_id)


async def say_yes(db: Db, customer_id: UUID, notice: Notice) -> consent.ConsentEvent:
    """Let the customer consent in her portal."""
    me, word = Actor.customer(customer_id), await make.own_word(db, customer_id)
    return await consent.give(db, me, customer_id, notice.question, word)


async def say_no(db: Db, customer_id: UUID, purpose_id: UUID) -> consent.ConsentEvent:
    """Let the customer withdraw in her portal."""
    me = Actor.customer(customer_id)
    return await consent.withdraw(db, me, customer_id, purpose_id, method=consent.Method.portal)


async def imported(
    db: ReadDb, customer_id: UUID, notice: Notice, status: Status, at: datetime | None = None
) -> tuple[NewEvent, Consent | None]:
    """Write a decision as an import would hand it in, with the state that it follows."""
    version = await consent.version(db, notice.purpose_id, notice.purpose_version)
    shown = status not in {Status.unknown, Status.withdrawn}
    event = NewEvent(
        customer_id=customer_id,
        purpose=version.cited,
        notice=notice.cited if shown else None,
        status=status,
        method=Method.imported,
        at=at or db.now,
        evidence=SIGNED,
    )
    return event, await consent.state(db, customer_id, notice.purpose_id)


@pytest.fixture
async def purpose(database: Database, business: Business) -> Purpose:
    """A newsletter."""
    async with database.write(business.id) as db:
        return await make.purpose(db)


@pytest.fixture
async def notice(database: Database, business: Business, purpose: Purpose) -> Notice:
    """Its text, which accepts a signed form and nothing else from elsewhere."""
    async with database.write(business.id) as db:
        return await make.notice(db, purpose.id, accepts=[EvidenceKind.signed_form])


@pytest.fixture
async def customer(database: Database, business: Business) -> UUID:
    """A customer who was never asked."""
    async with database.write(business.id) as db:
        return await add_customer(db)


@pytest.fixture
async def raw(shared_cluster: Cluster, business: Business) -> AsyncIterator[Raw]:
    """Send a bare statement as the application's role; nothing of it is kept."""
    conn = await asyncpg.connect(shared_cluster.app_url)

    async def send(statement: str, *args: object) -> str:
        async with conn.transaction():
            await conn.execute(f"SELECT crm.begin_business('{business.id}')")
            return str(await conn.execute(statement, *args))

    yield send
    await conn.close()
