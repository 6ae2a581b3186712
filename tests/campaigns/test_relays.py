"""Several relays, slowed domains, expiry and the circuit breaker: sums hold, and staff see why."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import Counts, State, breaker, jobs, sending
from crm.campaigns.line import Line
from crm.db import Database
from crm.errors import Invalid
from crm.events import Actor
from crm.mail import relays
from crm.mail.pacing import day_of
from crm.mail.relays import NewRelay
from crm.mail.session import LOOPBACK
from crm.mail.trying import try_relay
from crm.mail.wire import Unreachable
from tests import make
from tests.browser import Browser
from tests.campaigns.test_send import settings, started
from tests.smtpd import Fault, smtpd

SYSTEM = Actor.system()


async def relay(database: Database, business: Business, port: int, **changes: object) -> UUID:
    """Enter a relay of this machine."""
    given: dict[str, object] = {
        "name": f"relay {port}",
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "connections": 2,
    }
    async with database.write(business.id) as db:
        today = day_of(db.now, business.time_zone)
        return await relays.add(db, SYSTEM, NewRelay(**given | changes), today)  # type: ignore[arg-type]


def context(database: Database, **sending: int) -> jobs.Ctx:
    """A worker; port 1 of the installation's relay, where nobody answers."""
    return {
        "database": database,
        "settings": settings(1, **sending),
        "sending": asyncio.Lock(),
    }


async def sent(ctx: jobs.Ctx, business: Business, campaign_id: UUID) -> Counts:
    """Fill and send; the sums of ranges equal the counts of rows."""
    await jobs.fill(ctx, str(business.id), str(campaign_id))
    await jobs.send(ctx, str(business.id), str(campaign_id))
    return await counted(ctx["database"], business, campaign_id)


async def counted(database: Database, business: Business, campaign_id: UUID) -> Counts:
    async with database.read(business.id) as db:
        cheap = await campaigns.counts(db, campaign_id)
        rows = await campaigns.recount(db, campaign_id)
    for state in campaigns.DeliveryState:
        assert getattr(cheap, state) == getattr(rows, state), state
    return rows


async def waits(database: Database, business: Business, campaign_id: UUID) -> dict[str, int]:
    async with database.read(business.id) as db:
        return {each.waits_for: each.customers for each in await campaigns.waits(db, campaign_id)}


async def test_shares_follow_the_weights(database: Database, business: Business) -> None:
    """Three to one, although both are equally fast."""
    campaign_id, _ = await started(database, business, 200)
    async with smtpd() as large, smtpd() as small:
        await relay(database, business, large.port, weight=3)
        await relay(database, business, small.port, weight=1)
        counts = await sent(context(database, range=1000), business, campaign_id)

    assert counts.sent == 200
    assert set(Counter(large.accepted() + small.accepted()).values()) == {1}
    assert 140 <= len(large.accepted()) <= 160


async def test_one_that_is_away_is_stood_in_for(database: Database, business: Business) -> None:
    """Whoever has weight 0 takes all while the other cannot be reached, and the page knows why."""
    campaign_id, _ = await started(database, business, 60)
    async with smtpd() as spare:
        away = await relay(database, business, 1, weight=5)
        await relay(database, business, spare.port, weight=0)
        counts = await sent(context(database, range=1000), business, campaign_id)
    async with database.read(business.id) as db:
        kept = {each.id: each.trouble for each in await relays.all_of(db)}

    assert counts.sent == len(spare.accepted()) == 60
    assert (kept[away] or "").startswith("cannot_connect")


async def test_a_spare_takes_nothing_while_the_others_can(
    database: Database, business: Business
) -> None:
    """It stands in only."""
    campaign_id, _ = await started(database, business, 60)
    async with smtpd() as main, smtpd() as spare:
        await relay(database, business, main.port, weight=5)
        await relay(database, business, spare.port, weight=0)
        await sent(context(database, range=1000), business, campaign_id)

    assert len(main.accepted()) + len(spare.accepted()) == 60
    # Until the first session of the other stands it may have begun.
    assert len(spare.accepted()) <= 4


