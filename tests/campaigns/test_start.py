"""Starting: once, by one, and only what may be sent."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from crm import campaigns
from crm.businesses import Business, NoPostalAddress
from crm.campaigns import Campaign, State, WrongState, filling, jobs
from crm.db import Database
from crm.errors import Invalid
from crm.events import Actor
from tests import make
from tests.campaigns.site import drafted, member, present
from tests.campaigns.test_send import settings
from tests.conftest import Cluster

SYSTEM = Actor.system()


async def test_of_two_starts_at_once_one_wins(database: Database, business: Business) -> None:
    """Two connections, both past their checks before either moves: the other is told clearly."""
    campaign, _, _ = await drafted(database, business)
    first_moved, second_waits = asyncio.Event(), asyncio.Event()

    async def first() -> Campaign:
        async with database.write(business.id) as db:
            moved = await campaigns.start(db, SYSTEM, campaign.id)
            first_moved.set()
            await second_waits.wait()
        return moved

    async def second() -> Campaign:
        await first_moved.wait()
        async with database.write(business.id) as db:
            seen = await campaigns.get(db, campaign.id)
            assert seen.state is State.draft
            asyncio.get_running_loop().call_later(0.05, second_waits.set)
            return await campaigns.start(db, SYSTEM, campaign.id)

    won, lost = await asyncio.gather(first(), second(), return_exceptions=True)

    assert isinstance(won, Campaign)
    assert won.state is State.starting
    assert isinstance(lost, WrongState)
    assert lost.message == "This campaign is started already, so it cannot be started now."


async def test_who_starts_it_has_approved_it(database: Database, business: Business) -> None:
    """The member's id stays on it, with the instant."""
    who = await member(database, business)
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        started = await campaigns.start(db, who.actor, campaign.id)

    assert started.approved_by == who.id
    assert started.started_at is not None


async def test_without_a_postal_address_nothing_starts(database: Database) -> None:
    """Refused with what to do, and still a draft."""
    bare = await make.business(database, postal_address="")
    campaign, _, _ = await drafted(database, bare)
    async with database.write(bare.id) as db:
        with pytest.raises(NoPostalAddress, match="Enter it first"):
            await campaigns.start(db, SYSTEM, campaign.id)

    assert (await present(database, bare, campaign)).state is State.draft


async def test_a_broken_text_does_not_start(database: Database, business: Business) -> None:
    """All that is wrong with it is said at once."""
    campaign, _, _ = await drafted(database, business, source="{{ a }}\n\n{{ b }}")
    async with database.write(business.id) as db:
        with pytest.raises(Invalid) as refused:
            await campaigns.start(db, SYSTEM, campaign.id)

    assert len(refused.value.problems) == 2
    assert (await present(database, business, campaign)).state is State.draft


async def test_claims_are_planned_for_as_many_as_there_are(
    own_cluster: Cluster, own_database: Database
) -> None:
    """After an import, before autovacuum has come round: nobody is taken for next to nobody."""
    business = await make.business(own_database)
    campaign, _, _ = await drafted(own_database, business, 300)
    async with own_database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
    ctx: jobs.Ctx = {
        "database": own_database,
        "settings": settings(25),
        "sending": asyncio.Lock(),
    }
    await jobs.fill(ctx, str(business.id), str(campaign.id))
    conn = await asyncpg.connect(own_cluster.superuser_url)
    try:
        known = await conn.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace"
            " AND relname IN ('delivery', 'consent', 'customer') AND reltuples = 300"
        )
    finally:
        await conn.close()

    assert {row["relname"] for row in known} == {"delivery", "consent", "customer"}


async def test_nobody_is_mailed_before_all_are_written_down(
    database: Database, business: Business
) -> None:
    """A second worker finds nothing to write where the first is at it, and opens nothing."""
    campaign, _, _ = await drafted(database, business, 3)
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
    async with database.write(business.id) as db:
        assert await filling.fill_piece(db, campaign.id, 2)
    async with database.write(business.id) as db:
        assert not await filling.begin_sending(db, campaign.id)


async def test_it_starts_on_a_server_that_counts_from_the_beginning(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """Dumped while it waited, and loaded elsewhere: no transaction so late has been there yet."""
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
    async with database.write(business.id) as db:
        while await filling.fill_piece(db, campaign.id, 10):
            pass
    await root.execute(
        "UPDATE crm.campaign SET filled_by = filled_by + 1000000000 WHERE business_id = $1",
        business.id,
    )

    async with database.write(business.id) as db:
        assert await filling.begin_sending(db, campaign.id)
