"""A yes that comes late, out of order or to old words: it is kept, and what stands goes on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from crm import consent, ledger
from crm.businesses import Business
from crm.consent import (
    Basis,
    Circumstances,
    Consent,
    EvidenceKind,
    Method,
    Notice,
    Status,
    VersionEnded,
)
from crm.db import Database, Db
from crm.events import Actor
from crm.journal import Journal
from tests import make
from tests.consent.conftest import SIGNED, add_customer, imported, say_no, say_yes
from tests.consent.meddling import watched
from tests.races import second

KEY = Actor.key(UUID(int=9), "Till")
DAY = timedelta(days=1)


@pytest.fixture
async def selling(database: Database) -> Business:
    return await make.business(database, soft_opt_in=True)


async def standing(db: Db, customer: UUID, notice: Notice) -> Consent:
    found = await consent.state(db, customer, notice.purpose_id)
    assert found is not None
    return found


async def test_sales_are_told_in_any_order(database: Database, selling: Business) -> None:
    async with database.write(selling.id) as db:
        purpose = await make.purpose(db, basis=Basis.soft_opt_in, validity="P24M")
        notice = await make.notice(db, purpose.id)
        customer = await add_customer(db)
        for days in (10, 1100, 1, 5):
            sold = Circumstances(Method.api, at=db.now - days * DAY)
            await consent.tell_at_sale(db, KEY, customer, notice.question, sold)

        state = await standing(db, customer, notice)
        assert state.at == db.now - DAY
        assert state.authorises(db.now)
        assert len(await consent.history(db, customer)) == 4


@pytest.mark.parametrize("days", [0, 900])
async def test_a_key_that_waits_for_her_own_yes_takes_nothing_back(
    database: Database, business: Business, customer: UUID, days: int
) -> None:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, validity="P24M")
        notice = await make.notice(db, purpose.id, accepts=[EvidenceKind.signed_form])
        how = Circumstances(Method.api, at=db.now - days * DAY, evidence=SIGNED)

    await second(
        database,
        business,
        lambda db: say_yes(db, customer, notice),
        lambda db: consent.give(db, KEY, customer, notice.question, how),
    )

    async with database.write(business.id) as db:
        state = await standing(db, customer, notice)
        assert (state.method, state.authorises(db.now)) == (Method.portal, True)
        assert len(await consent.history(db, customer)) == 2


async def test_a_sale_that_waits_for_a_newer_one_moves_nothing(
    database: Database, selling: Business
) -> None:
    async with database.write(selling.id) as db:
        purpose = await make.purpose(db, basis=Basis.soft_opt_in, validity="P24M")
        notice = await make.notice(db, purpose.id)
        customer = await add_customer(db)
        newer, older = db.now - DAY, db.now - 1100 * DAY

    def sell(at: Any) -> Any:
        sold = Circumstances(Method.api, at=at)
        return lambda db: consent.tell_at_sale(db, KEY, customer, notice.question, sold)

    await second(database, selling, sell(newer), sell(older))

    async with database.write(selling.id) as db:
        assert (await standing(db, customer, notice)).at == newer


@pytest.fixture
async def replaced(
    database: Database, business: Business, notice: Notice
) -> tuple[Database, Notice]:
    """Two days after the words of a version were replaced, which held for one; and the new ones."""
    async with database.write(business.id) as db:
        newer = await make.other_words(db, notice.purpose_id, grace=DAY)
        then = db.now + 2 * DAY
    return Database(database.connections, database.keys, database.wake, lambda: then), newer


async def test_a_yes_to_words_that_have_ended_is_refused(
    replaced: tuple[Database, Notice], business: Business, customer: UUID, notice: Notice
) -> None:
    later, newer = replaced
    async with later.write(business.id) as db:
        with pytest.raises(VersionEnded):
            await say_yes(db, customer, notice)
        how = Circumstances(Method.api, at=db.now - 30 * DAY, evidence=SIGNED)
        with pytest.raises(VersionEnded):
            await consent.give(db, KEY, customer, notice.question, how)
        assert await consent.history(db, customer) == []
        await say_yes(db, customer, newer)
        assert (await standing(db, customer, newer)).authorises(db.now)


async def test_a_no_to_words_that_have_ended_counts(
    replaced: tuple[Database, Notice], database: Database, business: Business, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        customer = await add_customer(db)
    later, newer = replaced
    async with later.write(business.id) as db:
        await say_yes(db, customer, newer)
        row = await imported(db, customer, notice, Status.withdrawn)
        assert await consent.append_many(db, Actor.system(), [row]) == 1
        assert (await standing(db, customer, notice)).status is Status.withdrawn


async def test_earlier_words_that_still_hold_move_no_later_yes(
    db: Db, customer: UUID, notice: Notice
) -> None:
    newer = await make.other_words(db, notice.purpose_id, grace=9 * DAY)
    await say_yes(db, customer, newer)
    before = await standing(db, customer, notice)

    told = await say_yes(db, customer, notice)

    assert (told.purpose_version, told.status) == (1, Status.renewed)
    assert await standing(db, customer, notice) == before
    await say_no(db, customer, notice.purpose_id)
    # Of what has ended they take nothing back: that is her own word.
    await say_yes(db, customer, notice)
    assert (await standing(db, customer, notice)).purpose_version == 1


@pytest.mark.parametrize("days", [-30, 0, 30])
async def test_a_list_moves_no_yes_that_stands(
    db: Db, customer: UUID, notice: Notice, days: int
) -> None:
    await say_yes(db, customer, notice)
    before = await standing(db, customer, notice)
    row = await imported(db, customer, notice, Status.given, db.now + days * DAY)
    assert await consent.append_many(db, Actor.system(), [row]) == 0
    assert await standing(db, customer, notice) == before


async def test_the_monitor_agrees(
    *, database: Database, business: Business, customer: UUID, notice: Notice, tmp_path: Path
) -> None:
    async with database.write(business.id) as db:
        newer = await make.other_words(db, notice.purpose_id, grace=9 * DAY)
        await say_yes(db, customer, newer)
        await say_yes(db, customer, notice)
    await ledger.seal(database, business.id, Journal(tmp_path), most=100)

    assert await watched(database, business) == []


async def test_what_moved_nothing_is_no_end_and_no_proof(
    database: Database, business: Business, customer: UUID
) -> None:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, retention="P3Y")
        notice = await make.notice(db, purpose.id, accepts=[EvidenceKind.signed_form])
        given = Circumstances(Method.api, at=db.now - 3650 * DAY, evidence=SIGNED)
        stood = await consent.give(db, KEY, customer, notice.question, given)
        before = await consent.to_keep(db, customer)
        again = Circumstances(Method.api, evidence=SIGNED)
        await consent.give(db, KEY, customer, notice.question, again)
        assert await consent.to_keep(db, customer) == before
        await say_no(db, customer, purpose.id)
        fingerprint = bytes(range(16))
        await consent.keep_proof(db, customer, fingerprint)
        kept = await consent.kept_proofs(db, fingerprint)
    assert [each.event_id for each in kept] == [stood.id]


async def _lapses(database: Database, business: Business, *_: UUID) -> None:
    later = database.clock() + 800 * DAY
    moved = Database(database.connections, database.keys, database.wake, lambda: later)
    async with moved.write(business.id) as db:
        assert await consent.lapse_consents(db) == 1


async def _moves(database: Database, business: Business, customer: UUID, purpose: UUID) -> None:
    async with database.write(business.id) as db:
        await consent.end_at_move(db, Actor.customer(customer), customer, purpose)


@pytest.mark.parametrize("ends", [_lapses, _moves])
async def test_a_yes_that_ended_twice_is_the_proof(
    database: Database, business: Business, customer: UUID, ends: Any
) -> None:
    """By its age or with her address, and then by her own word."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, retention="P3Y", validity="P24M")
        notice = await make.notice(db, purpose.id, accepts=[EvidenceKind.signed_form])
        stood = await say_yes(db, customer, notice)
    async with database.write(business.id) as db:
        later = Circumstances(Method.api, evidence=SIGNED)
        await consent.give(db, KEY, customer, notice.question, later)
    await ends(database, business, customer, purpose.id)
    fingerprint = bytes(range(16))
    async with database.write(business.id) as db:
        me = Actor.customer(customer)
        await consent.withdraw(db, me, customer, purpose.id, method=Method.one_click)
        await consent.keep_proof(db, customer, fingerprint)
        kept = await consent.kept_proofs(db, fingerprint)

    assert [(each.event_id, each.end_method) for each in kept] == [(stood.id, Method.one_click)]