async def test_one_that_breaks_off_loses_nobody(database: Database, business: Business) -> None:
    """What it had taken and not answered for is uncertain; all else goes by the other, once."""
    campaign_id, _ = await started(database, business, 100)
    async with smtpd() as breaks, smtpd() as holds:
        breaks.fails("mail", *[Fault(drop=True)] * 500)
        await relay(database, business, breaks.port)
        await relay(database, business, holds.port)
        counts = await sent(context(database, range=1000), business, campaign_id)

    assert counts.sent == len(holds.accepted()) == 100
    assert breaks.accepted() == []


async def test_a_cap_is_kept_and_the_rest_waits_for_tomorrow(
    database: Database, business: Business
) -> None:
    """A relay warms up: so many on its first day, the others wait and it is said for what."""
    campaign_id, _ = await started(database, business, 50)
    async with smtpd() as server:
        await relay(database, business, server.port, name="new", warm_up=[20, 40], daily_cap=1000)
        counts = await sent(context(database, range=1000), business, campaign_id)
        async with database.read(business.id) as db:
            use = list((await relays.uses(db)).values())
            found = await campaigns.waits(db, campaign_id)
            due = found[0].due_at

    assert (counts.sent, counts.waiting) == (20, 30)
    assert len(server.accepted()) == 20
    assert [each.taken for each in use] == [20]
    assert [(each.waits_for, each.customers) for each in found] == [("cap new", 30)]
    assert due > db.now


async def test_a_rate_is_shared_by_all_workers(database: Database, business: Business) -> None:
    """Two workers of one relay speak for its time in one row: none is taken twice."""
    campaign_id, _ = await started(database, business, 30)
    async with smtpd() as server:
        await relay(database, business, server.port, rate=40)
        ctx = context(database, range=10)
        await jobs.fill(ctx, str(business.id), str(campaign_id))
        async with database.read(business.id) as db:
            began = db.now
        await asyncio.gather(
            *(
                jobs.send(context(database, range=10), str(business.id), str(campaign_id))
                for _ in range(2)
            )
        )
        async with database.read(business.id) as db:
            uses = await relays.uses(db)
    spoken_for = next(iter(uses.values())).next_at

    assert sorted(Counter(server.accepted()).values()) == [1] * 30
    # 30 mails at 40 a second speak for three quarters of a second, less the credit of half a one.
    assert spoken_for is not None
    assert spoken_for >= began + timedelta(seconds=30 / 40 - 0.5)


async def test_one_domain_slows_down_and_the_others_go_on(
    database: Database, business: Business
) -> None:
    """Whoever is at a domain that says 421 waits without having been tried; it costs nothing."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        await make.audience(db, notice, 40, domain="slow.example")
        campaign = await make.campaign(db, purpose.id)
        await make.audience(db, notice, 60, prefix="other")
        await campaigns.start(db, SYSTEM, campaign.id)
    async with smtpd() as server:
        for number in range(40):
            server.fails_for(f"reader{number}@slow.example", "rcpt", "451 4.7.1 Too fast")
        await relay(database, business, server.port)
        counts = await sent(context(database, range=1000, batch=10), business, campaign.id)
        found = await waits(database, business, campaign.id)
    async with database.read(business.id) as db:
        attempts = Counter(
            row["attempt"]
            for row in await db._conn.fetch(  # noqa: SLF001
                "SELECT attempt FROM crm.delivery WHERE campaign_id = $1 AND state = 'waiting'",
                campaign.id,
            )
        )

    assert (counts.sent, counts.waiting) == (60, 40)
    assert found["domain slow.example"] + found.get("policy", 0) == 40
    assert attempts[0] == found["domain slow.example"] >= 20
    assert sum(command.startswith("RCPT") for _, command in server.commands) < 60 + 20


async def test_what_is_late_fails_as_stale(database: Database, business: Business) -> None:
    """A campaign with an expiry of its own delivers nothing after it."""
    campaign_id, _ = await started(database, business, 10)
    async with smtpd() as server:
        await relay(database, business, server.port)
        ctx = context(database)
        await jobs.fill(ctx, str(business.id), str(campaign_id))
        async with database.write(business.id) as db:
            await db._conn.execute(  # noqa: SLF001  (time passes)
                "UPDATE crm.campaign SET started_at = started_at - interval '2 hours',"
                " expires_hours = 1 WHERE campaign_id = $1",
                campaign_id,
            )
        await jobs.send(ctx, str(business.id), str(campaign_id))
    counts = await counted(database, business, campaign_id)
    async with database.read(business.id) as db:
        rows = await campaigns.deliveries(db, campaign_id, campaigns.DeliveryState.failed)

    assert counts.failed == 10
    assert server.accepted() == []
    assert {row.reply for row in rows} == {"stale"}


@pytest.fixture
def judged_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a machine that stands still for a second has sent all before the breaker looks again."""
    monkeypatch.setattr(sending, "_JUDGE_EVERY", 0.05)


