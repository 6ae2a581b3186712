"""Consent that ages: it ends at its instant, a job says so once, and silence is what ends it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from html import unescape
from uuid import UUID

import pytest

from crm import consent, customers, events
from crm.businesses import Business
from crm.consent import ASKED_BEFORE, Method, Notice, Status, jobs
from crm.consent.ageing import lapse
from crm.db import Database, Db, parse
from crm.events import Actor, Kind
from tests import make
from tests.conftest import KEYS
from tests.consent.conftest import add_customer, empty_customer, imported, say_no, say_yes
from tests.consent.site import client, form, member

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)

_STALE = parse(
    """-- name: make_stale
-- What publishing another substance does.
UPDATE crm.purpose_version SET stale_at = :now, ends_at = :ends_at
 WHERE business_id = :business_id AND purpose_id = :purpose_id AND version = 1
"""
)[0]


@pytest.fixture
async def notice(database: Database, business: Business) -> Notice:
    """A text of a purpose whose consents hold two years."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, validity="P24M")
        return await make.notice(db, purpose.id, accepts=[consent.EvidenceKind.signed_form])


def at(database: Database, now: datetime) -> Database:
    """The same database at another instant."""
    return Database(database.connections, KEYS, database.wake, lambda: now)


async def yes(database: Database, business: Business, notice: Notice) -> tuple[UUID, datetime]:
    """A customer who says yes now, and when that ends."""
    async with database.write(business.id) as db:
        customer = await add_customer(db)
        event = await say_yes(db, customer, notice)
    assert event.valid_until is not None
    return customer, event.valid_until


async def status(db: Db, customer: UUID, notice: Notice) -> Status | None:
    found = await consent.state(db, customer, notice.purpose_id)
    return found.status if found else None


async def test_of_whoever_is_erased_nothing_more_is_recorded(
    database: Database, business: Business, notice: Notice
) -> None:
    """A trace that was written meanwhile waits for its sweep, and keeps nobody else waiting."""
    erased, _ = await yes(database, business, notice)
    other, ends = await yes(database, business, notice)
    async with database.write(business.id) as db:
        await empty_customer(db, erased)
    later = at(database, ends + timedelta(hours=1))
    async with later.write(business.id) as db:
        ended = [await lapse(db), await lapse(db)]
    async with later.read(business.id) as db:
        states = [(await consent.history(db, each))[0].status for each in (erased, other)]

    assert ended == [1, 0]
    assert states == [Status.given, Status.expired]


async def test_it_ends_at_its_instant_and_not_before(
    database: Database, business: Business, notice: Notice
) -> None:
    customer, ends_at = await yes(database, business, notice)
    async with at(database, ends_at - TICK).write(business.id) as db:
        assert (await consent.check(db, customer, notice.purpose_id)).authorises
        assert await lapse(db) == 0
    async with at(database, ends_at).write(business.id) as db:
        # Before the job has said so, too.
        answer = await consent.check(db, customer, notice.purpose_id)
        assert (answer.authorises, answer.reason) == (False, "expired")
        assert await consent.authorised(db, notice.purpose_id, [customer]) == {}
        assert await lapse(db) == 1
        assert await status(db, customer, notice) is Status.expired
        event, given = await consent.history(db, customer)
        assert (event.status, event.method, event.at) == (Status.expired, Method.expiry, ends_at)
        assert (event.actor_kind, event.type) == ("system", "implied")
        assert (event.supersedes, event.record_id) == (given.id, given.record_id)
        assert await lapse(db) == 0
        told = [each async for each in events.export(db, customer)]
    (ended,) = [each for each in told if each.kind is Kind.consent_expired]
    assert (ended.actor_kind, ended.ref) == ("system", notice.purpose_id)


async def test_two_years_are_those_of_the_calendar(
    database: Database, business: Business, notice: Notice
) -> None:
    _, ends_at = await yes(database, business, notice)
    assert customers.ends(database.clock(), "P2Y") - ends_at < DAY


async def test_it_ends_with_its_version(
    database: Database, business: Business, notice: Notice
) -> None:
    """The sooner of the two instants counts."""
    customer, own_end = await yes(database, business, notice)
    async with database.write(business.id) as db:
        sooner = db.now + 30 * DAY
        await db.run(_STALE, purpose_id=notice.purpose_id, ends_at=sooner)
        state = await consent.state(db, customer, notice.purpose_id)
    assert state is not None
    assert (state.ends_at, own_end > sooner) == (sooner, True)
    async with at(database, sooner).write(business.id) as db:
        assert not (await consent.check(db, customer, notice.purpose_id)).authorises
        assert await lapse(db) == 1
        assert await status(db, customer, notice) is Status.expired


async def test_only_what_stands_ends(
    database: Database, business: Business, notice: Notice
) -> None:
    """A no stays a no, and what was never a yes does not end."""
    async with database.write(business.id) as db:
        left, unknown, forever = [await add_customer(db) for _ in range(3)]
        await say_yes(db, left, notice)
        await say_no(db, left, notice.purpose_id)
        row = await imported(db, unknown, notice, Status.unknown)
        await consent.append_many(db, make.SYSTEM, [row])
        endless = await make.notice(db, (await make.purpose(db, validity="")).id)
        await say_yes(db, forever, endless)
        late = db.now + 4000 * DAY
    async with at(database, late).write(business.id) as db:
        assert await lapse(db) == 0
        assert await status(db, left, notice) is Status.withdrawn
        assert (await consent.check(db, forever, endless.purpose_id)).authorises


