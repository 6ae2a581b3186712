"""A record of whom nothing is heard has an end: after a letter, and unless she gives a sign."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from crm import businesses, consent, customers, mail
from crm.businesses import Business, NewBusiness
from crm.customers import Customer, UnknownCustomer
from crm.db import Database
from crm.events import Actor
from crm.privacy import dormancy, merging
from crm.privacy.dormancy import ending
from tests import make
from tests.browser import Browser
from tests.privacy.conftest import Clock

_FIRST = UUID(int=0)
_YEARS = timedelta(days=3 * 365 + 5)


async def _round(database: Database, business: Business, clock: Clock) -> list[UUID]:
    """What the job does in one turn; returns who is due."""
    clock.move(timedelta(seconds=1))
    async with database.write(business.id) as db:
        await dormancy.wake(db)
        await dormancy.tell(db, _FIRST, 100)
    async with database.read(business.id) as db:
        due = await dormancy.due(db)
    for each in due:
        async with database.write(business.id) as db:
            await ending.end(db, customer_id=each)
    return due


async def _told(database: Database, business: Business, her: Customer) -> bool:
    async with database.read(business.id) as db:
        found = await dormancy.of_customer(db, her.id)
    return found is not None and found.kept_at is None


async def _there(database: Database, business: Business, her: Customer) -> bool:
    async with database.read(business.id) as db:
        try:
            await customers.get(db, her.id)
        except UnknownCustomer:
            return False
    return True


async def test_a_quiet_record_ends_thirty_days_after_a_letter(
    clocked: Database, business: Business, ada: Customer, clock: Clock
) -> None:
    """Not before three years; then she is told once, and then it is gone."""
    clock.move(timedelta(days=3 * 365 - 5))
    await _round(clocked, business, clock)
    assert not await _told(clocked, business, ada)
    clock.move(timedelta(days=10))
    for _ in range(2):
        await _round(clocked, business, clock)
    assert await _told(clocked, business, ada)
    async with clocked.write(business.id) as db:
        (letter,) = await mail.actions.claim_letters(db, 5)
    assert b"/sign-in" in letter.content

    clock.move(timedelta(days=29))
    assert await _round(clocked, business, clock) == []
    clock.move(timedelta(days=2))
    assert await _round(clocked, business, clock) == [ada.id]
    assert not await _there(clocked, business, ada)


@pytest.mark.parametrize("sign", ["mailbox", "note", "freeze"])
async def test_a_sign_of_life_keeps_it(
    clocked: Database, business: Business, ada: Customer, clock: Clock, sign: str
) -> None:
    """She signs in, staff talk with her, or she has it frozen: it stays, and she is left alone."""
    clock.move(_YEARS)
    await _round(clocked, business, clock)
    clock.move(timedelta(days=20))
    async with clocked.write(business.id) as db:
        if sign == "mailbox":
            await make.entered(db, ada.id)
        elif sign == "note":
            await customers.note(db, make.SYSTEM, ada.id, "She rang")
        else:
            await customers.restrict(db, Actor.customer(ada.id), ada.id)
    clock.move(timedelta(days=20))
    assert await _round(clocked, business, clock) == []
    assert await _there(clocked, business, ada)
    assert not await _told(clocked, business, ada)


async def test_a_sign_in_the_last_moment_counts(
    clocked: Database, business: Business, ada: Customer, clock: Clock
) -> None:
    """Between the look for who is due and the end of it."""
    clock.move(_YEARS)
    await _round(clocked, business, clock)
    clock.move(timedelta(days=31))
    async with clocked.write(business.id) as db:
        await make.entered(db, ada.id)
    async with clocked.write(business.id) as db:
        assert not await ending.end(db, customer_id=ada.id)
    assert await _there(clocked, business, ada)


async def test_who_allows_something_is_not_asked(
    clocked: Database, business: Business, ada: Customer, clock: Clock
) -> None:
    """A yes that stands is a reason to keep her."""
    async with clocked.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db, validity="P20Y")).id)
        word = await make.own_word(db, ada.id)
        await consent.give(db, Actor.customer(ada.id), ada.id, notice.question, word)
    clock.move(_YEARS)
    await _round(clocked, business, clock)
    assert not await _told(clocked, business, ada)


async def test_a_business_that_sets_none_keeps_all_and_reads_that(
    clocked: Database, business: Business, ada: Customer, clock: Clock, console: Browser
) -> None:
    """Whoever was told before is not erased either."""
    clock.move(_YEARS)
    await _round(clocked, business, clock)
    before = await console.get("/staff/retention")
    async with clocked.write(business.id) as db:
        kept = {field: getattr(business, field) for field in NewBusiness.__struct_fields__}
        await businesses.change(db, make.SYSTEM, NewBusiness(**kept | {"dormant_months": 0}))
    clock.move(timedelta(days=40))
    await _round(clocked, business, clock)
    after = await console.get("/staff/retention")

    assert await _there(clocked, business, ada)
    assert "no end here" not in before.text
    assert "no end here" in after.text
    assert "36 months in which" in before.text


async def test_a_merge_is_a_sign_of_life(
    clocked: Database, business: Business, ada: Customer, clock: Clock
) -> None:
    """She was quiet under this address alone; what she lived through under the other is hers."""
    clock.move(_YEARS)
    await _round(clocked, business, clock)
    assert await _told(clocked, business, ada)
    async with clocked.write(business.id) as db:
        lively = await make.customer(db)
        await merging.merge(db, make.SYSTEM, ada.id, lively.id)
    assert not await _told(clocked, business, ada)
    clock.move(timedelta(days=31))
    await _round(clocked, business, clock)
    assert await _there(clocked, business, ada)
    assert not await _told(clocked, business, ada)
