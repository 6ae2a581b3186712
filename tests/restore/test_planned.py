"""A deletion that could be called off when the database was lost: what she decided stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec import Struct

from crm import customers, mail, privacy
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database, open_database
from crm.journal import CalledOff, Journal, Keeper
from crm.privacy import Fingerprint, Wish
from crm.privacy.erasure import grace
from crm.restore import jobs
from tests import make
from tests.conftest import KEYS, Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import backed_up, put_back, replayed

EIGHT_DAYS = timedelta(days=8)


class Five(Struct):
    """Five customers, each with a wish before or after the backup."""

    business: Business
    backup: Cluster
    # Each planned before it and called off after it; Bea's record was frozen already.
    ada: Customer
    bea: Customer
    # Each planned after it; Dora called hers off.
    cleo: Customer
    dora: Customer
    # Both after it, and the backup does not know her.
    eva: bytes
    waits: Wish


async def _planned(database: Database, business: Business, her: Customer) -> Wish:
    async with database.write(business.id) as db:
        return await privacy.plan(db, her, Fingerprint.keep)


async def _called_off(database: Database, business: Business, her: Customer) -> None:
    async with database.write(business.id) as db:
        await privacy.call_off(db, her.id)


@pytest.fixture
async def five(own_cluster: Cluster, journal: Journal) -> AsyncIterator[Five]:
    """Two wishes before a backup, and what became of them and of three others after it."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            ada, bea, cleo, dora = [
                await make.customer(db, address=f"{name}@example.com")
                for name in ("ada", "bea", "cleo", "dora")
            ]
            await customers.restrict(db, make.SYSTEM, bea.id)
        for each in (ada, bea):
            await _planned(database, business, each)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            for each in (ada, bea):
                await _called_off(database, business, each)
            waits = await _planned(database, business, cleo)
            await _planned(database, business, dora)
            await _called_off(database, business, dora)
            async with database.write(business.id) as db:
                eva = await make.customer(db, address="eva@example.com")
            await _planned(database, business, eva)
        eva_hash = KEYS.address_hash(business.id, "eva@example.com")
        yield Five(business, backup, ada, bea, cleo, dora, eva_hash, waits)


async def test_it_stands_as_she_decided(five: Five, journal: Journal) -> None:
    """Called off, it is not carried out; asked for, it is, on the day that her letter names."""
    business_id = five.business.id
    async with put_back(five.backup, journal) as (database, watch):
        assert await watch.stops()
        gone = (await replayed(five.backup, watch.keeper, business_id)).lost
        assert (gone.entries["planned"], gone.entries["calledoff"]) == (3, 3)
        await watch.look()
        assert not await watch.stops()
        async with database.read(business_id) as read:
            for her, frozen in ((five.ada, False), (five.bea, True), (five.dora, False)):
                assert await privacy.wish(read, her.id) is None
                known = await customers.get(read, her.id)
                assert (known.restricted_at is not None) is frozen
            assert await privacy.wish(read, five.cleo.id) == five.waits
            assert (await customers.get(read, five.cleo.id)).restricted_at is not None
            assert await mail.suppressed(read, five.eva) is not None
    keeper = Keeper(journal)
    async with open_database(
        five.backup.app_url, KEYS, clock=lambda: five.waits.asked_at + EIGHT_DAYS, keep=keeper
    ) as later:
        async with later.write(business_id) as db:
            assert await grace.due(db) == [five.cleo.id]
            assert await privacy.carry_out(db, five.cleo.id)
        async with later.write(business_id) as db:
            assert not await privacy.carry_out(db, five.ada.id)
        async with later.read(business_id) as read:
            found = await customers.of_ids(read, [five.ada.id, five.cleo.id])
            assert found[five.ada.id].erased_at is None
            assert found[five.cleo.id].erased_at == later.clock()


async def test_a_wish_that_was_made_since_stands(five: Five, journal: Journal) -> None:
    """What an open line says was called off is not what she asks for after it."""
    async with put_back(five.backup, journal) as (database, watch):
        business_id = five.business.id
        await replayed(five.backup, watch.keeper, business_id)
        await watch.look()
        before = five.waits.asked_at - EIGHT_DAYS
        await watch.keeper.note_alone(business_id, CalledOff(five.cleo.id), before)
        await jobs.sweep({"database": database, "watch": watch})
        async with database.read(business_id) as read:
            assert await privacy.wish(read, five.cleo.id) == five.waits
        await watch.keeper.note_alone(business_id, CalledOff(five.cleo.id), database.clock())
        await jobs.sweep({"database": database, "watch": watch})
        async with database.read(business_id) as read:
            assert await privacy.wish(read, five.cleo.id) is None


async def test_a_call_off_that_died_at_its_commit_is_carried_out(
    own_cluster: Cluster, five: Five, journal: Journal
) -> None:
    """And holds up nothing: Cleo's record is free, and no line is left open."""
    async with put_back(own_cluster, journal) as (database, watch):
        dying = database.write(five.business.id)
        db = await dying.begin()
        await privacy.call_off(db, five.cleo.id)
        assert database.keep is not None
        await database.keep(db)
        await dying.roll_back()
        await jobs.sweep({"database": database, "watch": watch})
        async with database.read(five.business.id) as read:
            assert await privacy.wish(read, five.cleo.id) is None
            assert (await customers.get(read, five.cleo.id)).restricted_at is None
        assert journal.log(five.business.id).tail().open == {}
        # Whoever else ends her freeze while she waits is not heard.
        await _planned(database, five.business, five.cleo)
        dying = database.write(five.business.id)
        db = await dying.begin()
        await privacy.call_off(db, five.cleo.id)
        db.noted[:] = [each for each in db.noted if not isinstance(each, CalledOff)]
        await database.keep(db)
        await dying.roll_back()
        await jobs.sweep({"database": database, "watch": watch})
        async with database.read(five.business.id) as read:
            assert (await customers.get(read, five.cleo.id)).restricted_at is not None
        assert journal.log(five.business.id).tail().open == {}
