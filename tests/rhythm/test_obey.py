"""Campaigns obey: the last place of a week is one place, and what does not fit waits or lapses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec import Struct

from crm import campaigns, consent, customers, rhythm
from crm.businesses import Business
from crm.campaigns import Campaign, Counts, DeliveryState, NewCampaign, State, jobs
from crm.campaigns.claiming import Change, Claimed, claim
from crm.campaigns.deferring import give_places, limited
from crm.campaigns.recording import Row, write
from crm.consent import Method
from crm.customers import Changes
from crm.db import Database, Db, no_wake
from crm.events import Actor
from crm.rhythm import Wanted
from tests import make
from tests.browser import Browser
from tests.campaigns.test_send import settings
from tests.campaigns.test_share import until_waiting
from tests.conftest import Cluster
from tests.smtpd import Smtpd, smtpd

# A Wednesday, and the Monday after it.
WEDNESDAY = datetime(2030, 6, 5, 12, tzinfo=UTC)
MONDAY = datetime(2030, 6, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
# What of the values of a mail is kept with its delivery: nothing.
KEPT = {"keeps": False, "own": [], "attributes": []}
GONE = "550 5.1.1 No such mailbox"


class Shop(Struct):
    """A business with two purposes, to both of which the same readers said yes."""

    business: Business
    readers: list[UUID]
    purposes: list[UUID]


def at(database: Database, now: datetime) -> Database:
    """The same database at another time."""
    return Database(database.connections, database.keys, no_wake, lambda: now)


async def opened(database: Database, count: int = 1) -> Shop:
    business = await make.business(database)
    async with database.write(business.id) as db:
        first = await make.notice(db, (await make.purpose(db)).id)
        second = await make.notice(db, (await make.purpose(db, name="Offers")).id)
        readers = await make.audience(db, first, count)
        for each in readers:
            await consent.give(
                db, Actor.key(UUID(int=1), "Shop"), each, second.question, make.ELSEWHERE
            )
    return Shop(business, readers, [first.purpose_id, second.purpose_id])


async def wishes(database: Database, shop: Shop, wanted: Wanted, *readers: UUID) -> None:
    async with database.write(shop.business.id) as db:
        for reader in readers or shop.readers:
            await rhythm.change(db, reader, wanted)


async def started(database: Database, shop: Shop, which: int = 0, hours: int = 720) -> Campaign:
    """Start an issue and write down whom it is for."""
    async with database.write(shop.business.id) as db:
        campaign = await make.campaign(db, shop.purposes[which])
        await campaigns.expire_after(db, campaign.id, hours)
        campaign = await campaigns.start(db, make.SYSTEM, campaign.id)
    await jobs.fill(ctx(database, 1), str(shop.business.id), str(campaign.id))
    return campaign


async def worked(database: Database, shop: Shop, campaign: Campaign, relay: Smtpd) -> Counts:
    """Send what may go now; at every moment the sums are those of the rows."""
    await jobs.send(ctx(database, relay.port), str(shop.business.id), str(campaign.id))
    return await counted(database, shop, campaign)


async def counted(database: Database, shop: Shop, campaign: Campaign) -> Counts:
    async with database.read(shop.business.id) as db:
        cheap = await campaigns.counts(db, campaign.id)
        assert cheap == await campaigns.recount(db, campaign.id)
    assert cheap.audience == len(shop.readers)
    return cheap


async def state(database: Database, shop: Shop, campaign: Campaign) -> State:
    async with database.read(shop.business.id) as db:
        return (await campaigns.get(db, campaign.id)).state


def ctx(database: Database, port: int) -> jobs.Ctx:
    return {"database": database, "settings": settings(port), "sending": asyncio.Lock()}


async def claimed(db: Db, campaign: Campaign, ids: list[UUID], last: datetime) -> list[Claimed]:
    """Claim them beside any range."""
    beside = Change(campaign_id=campaign.id, number=-1, epoch=0, cursor=UUID(int=0), blocked=0)
    return await claim(db, campaign, ids, last, kept=KEPT, change=beside)


async def test_two_campaigns_never_share_the_last_place(
    database: Database, shared_cluster: Cluster
) -> None:
    """Who comes second waits for the first, and then counts what it has taken."""
    now = at(database, WEDNESDAY)
    shop = await opened(now, 3)
    await wishes(now, shop, Wanted(1))
    one, other = [await started(now, shop, which) for which in (0, 1)]

    async def claims(db: Db, campaign: Campaign) -> list[Claimed]:
        last = WEDNESDAY + 100 * HOUR
        return await claimed(db, campaign, shop.readers[::-1], last)

    async def second() -> list[Claimed]:
        async with now.write(shop.business.id) as db:
            return await claims(db, other)

    async with now.write(shop.business.id) as db:
        first = await claims(db, one)
        late = asyncio.ensure_future(second())
        await until_waiting(shared_cluster, 1)
    assert {each.customer_id for each in first} == set(shop.readers)
    assert await late == []
    async with now.read(shop.business.id) as read:
        told = await rhythm.attention(read, shop.readers[0])
    assert (told.week.taken, [each.campaign_id for each in told.deferred]) == (1, [other.id])


async def test_who_has_left_is_deferred_no_more(database: Database) -> None:
    """A worker reads on ahead, and she may leave before it comes to her."""
    now = at(database, WEDNESDAY)
    shop = await opened(now)
    (nora,) = shop.readers
    await wishes(now, shop, Wanted(5, MONDAY))
    one = await started(now, shop, 0)
    async with now.write(shop.business.id) as db:
        await consent.withdraw(db, Actor.customer(nora), nora, one.purpose_id, method=Method.portal)
    async with now.write(shop.business.id) as db:
        assert await claimed(db, one, [nora], WEDNESDAY + 100 * HOUR) == []
    async with now.read(shop.business.id) as read:
        assert (await rhythm.attention(read, nora)).deferred == []


async def test_a_pause_waits_for_the_claim_under_way(
    database: Database, shared_cluster: Cluster
) -> None:
    """What is being claimed is claimed before she is answered; afterwards nothing is."""
    now = at(database, WEDNESDAY)
    shop = await opened(now)
    (nora,) = shop.readers
    await wishes(now, shop, Wanted(5))
    one, other = [await started(now, shop, which) for which in (0, 1)]
    async with now.write(shop.business.id) as db:
        # The range before the rhythm, as a worker does.
        await consent.hold_ranges(db, nora)
        first = await claimed(db, one, shop.readers, MONDAY)
        pausing = asyncio.ensure_future(wishes(now, shop, Wanted(5, MONDAY)))
        await until_waiting(shared_cluster, 1)
    await pausing
    async with now.write(shop.business.id) as db:
        assert await claimed(db, other, shop.readers, MONDAY) == []
    assert [each.customer_id for each in first] == [nora]


async def test_a_full_week_waits_for_monday(database: Database) -> None:
    """What does not fit is deferred, counted as such, and sent when her next week begins."""
    now = at(database, WEDNESDAY)
    shop = await opened(now, 4)
    modest, *others = shop.readers
    await wishes(now, shop, Wanted(1), modest)
    async with smtpd() as relay:
        first = await worked(now, shop, await started(now, shop), relay)
        assert (first.sent, first.deferred) == (4, 0)
        campaign = await started(now, shop, 1)
        second = await worked(now, shop, campaign, relay)
        assert (second.sent, second.waiting, second.deferred) == (3, 1, 1)
        async with now.read(shop.business.id) as db:
            (wait,) = await campaigns.waits(db, campaign.id)
            (line,) = (await rhythm.attention(db, modest)).deferred
            assert not (await rhythm.attention(db, others[0])).deferred
        assert (wait.waits_for, wait.customers, wait.due_at) == ("budget", 1, MONDAY)
        assert (line.until, line.lapses) == (MONDAY, False)

        assert (await worked(at(database, MONDAY - HOUR), shop, campaign, relay)).sent == 3
        last = await worked(at(database, MONDAY), shop, campaign, relay)
    assert (last.sent, last.deferred, len(relay.messages)) == (4, 0, 8)
    assert await state(now, shop, campaign) is State.done
    async with at(database, MONDAY).read(shop.business.id) as db:
        assert (await rhythm.attention(db, modest)).week.taken == 1


@pytest.mark.parametrize("reason", ["budget", "pause"])
async def test_what_would_come_too_late_is_left_out_for_her_rhythm(
    database: Database, reason: str
) -> None:
    """It waits for as long as it is worth it, since she may change her mind; it did not fail."""
    now = at(database, WEDNESDAY)
    shop = await opened(now, 2)
    nora = shop.readers[0]
    await wishes(now, shop, Wanted(1), nora)
    if reason == "pause":
        await wishes(now, shop, Wanted(None, MONDAY), nora)
    async with smtpd() as relay:
        if reason == "budget":
            await worked(now, shop, await started(now, shop), relay)
        campaign = await started(now, shop, 1, hours=24)
        assert (await worked(now, shop, campaign, relay)).deferred == 1
        async with now.read(shop.business.id) as db:
            (line,) = (await rhythm.attention(db, nora)).deferred
        assert (line.waits_for, line.until, line.lapses) == (reason, WEDNESDAY + 24 * HOUR, True)
        later = at(database, WEDNESDAY + 24 * HOUR)
        ended = await worked(later, shop, campaign, relay)
    assert (ended.sent, ended.excluded, ended.failed) == (1, 1, 0)
    assert ended.reasons == {reason: 1}
    assert await state(now, shop, campaign) is State.done


async def test_a_pause_counts_in_the_middle_of_a_campaign(database: Database) -> None:
    """Whoever pauses after the list was written waits; one press, and it comes at once."""
    now = at(database, WEDNESDAY)
    shop = await opened(now, 5)
    nora = shop.readers[2]
    campaign = await started(now, shop)
    await wishes(now, shop, Wanted(None, MONDAY + 100 * HOUR), nora)
    async with smtpd() as relay:
        paused = await worked(now, shop, campaign, relay)
        assert (paused.sent, paused.deferred) == (4, 1)
        assert (await worked(at(database, MONDAY), shop, campaign, relay)).sent == 4
        async with now.write(shop.business.id) as db:
            await rhythm.resume(db, nora)
        resumed = await worked(now, shop, campaign, relay)
    assert (resumed.sent, resumed.deferred) == (5, 0)


async def test_a_pause_ends_by_itself(database: Database) -> None:
    """With its last instant; a limit that was set besides counts from then on."""
    now = at(database, WEDNESDAY)
    shop = await opened(now)
    await wishes(now, shop, Wanted(1, MONDAY + HOUR))
    one, other = [await started(now, shop, which) for which in (0, 1)]
    async with smtpd() as relay:
        for campaign in (one, other):
            assert (await worked(now, shop, campaign, relay)).deferred == 1
        later = at(database, MONDAY + HOUR)
        assert (await worked(later, shop, one, relay)).sent == 1
        async with later.read(shop.business.id) as db:
            assert (await rhythm.attention(db, shop.readers[0])).week.taken == 1
        assert (await worked(later, shop, other, relay)).deferred == 1
        async with later.read(shop.business.id) as db:
            (wait,) = await campaigns.waits(db, other.id)
    assert (wait.waits_for, wait.due_at) == ("budget", MONDAY + timedelta(days=7))


async def test_what_fails_for_good_gives_its_place_back(database: Database) -> None:
    """While it is to be tried again it keeps the place; once refused, the next one may have it."""
    now = at(database, WEDNESDAY)
    shop = await opened(now)
    await wishes(now, shop, Wanted(1))
    one, other = [await started(now, shop, which) for which in (0, 1)]
    async with smtpd() as relay:
        relay.fails_for("reader0@example.com", "rcpt", "451 4.2.1 Later")
        assert (await worked(now, shop, one, relay)).waiting == 1
        assert (await worked(now, shop, other, relay)).deferred == 1
        relay.fails_for("reader0@example.com", "rcpt", GONE)
        soon = at(database, WEDNESDAY + HOUR)
        assert (await worked(soon, shop, one, relay)).failed == 1
    async with smtpd() as relay:
        assert (await worked(soon, shop, other, relay)).sent == 1


async def test_a_place_is_given_back_while_another_finds_none(
    database: Database, shared_cluster: Cluster
) -> None:
    """It has not said yet that it waits: whoever gives the place back waits to hear that."""
    now = at(database, WEDNESDAY)
    shop = await opened(now, 1)
    (nora,) = shop.readers
    await wishes(now, shop, Wanted(1))
    one, other = [await started(now, shop, which) for which in (0, 1)]
    last = WEDNESDAY + 100 * HOUR
    async with now.write(shop.business.id) as db:
        assert await claimed(db, one, [nora], last)
    async with now.write(shop.business.id) as second:
        assert await claimed(second, other, [nora], last) == []
        async with now.write(shop.business.id) as db:
            failed = Row(nora, DeliveryState.failed, 550, "gone", 0, None)
            assert await write(db, one.id, [failed])
            assert await limited(db, [nora]) == [nora]
        giving = asyncio.create_task(give_places(now, shop.business.id, [nora]))
        await until_waiting(shared_cluster, 1)
    await giving

    async with now.read(shop.business.id) as read:
        told = await rhythm.attention(read, nora)
    assert (told.week.taken, [each.until for each in told.deferred]) == (0, [WEDNESDAY])


async def test_leaving_while_deferred(database: Database) -> None:
    """A withdrawal takes her out, and nothing waits for her any more."""
    now = at(database, WEDNESDAY)
    shop = await opened(now, 2)
    nora = shop.readers[0]
    await wishes(now, shop, Wanted(None, MONDAY), nora)
    campaign = await started(now, shop)
    async with smtpd() as relay:
        assert (await worked(now, shop, campaign, relay)).deferred == 1
        async with now.write(shop.business.id) as db:
            actor = Actor.customer(nora)
            await consent.withdraw(db, actor, nora, shop.purposes[0], method=Method.portal)
        left = await counted(now, shop, campaign)
        assert (left.excluded, left.waiting, left.deferred) == (1, 0, 0)
        assert left.reasons == {"withdrawn": 1}
        ended = await worked(at(database, MONDAY), shop, campaign, relay)
    assert (ended.sent, len(relay.messages)) == (1, 1)


async def test_her_week_turns_in_her_zone(database: Database) -> None:
    """On this Sunday it is Monday in Auckland at noon by UTC: a new week there, and not here."""
    sunday = datetime(2030, 6, 9, 11, tzinfo=UTC)
    before, after = at(database, sunday), at(database, sunday + 2 * HOUR)
    shop = await opened(before, 2)
    await wishes(before, shop, Wanted(1))
    async with before.write(shop.business.id) as db:
        east = Changes(time_zone="Pacific/Auckland")
        await customers.change(db, make.SYSTEM, shop.readers[0], east)
    async with smtpd() as relay:
        assert (await worked(before, shop, await started(before, shop), relay)).sent == 2
        campaign = await started(after, shop, 1)
        second = await worked(after, shop, campaign, relay)
        assert (second.sent, second.deferred) == (1, 1)
        async with after.read(shop.business.id) as db:
            (wait,) = await campaigns.waits(db, campaign.id)
    assert wait.due_at == MONDAY


async def test_both_sides_see_what_is_deferred(
    database: Database, business: Business, console: Browser, api: Browser, site: object
) -> None:
    """She reads that one waits until Monday; staff and programs read how many wait."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        (nora,) = await make.audience(db, notice, 1)
        shop = Shop(business, [nora], [notice.purpose_id])
        her = await customers.get(db, nora)
    await wishes(database, shop, Wanted(1))
    async with smtpd() as relay:
        await worked(database, shop, await started(database, shop), relay)
        async with database.write(business.id) as db:
            new = NewCampaign(purpose_id=notice.purpose_id, subject="More rye", source="Rye.")
            campaign = await campaigns.draft(db, make.SYSTEM, new)
            await campaigns.expire_after(db, campaign.id, 720)
            await campaigns.start(db, make.SYSTEM, campaign.id)
        await jobs.fill(ctx(database, 1), str(business.id), str(campaign.id))
        await worked(database, shop, campaign, relay)

    progress = (await console.get(f"/staff/campaigns/{campaign.id}/progress")).text
    figures = (await console.get(f"/staff/campaigns/{campaign.id}/figures")).text
    assert "Of those waiting, one waits for a rhythm of her own" in progress
    assert "Their next week: they get only so many mails in one" in progress
    assert "Of those waiting, one waits for a rhythm of her own" in figures
    for path in ("", "/counts", "/figures"):
        told = (await api.get(f"/v1/campaigns/{campaign.id}{path}")).json()
        assert told.get("counts", told)["deferred"] == 1
    async with Browser(site, business.origin) as browser:  # type: ignore[arg-type]
        await make.let_in_as_customer(database, business, her, browser)
        page = (await browser.get("/me/rhythm")).text
    assert "<b>One newsletter has come.</b>" in page
    assert "One waits until Monday," in page
    assert "More rye" in page
