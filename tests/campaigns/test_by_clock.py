"""By each customer's own clock: when it shows the time, and by day."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from crm import campaigns, customers
from crm.campaigns import NeverOpen, State, jobs
from crm.campaigns.by_clock import first_and_last
from crm.campaigns.clock import Hours, instant, may_go, next_open
from crm.customers import Changes
from crm.db import Database, Db, no_wake, open_database
from crm.errors import Invalid
from crm.events import Actor
from tests import make
from tests.campaigns.site import approving, caller, client, drafted, member
from tests.campaigns.test_send import settings
from tests.conftest import KEYS, Cluster
from tests.rhythm.test_obey import at, ctx, opened, worked
from tests.smtpd import Smtpd, smtpd

KEY = Actor.key(UUID(int=7), "Shop")
EIGHT = datetime(2030, 6, 3, 8)  # noqa: DTZ001  (by anybody's clock)


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("local", "zone", "expected"),
    [
        (EIGHT, "Europe/Berlin", _utc(2030, 6, 3, 6)),
        (EIGHT, "Asia/Kolkata", _utc(2030, 6, 3, 2, 30)),
        (EIGHT, "Pacific/Kiritimati", _utc(2030, 6, 2, 18)),
        (EIGHT, "No/Where", _utc(2030, 6, 3, 8)),
        # Left out in spring: the first instant after the gap.
        (datetime(2026, 3, 29, 2, 30), "Europe/Berlin", _utc(2026, 3, 29, 1)),  # noqa: DTZ001
        (datetime(2026, 3, 8, 2, 1), "America/New_York", _utc(2026, 3, 8, 7)),  # noqa: DTZ001
        # Shown twice in autumn: the first.
        (datetime(2026, 10, 25, 2, 30), "Europe/Berlin", _utc(2026, 10, 25, 0, 30)),  # noqa: DTZ001
        # A whole day that Samoa never had.
        (datetime(2011, 12, 30, 9), "Pacific/Apia", _utc(2011, 12, 30, 10)),  # noqa: DTZ001
    ],
)
def test_a_clock_shows_a_time_at_one_instant(
    local: datetime, zone: str, expected: datetime
) -> None:
    assert instant(local, zone) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (_utc(2030, 6, 3, 5, 59), _utc(2030, 6, 3, 6)),  # 7:59 in Berlin
        (_utc(2030, 6, 3, 6), _utc(2030, 6, 3, 6)),
        (_utc(2030, 6, 3, 17, 59), _utc(2030, 6, 3, 17, 59)),
        (_utc(2030, 6, 3, 18), _utc(2030, 6, 4, 6)),  # 20:00 in Berlin
        (_utc(2030, 6, 3, 23), _utc(2030, 6, 4, 6)),  # past midnight there
    ],
)
def test_a_day_is_open_for_some_hours(now: datetime, expected: datetime) -> None:
    assert next_open(now, Hours(8, 20), "Europe/Berlin") == expected
    assert next_open(now, Hours(), "Europe/Berlin") == now


def test_a_time_in_the_night_waits_for_the_morning() -> None:
    late = datetime(2030, 6, 3, 22)  # noqa: DTZ001
    assert may_go(_utc(2030, 6, 1), late, Hours(8, 20), "UTC") == _utc(2030, 6, 4, 8)


async def _living(db: Db, zones: dict[str, str]) -> None:
    """Let customers whose addresses begin like this live by these clocks."""
    for customer in await customers.page(db, limit=100):
        zone = zones.get(customer.address.partition("@")[0].rstrip("0123456789"))
        if zone:
            await customers.change(db, make.SYSTEM, customer.id, Changes(time_zone=zone))


async def test_it_reaches_each_when_her_clock_shows_the_time(
    own_cluster: Cluster, own_database: Database
) -> None:
    """First east, then by the clock of the business, then west; nobody twice, and the sum holds."""
    business = await make.business(own_database, time_zone="Europe/Lisbon")
    async with own_database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        for prefix in ("east", "here", "west"):
            await make.audience(db, notice, 3, prefix=prefix)
        await _living(db, {"east": "Asia/Tokyo", "west": "America/Los_Angeles"})
        campaign = await make.campaign(db, notice.purpose_id)
        morning = (db.now + timedelta(days=3)).replace(
            hour=9, minute=0, second=0, microsecond=0, tzinfo=None
        )
        planned = await campaigns.schedule_by_clock(db, make.SYSTEM, campaign.id, morning)
        first, last = await first_and_last(db, notice.purpose_id, morning)
    assert planned.scheduled_at == first == instant(morning, "Asia/Tokyo")
    assert last == instant(morning, "America/Los_Angeles")

    async with smtpd() as relay:
        sent = []
        for at in (first, instant(morning, "Europe/Lisbon"), last):
            await _work(own_cluster, relay, business.id.hex, campaign.id.hex, at)
            sent.append({m.recipients[0][:4] for m in relay.messages})
            async with own_database.read(business.id) as db:
                counts = await campaigns.counts(db, campaign.id)
                waits = await campaigns.waits(db, campaign.id)
            assert counts.audience == 9
            assert counts.sent == len(relay.messages) == len(sent) * 3
            assert {wait.waits_for for wait in waits} <= {"clock"}
    assert sent == [{"east"}, {"east", "here"}, {"east", "here", "west"}]
    async with own_database.read(business.id) as db:
        assert (await campaigns.get(db, campaign.id)).state is State.done


async def test_nobody_is_mailed_at_night(own_cluster: Cluster, own_database: Database) -> None:
    """Who sleeps waits for the morning, and the page says so; who is awake is mailed."""
    business = await make.business(own_database, mails_from=8, mails_until=20)
    async with own_database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        await make.audience(db, notice, 2, prefix="east")
        await make.audience(db, notice, 2, prefix="here")
        await _living(db, {"east": "Asia/Tokyo"})
        noon = (db.now + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
        campaign = await make.campaign(db, notice.purpose_id)
        await campaigns.schedule(db, make.SYSTEM, campaign.id, noon)
    async with smtpd() as relay:
        await _work(own_cluster, relay, business.id.hex, campaign.id.hex, noon)
        assert {m.recipients[0][:4] for m in relay.messages} == {"here"}
        async with own_database.read(business.id) as db:
            (wait,) = await campaigns.waits(db, campaign.id)
        # 21:00 in Tokyo; its morning is at 23:00 UTC.
        assert (wait.waits_for, wait.customers) == ("clock", 2)
        assert wait.due_at == noon + timedelta(hours=11)

        await _work(own_cluster, relay, business.id.hex, campaign.id.hex, wait.due_at)
    assert len(relay.messages) == 4


async def test_who_would_never_be_mailed_is_said_before_the_start(database: Database) -> None:
    """A short expiry in closed hours: the review counts whom it misses, and nobody is no start."""
    night = _utc(2030, 6, 3, 21)
    late = Database(database.connections, database.keys, no_wake, lambda: night)
    business = await make.business(late, mails_from=8, mails_until=20, time_zone="UTC")
    async with late.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        await make.audience(db, notice, 3, prefix="here")
        campaign = await make.campaign(db, notice.purpose_id)
        assert (await campaigns.review(db, campaign.id)).missed == 0
        await campaigns.expire_after(db, campaign.id, 4)
        alone = await campaigns.review(db, campaign.id)
        with pytest.raises(NeverOpen, match=r"expires 4 hours after its start.*8:00 to 20:00"):
            await campaigns.start(db, KEY, campaign.id)
        with pytest.raises(NeverOpen):
            await campaigns.schedule(db, KEY, campaign.id, night + timedelta(hours=1))
        # Opens in Tokyo two hours from now.
        await make.audience(db, notice, 2, prefix="east")
        await _living(db, {"east": "Asia/Tokyo"})
        together = await campaigns.review(db, campaign.id)
        planned = await campaigns.schedule(db, KEY, campaign.id, _utc(2030, 6, 4, 9))
        by_day = await campaigns.review(db, campaign.id)
    assert planned.state is State.scheduled
    assert (alone.missed, alone.will_get) == (3, 3)
    assert (together.missed, together.will_get) == (3, 5)
    # At 9:00 here it is 18:00 there.
    assert by_day.missed == 0


async def test_staff_see_whom_an_expiry_misses(database: Database) -> None:
    """The review says the number and what to do; with another expiry nobody is missed."""
    night = _utc(2030, 6, 3, 21)
    late = Database(database.connections, database.keys, no_wake, lambda: night)
    business = await make.business(late, mails_from=8, mails_until=20, time_zone="UTC")
    campaign, _, _ = await drafted(late, business, 2)
    who = await member(late, business)
    base = f"/staff/campaigns/{campaign.id}"
    async with late.write(business.id) as db:
        await campaigns.expire_after(db, campaign.id, 3)
    async with client(late, business, who=who) as browser:
        review = await browser.get(f"{base}/review")
        refused = await browser.post(f"{base}/start", data=approving(campaign))
        async with late.write(business.id) as db:
            await campaigns.expire_after(db, campaign.id, 13)
        enough = await browser.get(f"{base}/review")
    assert "<b>2 of them would not get it.</b>" in review.text
    assert refused.status_code == 409
    assert "until then nobody may be mailed" in refused.text
    assert "would not get it" not in enough.text


@pytest.mark.parametrize("before", ["draft", "scheduled", "restored"])
async def test_a_start_before_the_plan_is_a_start_at_once(database: Database, before: str) -> None:
    """Whoever sends now means now: four weeks ahead of every clock, all of them are mailed."""
    now = at(database, _utc(2030, 6, 3, 10))
    shop = await opened(now, 3)
    async with now.write(shop.business.id) as db:
        campaign = await make.campaign(db, shop.purposes[0])
        if before != "draft":
            await campaigns.schedule_by_clock(db, make.SYSTEM, campaign.id, EIGHT.replace(month=7))
    if before == "restored":
        await campaigns.hold_restored(now, shop.business.id, [])
    async with now.write(shop.business.id) as db:
        started = await campaigns.start(db, make.SYSTEM, campaign.id)
    assert (started.state, started.local_at) == (State.starting, None)

    await jobs.fill(ctx(now, 1), str(shop.business.id), str(campaign.id))
    async with smtpd() as relay:
        assert (await worked(now, shop, campaign, relay)).sent == 3


async def test_a_start_at_once_is_judged_without_the_plan(database: Database) -> None:
    """By the clock it would reach them by day; now is night, and it expires before morning."""
    night = at(database, _utc(2030, 6, 3, 21))
    business = await make.business(night, mails_from=8, mails_until=20, time_zone="UTC")
    async with night.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        await make.audience(db, notice, 1)
        campaign = await make.campaign(db, notice.purpose_id)
        await campaigns.expire_after(db, campaign.id, 4)
        morning = EIGHT + timedelta(days=1, hours=1)
        await campaigns.schedule_by_clock(db, KEY, campaign.id, morning)
        with pytest.raises(NeverOpen):
            await campaigns.start(db, KEY, campaign.id)


@pytest.mark.parametrize("starts", ["staff", "worker"])
async def test_a_plan_that_is_due_is_kept(database: Database, starts: str) -> None:
    """From the first clock on it goes on by clocks, whoever is first to start it."""
    business = await make.business(database, time_zone="UTC")
    async with at(database, _utc(2030, 6, 1)).write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        await make.audience(db, notice, 1, prefix="east")
        await _living(db, {"east": "Asia/Tokyo"})
        campaign = await make.campaign(db, notice.purpose_id)
        planned = await campaigns.schedule_by_clock(db, make.SYSTEM, campaign.id, EIGHT)
    assert planned.scheduled_at is not None
    due = at(database, planned.scheduled_at)
    if starts == "worker":
        await jobs.sweep(ctx(due, 1))
    async with due.write(business.id) as db:
        if starts == "staff":
            await campaigns.start(db, KEY, campaign.id)
        started = await campaigns.get(db, campaign.id)
    assert (started.state, started.local_at) == (State.starting, EIGHT)


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("9999-12-31T23:30:00Z", "too_far"),
        ("0001-01-01T00:00:00Z", "too_late"),
        ("2032-06-05T00:00:00Z", "too_far"),
        ("2030-06-01T12:00:00Z", "too_late"),
    ],
)
async def test_a_time_that_no_clock_reaches_is_refused(
    database: Database, when: str, code: str
) -> None:
    """Also at the ends of the calendar, where the year of some clocks is none that there is."""
    now = at(database, _utc(2030, 6, 3, 12))
    business = await make.business(now)
    async with now.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        await make.audience(db, notice, 1, prefix="west")
        await make.audience(db, notice, 1, prefix="east")
        await _living(db, {"west": "America/New_York", "east": "Asia/Tokyo"})
        campaign = await make.campaign(db, notice.purpose_id)
    async with client(now, business, key=caller()) as program:
        answer = await program.post(
            f"/v1/campaigns/{campaign.id}/schedule", json={"at": when, "by_customers_clock": True}
        )
    assert (answer.status_code, answer.json()["code"]) == (409, code)


@pytest.mark.parametrize("days", [0.2, 730])
async def test_the_nearest_and_the_farthest_time_are_taken(database: Database, days: float) -> None:
    """What is past by the clock here may be to come by that of everybody."""
    now = at(database, _utc(2030, 6, 3, 12))
    business = await make.business(now, time_zone="Pacific/Honolulu")
    async with now.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        campaign = await make.campaign(db, notice.purpose_id)
        when = datetime(2030, 6, 3, 2) + timedelta(days=days)  # noqa: DTZ001
        planned = await campaigns.schedule_by_clock(db, make.SYSTEM, campaign.id, when)
    assert planned.state is State.scheduled


async def test_a_zone_that_is_none_is_refused(database: Database) -> None:
    business = await make.business(database)
    async with database.write(business.id) as db:
        nora = await make.customer(db)
        with pytest.raises(Invalid, match="no such time zone"):
            await customers.change(db, make.SYSTEM, nora.id, Changes(time_zone="Mars/Base"))


async def _work(cluster: Cluster, relay: Smtpd, business: str, campaign: str, at: datetime) -> None:
    """Let a worker do what is due at an instant."""
    async with open_database(cluster.app_url, KEYS, size=2, clock=lambda: at) as database:
        ctx: jobs.Ctx = {
            "database": database,
            "settings": settings(relay.port),
            "sending": asyncio.Lock(),
        }
        await jobs.sweep(ctx)
        await jobs.fill(ctx, business, campaign)
        await jobs.send(ctx, business, campaign)