@pytest.mark.usefixtures("judged_often")
@pytest.mark.parametrize(
    ("refusal", "count", "words"),
    [
        ("550 5.1.1 No such user", 400, "no such mailbox"),
        ("554 5.7.1 Blocked by policy", 200, "in a row were refused for reasons of policy"),
    ],
)
async def test_a_campaign_that_harms_pauses_by_itself(
    database: Database, business: Business, refusal: str, count: int, words: str
) -> None:
    """It says why; staff let it go on, and it is judged by what comes from then on."""
    campaign_id, _ = await started(database, business, count)
    async with smtpd() as server:
        server.fails("rcpt", *[refusal] * count)
        # Slow enough for the breaker to look before it is over.
        await relay(database, business, server.port, rate=150)
        ctx = context(database, range=1000)
        stopped = await sent(ctx, business, campaign_id)
        async with database.write(business.id) as db:
            paused = await campaigns.get(db, campaign_id)
            why = (await campaigns.course(db, campaign_id)).paused_why
            await campaigns.resume(db, SYSTEM, campaign_id)
            after = await campaigns.course(db, campaign_id)
        server._script.clear()  # noqa: SLF001
        await jobs.send(ctx, str(business.id), str(campaign_id))
    done = await counted(database, business, campaign_id)

    assert paused.state is State.paused
    assert words in why
    assert after.paused_why == ""
    assert stopped.waiting > 0
    assert done.waiting == 0
    assert done.sent == count - stopped.failed


async def test_businesses_take_turns(database: Database, business: Business) -> None:
    """A hundred customers of one do not wait for the thousands of another."""
    other = await make.business(database)
    large, _ = await started(database, business, 1500)
    small, _ = await started(database, other, 30)
    async with smtpd() as server:
        await relay(database, business, server.port, connections=4)
        await relay(database, other, server.port, connections=4)
        ctx = context(database, range=300)
        ctx["line"] = Line()
        for which, campaign_id in ((business, large), (other, small)):
            await jobs.fill(ctx, str(which.id), str(campaign_id))
        await asyncio.gather(
            jobs.send(ctx, str(business.id), str(large)),
            jobs.send(ctx, str(other.id), str(small)),
        )
    accepted = server.accepted()

    assert len(accepted) == 1530
    async with database.read(other.id) as db:
        ended = (await campaigns.get(db, small)).ended_at
    assert ended is not None
    async with database.read(business.id) as db:
        settled = await db._conn.fetchval(  # noqa: SLF001
            "SELECT count(*) FROM crm.delivery WHERE campaign_id = $1 AND done_at <= $2",
            large, ended,
        )  # fmt: skip
    # Not behind all of the large one, nor before it: after a range or two.
    assert 0 < settled < 750


