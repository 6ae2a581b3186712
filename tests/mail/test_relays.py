"""Owners enter relays, try them and limit domains; service messages go by them too."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import jobs as campaign_jobs
from crm.db import Database
from crm.errors import Invalid
from crm.events import Actor
from crm.mail import domains, jobs, relays
from crm.mail.actions import post_letter
from crm.mail.model import Letter, LetterKind
from crm.mail.outcome import Reply, Step, verdict
from crm.mail.pacing import DomainPace, cap_on, faster, next_day, slower, spoken_for, turns
from crm.mail.relays import of_installation
from crm.mail.routes import Routes
from crm.mail.wire import Limits
from tests.browser import Browser
from tests.campaigns.test_relays import context, counted, relay
from tests.campaigns.test_send import settings, started
from tests.conftest import KEYS
from tests.smtpd import Fault, smtpd

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIELDS = {
    "name": "Main", "host": "127.0.0.1", "port": "2525", "tls": "none", "username": "", "hello": "",
    "password": "", "weight": "2", "connections": "3", "rate": "50", "daily_cap": "1000",
    "warm_up": "200, 400", "active": "on",
}  # fmt: skip


async def test_an_owner_enters_tries_and_changes_one(
    database: Database, business: Business, console: Browser
) -> None:
    """It is listed with its plan; the trial says what it offers; the password is never shown."""
    async with smtpd() as server:
        given = FIELDS | {"port": str(server.port), "username": "us", "password": "secret-word"}
        added = await console.fill("/staff/relays", **given)
        async with database.read(business.id) as db:
            (kept,) = await relays.all_of(db)
            usable = await relays.usable(db, settings(1))
        listed = await console.get("/staff/relays")
        shown = await console.get(f"/staff/relays/{kept.id}")
        token = await console.token("/staff/relays")
        await console.post(f"/staff/relays/{kept.id}/trial", data={"csrf": token})
        tried = await console.get("/staff/relays")
        moved = await console.post(
            f"/staff/relays/{kept.id}",
            data=given | {"csrf": token, "host": "localhost", "password": "", "rate": "0"},
        )
        async with database.read(business.id) as db:
            (after,) = await relays.all_of(db)

    assert added.status_code == moved.status_code == 303
    assert usable[0].password == "secret-word"
    assert kept.sealed is not None
    assert b"secret-word" not in kept.sealed
    assert "warming up, day 1" in listed.text
    assert "secret-word" not in listed.text + shown.text + tried.text
    # This server knows no AUTH, and that is what the trial says.
    assert "cannot be used" in tried.text
    assert not any(command.startswith("MAIL") for _, command in server.commands)
    # Another machine never hears the password of this one.
    assert (after.host, after.rate, after.sealed) == ("localhost", 0, None)


async def test_what_is_wrong_is_said_at_its_field(console: Browser) -> None:
    """No TLS to another machine, no word for a number."""
    answer = await console.fill("/staff/relays", **FIELDS | {"host": "relay.example.org"})
    numbers = await console.fill("/staff/relays", **FIELDS | {"warm_up": "two hundred"})

    assert answer.status_code == numbers.status_code == 422
    assert "inside TLS only" in answer.text
    assert "whole numbers with commas" in numbers.text


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "239.1.1.1", "fec0::1", "fe80::1%eth0", "x"],
)
def test_mail_comes_from_public_addresses(address: str) -> None:
    """By the rule that says where a webhook may lead; IPv4 inside IPv6 is what it stands for."""
    assert relays.public(["9.9.9.9", "2620:FE::9", "9.9.9.9"]) == ["9.9.9.9", "2620:fe::9"]
    with pytest.raises(Invalid) as refused:
        relays.public(["9.9.9.9", address])
    assert [each.field for each in refused.value.problems] == ["sends_from"]


async def test_a_domain_is_limited_and_let_go(
    database: Database, business: Business, console: Browser
) -> None:
    """Its row is there while there is something to say of it."""
    token = await console.token("/staff/relays")
    limit = {"csrf": token, "domain": "@Slow.Example", "limit_rate": "2", "limit_connections": ""}
    await console.post("/staff/relays/domains", data=limit)
    async with database.read(business.id) as db:
        known = await domains.slowed(db)
    await console.post("/staff/relays/domains", data=limit | {"limit_rate": ""})
    async with database.read(business.id) as db:
        after = await domains.slowed(db)

    assert known["slow.example"].pace == 2
    assert after == {}


@pytest.mark.parametrize("typed", ["Straße.de", "@xn--strae-oqa.de", " straße.de. "])
async def test_a_domain_is_limited_as_addresses_have_it(
    database: Database, business: Business, typed: str
) -> None:
    """By IDNA 2008: straße.de is not strasse.de."""
    async with database.write(business.id) as db:
        await relays.limit_domain(db, Actor.system(), typed, 2, None)
        assert set(await domains.slowed(db)) == {"xn--strae-oqa.de"}


@pytest.mark.parametrize("typed", ["", "example", "a..example.com", "xn--a.de", "a@b@example.com"])
async def test_what_is_no_domain_is_not_limited(
    database: Database, business: Business, typed: str
) -> None:
    """It is said at its field."""
    async with database.write(business.id) as db:
        with pytest.raises(Invalid) as refused:
            await relays.limit_domain(db, Actor.system(), typed, 2, None)
    assert [each.field for each in refused.value.problems] == ["domain"]


async def test_a_service_message_does_not_wait_for_a_campaign(
    database: Database, business: Business
) -> None:
    """It goes by a relay of the business, stands in for itself, and the campaign still holds on."""
    campaign_id, _ = await started(database, business, 20)
    held = asyncio.Event()
    async with smtpd() as server:
        await relay(database, business, 1, weight=9)
        await relay(database, business, server.port, rate=1, weight=1)
        server.fails("dot", Fault(until=held))
        ctx = context(database, range=1000)
        await campaign_jobs.fill(ctx, str(business.id), str(campaign_id))
        sending = asyncio.create_task(campaign_jobs.send(ctx, str(business.id), str(campaign_id)))
        await server.until_heard(".")
        async with database.write(business.id) as db:
            letter = Letter(
                kind=LetterKind.notice, address="nora@example.com",
                address_hash=KEYS.address_hash(business.id, "nora@example.com"),
                subject="Hello", text="Hello", html="<p>Hello</p>", locale="en",
            )  # fmt: skip
            await post_letter(db, letter)
        await jobs.deliver(
            {"database": database, "settings": settings(1)}, str(business.id)
        )  # fmt: skip
        arrived, still = list(server.accepted()), not sending.done()
        # Pausing ends it within a second, although its relay takes one mail a second.
        async with database.write(business.id) as db:
            await campaigns.pause(db, Actor.system(), campaign_id)
        held.set()
        await sending
    counts = await counted(database, business, campaign_id)

    assert "nora@example.com" in arrived
    assert still
    assert counts.sent <= 3
    assert counts.sent + counts.waiting == 20


def test_rates_speak_for_time() -> None:
    """Whoever takes n moves the instant by n / rate; the early get nothing."""
    first, then = spoken_for(100, None, 50, NOW)
    second, later = spoken_for(100, then, 50, NOW)
    slow, after = spoken_for(1, None, 50, NOW)
    none, _ = spoken_for(1, after, 50, NOW + timedelta(seconds=0.5))
    one, _ = spoken_for(1, after, 50, NOW + timedelta(seconds=1))

    assert (first, second) == (25, 0)
    assert then == later == NOW + timedelta(seconds=0.25)
    assert (slow, none, one) == (1, 0, 1)


def test_a_domain_slows_down_at_once_and_recovers_slowly() -> None:
    """Held, halved each time, raised by steps; what was on its way at the time counts once."""
    said = verdict(Step.rcpt, Reply(421, "4.7.28 Too fast"))
    pace = slower(None, "slow.example", said, NOW)
    again = slower(pace, "slow.example", said, NOW + timedelta(seconds=1))
    second = slower(pace, "slow.example", said, NOW + timedelta(minutes=2))
    better = faster(second, NOW + timedelta(minutes=30))

    assert again == pace
    assert pace.held_until == NOW + timedelta(minutes=1)
    assert second.rate == (pace.rate or 0) / 2
    assert better.rate == (second.rate or 0) + 1
    assert "4.7.28" in pace.reason
    for number in range(2000):
        better = faster(better, NOW + timedelta(hours=number + 1))
    assert better.pace is None


@pytest.mark.parametrize("held", [False, True])
def test_turns_are_one_after_the_other(held: bool) -> None:  # noqa: FBT001  (a case)
    """Nobody is forgotten, none comes back before the hold ends, and all within ten minutes."""
    until = NOW + timedelta(minutes=1) if held else None
    pace = DomainPace(domain="d.example", rate=2.0, held_until=until, changed_at=NOW)
    given = turns(pace, 3000, NOW)

    assert given.go == (0 if held else 1)
    assert given.go + len(given.due_ats) == 3000
    assert given.due_ats[0] > (until or NOW)
    assert max(given.due_ats) <= (until or NOW) + timedelta(minutes=10)


def test_a_warm_up_is_a_cap_for_each_day() -> None:
    """Day by day, never above the cap that holds afterwards; 0 is none."""
    began = date(2026, 3, 1)
    caps = [cap_on(began + timedelta(days=n), 300, [200, 400], began) for n in range(3)]

    assert caps == [200, 300, 300]
    assert cap_on(began, 0, [], None) == 0
    lisbon = next_day(datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "Europe/Lisbon")
    assert lisbon == datetime(2026, 3, 29, 23, 0, tzinfo=UTC)


async def test_nothing_waits_for_tomorrow_while_another_relay_only_rests() -> None:
    """Caps are over when every relay has reached its own, the ones that rest included."""
    first, second = (of_installation(settings(port)) for port in (1, 2))
    for others in (True, False):
        routes = Routes([first, second], Limits(open=0.1), others=others)
        try:
            assert routes.full is None
            for way in routes.ways:
                way.full = True
            assert (routes.full is None) == others
        finally:
            await routes.close(grace=0)
