"""A database from before a merge makes the two records one again, and erases both."""

from __future__ import annotations

import pytest
from msgspec import Struct

from crm import access, consent, customers, privacy
from crm.businesses import Business
from crm.consent import ConsentEvent, Method, Notice
from crm.customers import Customer, UnknownCustomer
from crm.db import Database, Db
from crm.events import Actor
from crm.ids import instant_of
from crm.journal import Journal, Merged
from crm.privacy import merging
from crm.restore.replaying import replay
from crm.tokens import Stop
from tests import make
from tests.conftest import KEYS, Cluster
from tests.journal.conftest import opened
from tests.privacy.letters import letters
from tests.restore.conftest import backed_up, put_back, replayed


class Both(Struct):
    """Two records of one person; the one that goes said no."""

    business: Business
    kept: Customer
    gone: Customer
    notice: Notice


async def _lived(database: Database) -> Both:
    business = await make.business(database)
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        kept, gone = await make.customer(db), await make.customer(db)
        await consent.give(db, make.SYSTEM, kept.id, notice.question, make.ELSEWHERE)
        await consent.withdraw(db, make.SYSTEM, gone.id, notice.purpose_id, method=Method.api)
    return Both(business, kept, gone, notice)


async def test_they_are_one_again(own_cluster: Cluster, journal: Journal) -> None:
    async with opened(own_cluster, journal) as database:
        both = await _lived(database)
    business_id = both.business.id
    async with backed_up(own_cluster) as backup:
        async with (
            opened(own_cluster, journal) as database,
            database.write(business_id) as db,
        ):
            await merging.merge(db, make.SYSTEM, both.kept.id, both.gone.id)
        async with put_back(backup, journal) as (database, watch):
            done = await replayed(backup, watch.keeper, business_id)
            assert done.lost.entries["merged"] == 1
            async with database.read(business_id) as read:
                with pytest.raises(UnknownCustomer):
                    await customers.get(read, both.gone.id)
                assert await customers.merged_records(read, both.kept.id) == [both.gone.id]
                checked = await consent.check(read, both.kept.id, both.notice.purpose_id)
                assert not checked.authorises
                fingerprint = KEYS.address_hash(business_id, both.gone.address)
                held = await access.holder(read, Stop(business_id, fingerprint, None))
            async with database.write(business_id) as db:
                # She was told when it was done.
                assert await letters(db) == []
            assert held.customer is not None
            assert held.customer.id == both.kept.id


async def test_a_yes_of_both_is_still_one(own_cluster: Cluster, journal: Journal) -> None:
    """The end of the yes that did not move is told before the merge, and is no withdrawal."""
    async with opened(own_cluster, journal) as database:
        both = await _lived(database)
        async with database.write(both.business.id) as db:
            word = await make.own_word(db, both.gone.id)
            by = Actor.customer(both.gone.id)
            await consent.give(db, by, both.gone.id, both.notice.question, word)
    business_id = both.business.id
    async with backed_up(own_cluster) as backup:
        async with (
            opened(own_cluster, journal) as database,
            database.write(business_id) as db,
        ):
            await merging.merge(db, make.SYSTEM, both.kept.id, both.gone.id)
        async with put_back(backup, journal) as (database, watch):
            await replayed(backup, watch.keeper, business_id)
            async with database.read(business_id) as read:
                assert await customers.merged_records(read, both.kept.id) == [both.gone.id]
                checked = await consent.check(read, both.kept.id, both.notice.purpose_id)
                assert checked.authorises


async def test_both_are_erased(own_cluster: Cluster, journal: Journal) -> None:
    """Merged and then erased after the backup, in which they are two."""
    async with opened(own_cluster, journal) as database:
        both = await _lived(database)
    business_id = both.business.id
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            async with database.write(business_id) as db:
                await merging.merge(db, make.SYSTEM, both.kept.id, both.gone.id)
            async with database.write(business_id) as db:
                await privacy.erase(db, make.SYSTEM, both.kept.id)
        async with put_back(backup, journal) as (database, watch):
            await replayed(backup, watch.keeper, business_id)
            async with database.read(business_id) as read:
                for each in (both.kept, both.gone):
                    with pytest.raises(UnknownCustomer):
                        await customers.get(read, each.id)
                    assert not await consent.history(read, each.id)
                assert not await customers.merged_records(read, both.kept.id)


@pytest.mark.parametrize("again", [False, True])
async def test_a_yes_since_an_uncertain_merge_stands(
    database: Database, business: Business, *, again: bool
) -> None:
    """It was noted, nobody knew whether it was done, and she went on; but a no since then wins."""
    async with database.write(business.id) as db:
        kept, gone = await make.customer(db), await make.customer(db)
        notice = await make.notice(db, (await make.purpose(db)).id)
        no = await _no(db, gone, notice)
    async with database.write(business.id) as db:
        word = await make.own_word(db, kept.id)
        await consent.give(db, Actor.customer(kept.id), kept.id, notice.question, word)
        if again:
            await _yes_and_no(db, gone, notice)
    async with database.write(business.id) as db:
        since = instant_of(no.id)
        await replay(db, Merged(kept.id, gone.id), since, unless_since=since)
        assert [each.to for each in await letters(db)] == [gone.address]
    async with database.read(business.id) as read:
        assert await customers.merged_records(read, kept.id) == [gone.id]
        checked = await consent.check(read, kept.id, notice.purpose_id)
        assert checked.authorises is not again


async def _no(db: Db, customer: Customer, notice: Notice) -> ConsentEvent:
    by = Actor.customer(customer.id)
    return await consent.withdraw(db, by, customer.id, notice.purpose_id, method=Method.portal)


async def _yes_and_no(db: Db, customer: Customer, notice: Notice) -> None:
    word = await make.own_word(db, customer.id)
    await consent.give(db, Actor.customer(customer.id), customer.id, notice.question, word)
    await _no(db, customer, notice)