def test_the_line_is_a_circle_of_businesses() -> None:
    """One with many campaigns has one turn in each round, and none stands there twice."""
    line = Line()
    many, one = UUID(int=1), UUID(int=2)
    for number in (1, 2, 2, 3):
        line.add(many, UUID(int=number))
    line.add(one, UUID(int=9))
    order = [line.next() for _ in range(5)]

    assert [turn and turn[0].int for turn in order] == [1, 2, 1, 1, None]


async def test_another_relay_is_refused_without_tls(database: Database, business: Business) -> None:
    """When it is entered, in words that say what to do; and never opened."""
    with pytest.raises(Invalid, match="inside TLS only"):
        await relay(database, business, 25, host="relay.example.org")
    async with database.read(business.id) as db:
        known = relays.of_installation(settings(1))
        assert (await relays.usable(db, settings(1)))[0] == known
    with pytest.raises(Unreachable, match="tls_missing"):
        await relays.tried(replace(known, host="relay.example.org"))


async def test_programs_set_an_expiry_and_read_the_course(
    database: Database, business: Business, api: Browser
) -> None:
    """Until it starts; and they hear why it paused."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        await make.audience(db, await make.notice(db, purpose.id), 1)
        campaign = await make.campaign(db, purpose.id)
    path = f"/v1/campaigns/{campaign.id}"
    kept = await api.put(f"{path}/expiry", json={"hours": 24})
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
    late = await api.put(f"{path}/expiry", json={"hours": 5})
    course = await api.get(f"{path}/course")

    assert kept.json()["expires_hours"] == 24
    assert late.status_code == 409
    assert course.json() == {"expires_hours": 24, "paused_why": "", "warning": "", "waits": []}


def test_the_breaker_judges_by_shares() -> None:
    """Not by the first few; and it warns of complaints before it stops."""

    def health(**counts: int) -> campaigns.Health:
        known = {"sent": 0, "hard": 0, "complaints": 0, "blocked": 0} | counts
        return campaigns.Health(state=State.sending, **known)

    assert not breaker.trips(health(sent=199, hard=199))
    assert not breaker.trips(health(sent=1000, hard=50))
    assert "5.10%" in breaker.trips(health(sent=1000, hard=51))
    assert not breaker.trips(health(sent=1000, complaints=3))
    assert breaker.warns(health(sent=1000, complaints=2))
    assert breaker.trips(health(sent=1000, complaints=4))
    assert not breaker.trips(health(blocked=49))
    assert breaker.trips(health(blocked=50))


async def test_what_comes_back_counts_against_its_campaign(
    database: Database, business: Business
) -> None:
    """A bounce and a complaint after the hand-over are judged like a refusal at it."""
    campaign_id, ids = await started(database, business, 3)
    async with smtpd() as server:
        await relay(database, business, server.port)
        await sent(context(database), business, campaign_id)
    async with database.write(business.id) as db:
        await campaigns.came_back(db, campaign_id, ids[0], hard=True)
        await campaigns.came_back(db, campaign_id, ids[1], complaint=True)
        found = await campaigns.health(db, campaign_id)

    assert (found.sent, found.hard, found.complaints) == (3, 1, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "10.0.0.1"])
async def test_one_of_a_business_leads_into_no_private_network(
    database: Database, business: Business, host: str
) -> None:
    """An owner of one business neither tries the operator's ports nor mails by its own server."""
    tls = "none" if host in LOOPBACK else "starttls"
    async with smtpd() as server:
        added = await relay(database, business, server.port, host=host, tls=tls)
        here = settings(server.port)
        there = replace(here, smtp=replace(here.smtp, local_relays=False))
        refused = await try_relay(database, business.id, added, there)
        assert server.messages == []
        if host == "127.0.0.1":
            assert (await try_relay(database, business.id, added, here)).usable

    assert not refused.usable
    assert "in a private network" in refused.words
