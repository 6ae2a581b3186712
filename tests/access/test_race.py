"""A session that opens at the moment in which all others are ended."""

from __future__ import annotations

from crm.access import sessions
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database, Db
from tests import make
from tests.races import second


async def test_it_is_ended_with_the_others(
    database: Database, business: Business, customer: Customer
) -> None:
    """Whoever had opened a mail of hers is out, and she is in."""
    async with database.write(business.id) as db:
        mine = await make.signed_in(db, customer.id)
    theirs = []

    async def opens(db: Db) -> None:
        theirs.append(await make.signed_in(db, customer.id))

    await second(database, business, opens, lambda db: sessions.close_others(db, customer.id, mine))

    async with database.read(business.id) as read:
        assert await sessions.session(read, theirs[0]) is None
        assert await sessions.session(read, mine) is not None
