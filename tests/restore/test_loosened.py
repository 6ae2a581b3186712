"""The end of a freeze, or a member let in again, of which nobody knows whether it was committed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from crm import customers, staff
from crm.businesses import Business
from crm.db import Database, Db, ReadDb
from crm.journal import Entry, Journal, Keeper, Readmitted, Restricted, Revoked
from crm.restore import settle
from crm.restore.replaying import replay
from tests import make

HOUR = timedelta(hours=1)


async def _frozen(db: ReadDb, customer_id: UUID) -> bool:
    return (await customers.get(db, customer_id)).restricted_at is not None


async def _shut_out(db: ReadDb, member_id: UUID) -> bool:
    (found,) = [each for each in await staff.members(db) if each.id == member_id]
    return found.disabled_at is not None


async def _both(db: Db) -> tuple[UUID, UUID]:
    await make.owner(db)
    return (await make.customer(db)).id, (await make.owner(db)).id


async def test_a_sweep_does_not_undo_what_was_decided_since(
    database: Database, business: Business, journal: Journal
) -> None:
    async with database.write(business.id) as db:
        her, member = await _both(db)
        log = journal.log(business.id)
        log.write(None, db.now - HOUR, [Restricted(her, frozen=False), Readmitted(member)])
        await customers.restrict(db, make.SYSTEM, her)
        await staff.disable(db, make.SYSTEM, member)
    assert await settle(database, Keeper(journal), business.id) == 1
    assert log.tail().open == {}
    async with database.read(business.id) as db:
        assert await _frozen(db, her)
        assert await _shut_out(db, member)


async def test_what_shuts_out_is_carried_out(
    database: Database, business: Business, journal: Journal
) -> None:
    async with database.write(business.id) as db:
        her, member = await _both(db)
        entries: list[Entry] = [Restricted(her, frozen=True), Revoked("member", member)]
        journal.log(business.id).write(None, db.now - HOUR, entries)
    assert await settle(database, Keeper(journal), business.id) == 1
    async with database.read(business.id) as db:
        assert await _frozen(db, her)
        assert await _shut_out(db, member)


@pytest.mark.parametrize("ended", [True, False])
async def test_a_restore_replays_both_in_their_order(
    database: Database, business: Business, *, ended: bool
) -> None:
    async with database.write(business.id) as db:
        her, member = await _both(db)
        shut: list[Entry] = [Restricted(her, frozen=True), Revoked("member", member)]
        opens: list[Entry] = [Restricted(her, frozen=False), Readmitted(member)]
        for entry in (*shut, *opens) if ended else (*opens, *shut):
            await replay(db, entry, db.now)
        assert await _frozen(db, her) is not ended
        assert await _shut_out(db, member) is not ended