async def test_two_workers_say_it_once(own_database: Database) -> None:
    business = await make.business(own_database)
    async with own_database.write(business.id) as db:
        purpose = await make.purpose(db, validity="P30D")
        text = await make.notice(db, purpose.id)
        ids = await make.audience(db, text, 1500)
        late = at(own_database, db.now + 31 * DAY)
    await asyncio.gather(*(jobs.lapse({"database": late}) for _ in range(3)))
    async with late.read(business.id) as read:
        states = await consent.states_for(read, purpose.id, ids)
        assert {each.status for each in states.values()} == {Status.expired}
        for each in ids[::100]:
            told = await consent.history(read, each)
            assert [event.status for event in told] == [Status.expired, Status.given]


async def test_what_has_ended_is_lifted_by_her_word_only(
    database: Database, business: Business, notice: Notice
) -> None:
    customer, ends_at = await yes(database, business, notice)
    async with at(database, ends_at).write(business.id) as db:
        await lapse(db)
        on_paper = consent.Circumstances(Method.staff, evidence={"kind": "signed_form"})
        with pytest.raises(consent.OptOutStands):
            await consent.give(db, make.SYSTEM, customer, notice.question, on_paper)
        event = await say_yes(db, customer, notice)
    assert event.status is Status.given


@pytest.mark.parametrize(
    ("before", "asked"),
    [(ASKED_BEFORE + TICK, False), (ASKED_BEFORE, True), (TICK, True), (timedelta(0), False)],
)
async def test_her_own_page_asks_in_time(
    *, database: Database, business: Business, notice: Notice, before: timedelta, asked: bool
) -> None:
    customer, ends_at = await yes(database, business, notice)
    then = at(database, ends_at - before)
    async with then.write(business.id) as db:
        me = await customers.get(db, customer)
        word = await make.own_word(db, customer)
    async with client(then, business, me=me, mailbox=word.opt_in) as portal:
        seen = unescape((await portal.get("/me/consent")).text)
        assert ("It ends by itself on" in seen) is asked
        if asked:
            # The button says what is recorded as its words.
            assert f'lang="{notice.locale}">{notice.control_label}<span' in seen
            shown = form(notice=str(notice.id), sha256=notice.sha256.hex())
            path = f"/me/consent/{notice.purpose_id}/grant"
            assert (await portal.post(path, data=shown)).status_code == 303
            assert "It ends by itself on" not in unescape((await portal.get("/me/consent")).text)
    if asked:
        async with then.read(business.id) as read:
            state = await consent.state(read, customer, notice.purpose_id)
        assert state is not None
        assert (state.status, state.method) == (Status.renewed, Method.portal)
        assert state.ends_at is not None
        assert state.ends_at > ends_at


async def test_staff_see_how_they_age(
    database: Database, business: Business, notice: Notice
) -> None:
    ends_at = max([(await yes(database, business, notice))[1] for _ in range(3)])
    bob = await member(database, business)
    then = at(database, ends_at - 45 * DAY)
    async with then.read(business.id) as read:
        (age,) = await consent.ages(read)
        months = await consent.ending_by_month(read)
    assert (age.standing, age.within_30, age.within_60, age.within_90) == (3, 0, 3, 3)
    assert (age.stale, age.endless, age.lapsed) == (0, 0, 0)
    assert len(months) == 12
    assert sum(each.ending for each in months) == 3
    async with client(then, business, who=bob) as console:
        seen = unescape((await console.get("/staff/consents")).text)
    assert "End within 60 days" in seen
    assert f"{ends_at:%B %Y}: 3; none in the other months." in seen
    async with at(database, ends_at + DAY).write(business.id) as db:
        await lapse(db)
        (age,) = await consent.ages(db)
    assert (age.standing, age.lapsed) == (0, 3)


async def test_network_addresses_have_their_own_end(own_database: Database) -> None:
    business = await make.business(own_database, keeps_network=True, network_days=7)
    async with own_database.write(business.id) as db:
        customer = await add_customer(db)
        text = await make.notice(db, (await make.purpose(db)).id)
        word = await make.own_word(db, customer, network=consent.Network("192.0.2.7", "Browser/1"))
        by = Actor.customer(customer)
        await consent.give(db, by, customer, text.question, word)
        kept = (await consent.export(db, customer)).networks
        assert [each.network.address for each in kept] == ["192.0.2.7"]
        raw = await db._conn.fetchval("SELECT sealed FROM crm.consent_network")  # noqa: SLF001
        assert b"192.0.2.7" not in raw
        late = at(own_database, db.now + 8 * DAY)
    await jobs.lapse({"database": late})
    async with late.read(business.id) as read:
        assert (await consent.export(read, customer)).networks == []


async def test_nothing_of_the_network_is_kept_unless_the_business_says_so(
    database: Database, business: Business, notice: Notice, customer: UUID
) -> None:
    async with database.write(business.id) as db:
        word = await make.own_word(db, customer, network=consent.Network("192.0.2.7", "Browser/1"))
        by = Actor.customer(customer)
        event = await consent.give(db, by, customer, notice.question, word)
        assert (await consent.export(db, customer)).networks == []
        found = await consent.exhibit(db, customer, event.id)
    assert b"192.0.2.7" not in found.canonical
