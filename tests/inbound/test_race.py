"""What comes back while its reader has everything deleted: one of the two waits for the other."""

from __future__ import annotations

from collections.abc import Awaitable
from uuid import UUID

import pytest

from crm import inbound, mail, privacy
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database, Db, parse
from crm.events import Actor
from crm.inbound import Via, arrived
from crm.inbound.model import Arrival
from crm.privacy import Fingerprint
from crm.return_path import Way, return_address
from tests import make
from tests.inbound.letters import DOMAIN, dsn
from tests.privacy.life import moved
from tests.races import second

(_COUNTED,) = parse(
    """-- name: counted
-- Whether it is counted how an address bounces.
SELECT EXISTS (SELECT FROM crm.soft_bounce
                WHERE business_id = :business_id AND address_hash = :address_hash);
"""
)


(_BOUNCES,) = parse(
    """-- name: bounces
-- How often an address bounced softly.
SELECT bounces FROM crm.soft_bounce
 WHERE business_id = :business_id AND address_hash = :address_hash;
"""
)


def letter_to(
    database: Database, business: Business, her: Customer, status: str, *, number: int = 1
) -> tuple[bytes, Arrival]:
    """Fingerprint an address, and write what comes back of a letter to it."""
    hashed = database.keys.address_hash(business.id, her.address)
    letter = UUID(int=number)
    sender = return_address(database.keys, business.id, DOMAIN, Way.service, hashed, letter)
    return hashed, arrived(sender, dsn(status))


@pytest.mark.parametrize("status", ["4.2.2", "5.1.1"])
@pytest.mark.parametrize("erased_first", [False, True])
async def test_a_bounce_brings_no_fingerprint_back(
    database: Database, business: Business, status: str, *, erased_first: bool
) -> None:
    """She has that deleted too; of a letter no campaign lets one of them wait for the other."""
    async with database.write(business.id) as db:
        her = await make.customer(db)
    hashed, report = letter_to(database, business, her, status)

    def bounces(db: Db) -> Awaitable[object]:
        return inbound.hear(db, report, Via.listener)

    def erases(db: Db) -> Awaitable[object]:
        return privacy.erase(db, Actor.customer(her.id), her.id, fingerprint=Fingerprint.drop)

    order = (erases, bounces) if erased_first else (bounces, erases)
    await second(database, business, *order)

    await _nothing_is_kept(database, business, hashed)


async def test_two_first_ones_at_once_are_two(database: Database, business: Business) -> None:
    """The later one waits for the other, and counts on from it."""
    async with database.write(business.id) as db:
        her = await make.customer(db)
    hashed, one = letter_to(database, business, her, "4.2.2")
    _, other = letter_to(database, business, her, "4.2.1", number=2)
    await second(
        database,
        business,
        lambda db: inbound.hear(db, one, Via.listener),
        lambda db: inbound.hear(db, other, Via.listener),
    )
    async with database.read(business.id) as read:
        assert await read.one(_BOUNCES, int, address_hash=hashed) == 2


@pytest.mark.parametrize("status", ["4.2.2", "5.1.1"])
@pytest.mark.parametrize("erased_first", [False, True])
async def test_nor_that_of_an_address_which_was_hers(
    database: Database, business: Business, status: str, *, erased_first: bool
) -> None:
    """It is known only as long as she is, whatever came back from it after she left it."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        her = await make.customer(db)
    old, report = letter_to(database, business, her, status)
    await moved(database, business, her, notice, f"new.{her.address}")

    def bounces(db: Db) -> Awaitable[object]:
        return inbound.hear(db, report, Via.listener)

    def erases(db: Db) -> Awaitable[object]:
        return privacy.erase(db, Actor.customer(her.id), her.id, fingerprint=Fingerprint.drop)

    await second(database, business, *((erases, bounces) if erased_first else (bounces, erases)))

    await _nothing_is_kept(database, business, old)


async def _nothing_is_kept(database: Database, business: Business, address_hash: bytes) -> None:
    async with database.read(business.id) as db:
        assert await mail.suppressed(db, address_hash) is None
        assert not await db.one(_COUNTED, bool, address_hash=address_hash)
