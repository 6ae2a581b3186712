"""What a customer chooses on her page, how it is kept and who may read it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from crm import campaigns, consent, customers, events, rhythm
from crm.access import sessions
from crm.businesses import Business
from crm.customers import Changes, Customer
from crm.db import Database, no_wake
from crm.errors import Invalid
from crm.events import Actor, Kind
from crm.rhythm import Changed, Rhythm, Wanted
from tests import make
from tests.browser import Browser
from tests.races import blocked, held_up, pid, second

PAGE = "/me/rhythm"


async def _held(database: Database, business: Business, customer: Customer) -> Rhythm:
    async with database.read(business.id) as db:
        return await rhythm.of(db, customer.id)


async def test_she_sets_a_limit_a_pause_and_her_language(
    database: Database, business: Business, customer: Customer, portal: Browser
) -> None:
    """Each counts at once, is said in the books, and is shown; a press ends the pause alone."""
    answer = await portal.fill(PAGE, budget="2", pause="14", locale="nl", until="")
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    held = await _held(database, business, customer)
    assert held.budget == 2
    assert held.paused_until is not None
    shown = (await portal.get(PAGE)).text
    assert "No newsletter comes before" in shown
    assert 'value="kept" checked' in shown
    assert 'value="2" checked' in shown
    async with database.read(business.id) as db:
        assert (await customers.get(db, customer.id)).locale == "nl"
        (first, *_) = [e for e in await events.page(db) if e.kind is Kind.rhythm_changed]
    assert (first.actor_kind.value, first.customer_id) == ("customer", customer.id)
    assert first.reason.startswith("at most 2 a week, paused until ")

    await portal.fill(PAGE, f"{PAGE}/resumption")
    assert await _held(database, business, customer) == Rhythm(
        budget=2, changed_at=(await _held(database, business, customer)).changed_at
    )
    await portal.fill(PAGE, budget="0", pause="none", locale="nl")
    assert await _held(database, business, customer) == Rhythm()


async def test_an_older_tab_takes_nothing_back(
    database: Database, business: Business, customer: Customer, portal: Browser
) -> None:
    """What it showed and sends back is no decision; what was changed in it is."""
    showed = {"shown/budget": "0", "shown/pause": "none", "shown/locale": customer.locale}
    await portal.fill(PAGE, budget="2", pause="14", locale="de")
    until = (await _held(database, business, customer)).paused_until
    older = {"budget": "0", "pause": "none", "locale": customer.locale}

    await portal.fill(PAGE, **older, **showed)
    same = await _held(database, business, customer)
    await portal.fill(PAGE, **older | {"budget": "5"}, **showed)
    other = await _held(database, business, customer)

    assert (same.budget, same.paused_until) == (2, until)
    assert (other.budget, other.paused_until) == (5, until)
    async with database.read(business.id) as db:
        assert (await customers.get(db, customer.id)).locale == "de"


async def test_a_pause_ends_with_a_day_of_her_clock(
    database: Database, business: Business, customer: Customer, portal: Browser
) -> None:
    """The day that she names begins at her midnight; the same form sent again keeps it."""
    async with database.write(business.id) as db:
        changes = Changes(time_zone="Pacific/Auckland")
        await customers.change(db, Actor.customer(customer.id), customer.id, changes)
        day = (db.now + timedelta(days=40)).date()
    await portal.fill(PAGE, budget="0", pause="until", until=day.isoformat())
    until = (await _held(database, business, customer)).paused_until
    assert until is not None
    assert until.astimezone(UTC).date() == day - timedelta(days=1)

    await portal.fill(PAGE, budget="1", pause="kept")
    assert (await _held(database, business, customer)).paused_until == until


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"budget": "0", "pause": "until", "until": "soon"}, "This is a date, like 2026-06-23."),
        ({"budget": "0", "pause": "until", "until": "0001-01-01"}, "The year is from 1900"),
        ({"budget": "0", "pause": "until", "until": ""}, "Please fill this in."),
        ({"budget": "0", "pause": "until", "until": "2001-02-03"}, "This day has begun already."),
        ({"budget": "0", "pause": "until", "until": "2999-02-03"}, "A pause ends within a year."),
        ({"budget": "0", "pause": "none", "until": "2999-02-03"}, "You named a day."),
        ({"budget": "0", "pause": "14", "until": "2999-02-03"}, "You named a day."),
        ({"budget": "4", "pause": "none"}, "Please choose one of these."),
        ({"budget": "1", "pause": "kept"}, "Please choose one of these."),
    ],
)
async def test_what_cannot_be_kept_is_said(  # noqa: PLR0917
    database: Database,
    business: Business,
    customer: Customer,
    portal: Browser,
    fields: dict[str, str],
    sentence: str,
) -> None:
    """And nothing of the form is kept, her language neither."""
    answer = await portal.fill(PAGE, locale="nl", **fields)
    assert answer.status_code == 422
    async with database.read(business.id) as db:
        assert (await customers.get(db, customer.id)).locale == customer.locale
    assert sentence in answer.text
    assert 'value="none" checked' in (await portal.get(PAGE)).text


async def test_of_what_there_is_no_digest_is_said(
    database: Database, business: Business, customer: Customer, portal: Browser
) -> None:
    """Of what she gets by mail; not of what is off, nor of a use of data."""
    async with database.write(business.id) as db:
        me = Actor.customer(customer.id)
        for name, channel in (("Letter", "email"), ("History", "none"), ("Offers", "email")):
            purpose = await make.purpose(db, name=name, channel=channel)
            notice = await make.notice(db, purpose.id)
            if name != "Offers":
                word = await make.own_word(db, customer.id)
                await consent.give(db, me, customer.id, notice.question, word)
    shown = (await portal.get(PAGE)).text
    assert "We write no digest at the moment" in shown
    assert shown.count("write no digest") == 1
    assert "<bdi>Letter</bdi>" not in shown


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (["Offers"], "Of <bdi>Offers</bdi> we write no digest at the moment"),
        (["Offers", "News"], "<li><bdi>Offers</bdi></li><li><bdi>News</bdi></li></ul>"),
    ],
)
async def test_beside_a_digest_the_others_are_named_once(
    *,
    database: Database,
    business: Business,
    customer: Customer,
    portal: Browser,
    others: list[str],
    said: str,
) -> None:
    async with database.write(business.id) as db:
        olga = await make.owner(db)
        for name in ("Letter", *others):
            purpose = await make.purpose(db, name=name)
            notice = await make.notice(db, purpose.id)
            word = await make.own_word(db, customer.id)
            by = Actor.customer(customer.id)
            await consent.give(db, by, customer.id, notice.question, word)
            if name == "Letter":
                plan = campaigns.NewPlan(weekday=5, hour=9, subject="The week")
                await campaigns.offer_digest(db, olga.actor, purpose.id, plan)
    shown = (await portal.get(PAGE)).text
    assert said in shown
    assert shown.count("write no digest") == 1


async def test_a_limit_that_is_not_offered_is_refused(
    database: Database, business: Business, customer: Customer
) -> None:
    async with database.write(business.id) as db:
        with pytest.raises(Invalid):
            await rhythm.change(db, customer.id, Wanted(7))


async def test_a_program_reads_it_and_she_sees_that(
    database: Database, business: Business, customer: Customer, api: Browser
) -> None:
    async with database.write(business.id) as db:
        await rhythm.change(db, customer.id, Wanted(1))
    told = (await api.get(f"/v1/customers/{customer.id}/rhythm")).json()
    assert told["rhythm"]["budget"] == 1
    assert told["week"]["taken"] == 0
    async with database.read(business.id) as db:
        (look,) = await events.looks_at(db, customer.id, limit=5)
    assert look.kind is Kind.customer_looked


@pytest.mark.parametrize(
    ("zone", "now", "begins", "ends"),
    [
        # Sunday evening here is Monday there.
        ("Pacific/Auckland", "2030-06-02T20:00", "2030-06-02T12:00", "2030-06-09T12:00"),
        ("America/Lima", "2030-06-03T03:00", "2030-05-27T05:00", "2030-06-03T05:00"),
        # A week in which the clocks are put back has an hour more.
        ("Europe/Berlin", "2026-10-25T12:00", "2026-10-18T22:00", "2026-10-25T23:00"),
    ],
)
async def test_her_week_turns_by_her_clock(
    database: Database, zone: str, now: str, begins: str, ends: str
) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    then = Database(database.connections, database.keys, no_wake, lambda: at)
    business = await make.business(then)
    async with then.write(business.id) as db:
        nora = await make.customer(db, time_zone=zone)
        week = (await rhythm.attention(db, nora.id)).week
    assert week.begins_at == datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert week.ends_at == datetime.fromisoformat(ends).replace(tzinfo=UTC)


async def test_a_clock_that_postgresql_does_not_know_is_utc(
    database: Database, business: Business, customer: Customer, root: asyncpg.Connection
) -> None:
    await root.execute(
        "UPDATE crm.customer SET time_zone = 'Mars/Base' WHERE customer_id = $1", customer.id
    )
    async with database.read(business.id) as db:
        week = (await rhythm.attention(db, customer.id)).week
    assert (week.begins_at.hour, week.begins_at.weekday()) == (0, 0)


async def test_of_two_tabs_at_once_each_changes_what_it_changed(
    database: Database, business: Business, customer: Customer, portal: Browser
) -> None:
    """The later one shows what was before the other, and waits for it."""
    until = database.clock() + timedelta(days=14)
    showed = {"shown/budget": "0", "shown/pause": "none", "shown/locale": customer.locale}
    sent = {"budget": "2", "pause": "none", "locale": customer.locale} | showed

    answer = await held_up(
        database,
        business,
        lambda db: rhythm.change(db, customer.id, Wanted(None, until)),
        portal.fill(PAGE, **sent),
    )

    held = await _held(database, business, customer)
    assert answer.status_code == 303
    assert (held.budget, held.paused_until) == (2, until)


async def test_the_end_of_a_pause_keeps_the_limit_that_another_tab_set(
    database: Database, business: Business, customer: Customer
) -> None:
    async with database.write(business.id) as db:
        await rhythm.change(db, customer.id, Wanted(5, db.now + timedelta(days=14)))

    await second(
        database,
        business,
        lambda db: rhythm.change(db, customer.id, Changed(budget=1)),
        lambda db: rhythm.resume(db, customer.id),
    )

    held = await _held(database, business, customer)
    assert (held.budget, held.paused_until) == (1, None)


async def test_a_press_that_changes_the_language_waits_for_no_import(
    database: Database, business: Business, customer: Customer, portal: Browser
) -> None:
    """It needs her to be there, and so does the press; the pause in it begins at once."""
    async with database.write(business.id) as importing:
        await consent.hold_many(importing, [customer.id])
        answer = await portal.fill(PAGE, budget="1", pause="14", locale="nl")
        held = await _held(database, business, customer)

    assert answer.status_code == 303
    assert (held.budget, held.paused_until is not None) == (1, True)


async def test_two_tabs_that_change_the_language_at_once_do_so_one_after_the_other(
    database: Database, business: Business, customer: Customer
) -> None:
    """Both have found her there before either changes her."""
    by = Actor.customer(customer.id)
    async with database.write(business.id) as watch, database.write(business.id) as late:
        await sessions.insist_hers(late, customer)
        late_pid = await pid(late)
        async with database.write(business.id) as early:
            await sessions.insist_hers(early, customer)
            await customers.change(early, by, customer.id, Changes(locale="nl"))
            waits = asyncio.ensure_future(
                customers.change(late, by, customer.id, Changes(locale="de"))
            )
            await blocked(watch, late_pid, waits)
        assert (await waits).locale == "de"
