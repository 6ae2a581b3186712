"""What is kept for a purpose goes over in a merge by the history of its own record.

From then on it goes with what ends in the record that is kept.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from crm import consent, customers
from crm.businesses import Business
from crm.consent import Method, Notice
from crm.customers import (
    AttributeType,
    Customer,
    LawfulBasis,
    NewAttribute,
    NewInteraction,
    NewKind,
    NewTag,
)
from crm.db import Db, ReadDb
from crm.events import Actor
from crm.privacy import jobs, merging
from crm.privacy.merging import Merged
from tests import make
from tests.alone import Alone
from tests.privacy.conftest import Clock

_DAY = timedelta(days=1)
_ALL = ["Size", "Regular", "Rye, 1 day"]


async def _declared(db: Db) -> Notice:
    """Return the question for a purpose that a detail, a tag and a kind of purchase are for."""
    notice = await make.notice(db, (await make.purpose(db)).id)
    size = NewAttribute(
        label="Size",
        type=AttributeType.text,
        purpose="To send what fits.",
        basis=LawfulBasis.consent,
        origin="You told us.",
        retention="P1Y",
        purpose_id=notice.purpose_id,
    )
    await customers.declare_attribute(db, make.SYSTEM, "size", size)
    said: dict[str, Any] = {
        "purpose": "To know it.",
        "retention": "P1Y",
        "purpose_id": notice.purpose_id,
    }
    await customers.declare_tag(db, make.SYSTEM, "regular", NewTag(label="Regular", **said))
    await customers.declare_kind(db, make.SYSTEM, "course", NewKind(label="Course", **said))
    return notice


async def _two(db: Db, notice: Notice) -> tuple[Customer, Customer]:
    """Return two who allow it."""
    both = await make.customer(db, name="Nora"), await make.customer(db, name="Nora")
    for each in both:
        await _yes(db, each, notice)
    return both


async def _begun(clocked: Alone, business: Business) -> tuple[Notice, Customer, Customer]:
    """Return what is allowed, by a record that is to be kept and one that is to go and has it."""
    async with clocked.write(business.id) as db:
        notice = await _declared(db)
        kept, gone = await _two(db, notice)
        await _hold(db, gone)
    return notice, kept, gone


async def _hold(db: Db, customer: Customer) -> None:
    await customers.set_attributes(db, make.SYSTEM, customer.id, {"size": "42"})
    await customers.put_tag(db, make.SYSTEM, customer.id, "regular")
    bought = NewInteraction(kind="course", title="Rye, 1 day")
    await customers.interact(db, make.SYSTEM, customer.id, bought)


async def _yes(db: Db, customer: Customer, notice: Notice) -> None:
    word = await make.own_word(db, customer.id)
    await consent.give(db, Actor.customer(customer.id), customer.id, notice.question, word)


async def _no(db: Db, customer: Customer, purpose_id: UUID) -> None:
    by = Actor.customer(customer.id)
    await consent.withdraw(db, by, customer.id, purpose_id, method=Method.portal)


async def _left_and_back(
    clocked: Alone, business: Business, clock: Clock, customer: Customer, notice: Notice
) -> None:
    """Let her withdraw a day later, and allow it again after another, before any sweep."""
    clock.move(_DAY)
    async with clocked.write(business.id) as db:
        await _no(db, customer, notice.purpose_id)
    clock.move(_DAY)
    async with clocked.write(business.id) as db:
        await _yes(db, customer, notice)


async def _merged(clocked: Alone, business: Business, kept: Customer, gone: Customer) -> Merged:
    async with clocked.write(business.id) as db:
        planned = (await merging.plan(db, kept.id, gone.id)).details
        done = await merging.merge(db, make.SYSTEM, kept.id, gone.id)
    assert (planned.taken, planned.dropped) == (done.taken, done.dropped)
    return done


async def _held(db: ReadDb, customer: Customer) -> list[str]:
    return [
        *[each.label for each in await customers.values(db, customer.id)],
        *[each.label for each in await customers.tags_of(db, customer.id)],
        *[each.title for each in await customers.interactions(db, customer.id)],
    ]


async def _swept(clocked: Alone, business: Business, customer: Customer) -> list[str]:
    """Return what she has after a night."""
    await jobs.retain_of(clocked, business.id)
    async with clocked.read(business.id) as db:
        return await _held(db, customer)


async def test_what_a_merge_took_over_stays(
    clocked: Alone, business: Business, clock: Clock
) -> None:
    """She once left in the record that is kept, which held none of it."""
    notice, kept, gone = await _begun(clocked, business)
    await _left_and_back(clocked, business, clock, kept, notice)
    done = await _merged(clocked, business, kept, gone)

    assert (done.taken, done.dropped) == (["Size", "Regular"], [])
    assert await _swept(clocked, business, kept) == _ALL


async def test_what_ended_in_the_record_that_goes_is_left_behind(
    clocked: Alone, business: Business, clock: Clock
) -> None:
    """It waited for the sweep, though she has allowed it there again since."""
    notice, kept, gone = await _begun(clocked, business)
    await _left_and_back(clocked, business, clock, gone, notice)
    done = await _merged(clocked, business, kept, gone)

    assert (done.taken, done.dropped) == ([], ["Size", "Regular"])
    async with clocked.read(business.id) as db:
        assert await _held(db, kept) == []


async def test_what_was_said_after_she_came_back_goes_over(
    clocked: Alone, business: Business, clock: Clock
) -> None:
    async with clocked.write(business.id) as db:
        notice = await _declared(db)
        kept, gone = await _two(db, notice)
    await _left_and_back(clocked, business, clock, gone, notice)
    clock.move(_DAY)
    async with clocked.write(business.id) as db:
        await _hold(db, gone)
    await _merged(clocked, business, kept, gone)

    assert await _swept(clocked, business, kept) == _ALL


@pytest.mark.parametrize("back", [False, True], ids=["left", "left and back"])
async def test_it_goes_with_a_withdrawal_after_the_merge(
    clocked: Alone, business: Business, clock: Clock, *, back: bool
) -> None:
    notice, kept, gone = await _begun(clocked, business)
    await _left_and_back(clocked, business, clock, kept, notice)
    await _merged(clocked, business, kept, gone)
    if back:
        await _left_and_back(clocked, business, clock, kept, notice)
    else:
        async with clocked.write(business.id) as db:
            await _no(db, kept, notice.purpose_id)

    assert await _swept(clocked, business, kept) == []


async def test_two_merges_count_from_the_last(
    clocked: Alone, business: Business, clock: Clock
) -> None:
    """What the second brought is judged by what ended in it after the first merge."""
    async with clocked.write(business.id) as db:
        notice = await _declared(db)
        second, first = await _two(db, notice)
        last = await make.customer(db)
        await _yes(db, last, notice)
        await _hold(db, first)
    await _left_and_back(clocked, business, clock, second, notice)
    await _merged(clocked, business, second, first)
    await _left_and_back(clocked, business, clock, last, notice)
    done = await _merged(clocked, business, last, second)

    assert done.dropped == []
    assert await _swept(clocked, business, last) == _ALL


async def test_how_long_it_is_kept_counts_as_before(
    clocked: Alone, business: Business, clock: Clock
) -> None:
    notice, kept, gone = await _begun(clocked, business)
    clock.move(timedelta(days=200))
    await _merged(clocked, business, kept, gone)
    clock.move(timedelta(days=200))
    async with clocked.read(business.id) as db:
        assert (await consent.check(db, kept.id, notice.purpose_id)).authorises

    assert await _swept(clocked, business, kept) == []


async def test_what_is_set_anew_counts_from_then(
    clocked: Alone, business: Business, clock: Clock
) -> None:
    """Also what a merge had brought: a withdrawal before is none of what was said after it."""
    notice, kept, gone = await _begun(clocked, business)
    await _merged(clocked, business, kept, gone)
    await _left_and_back(clocked, business, clock, kept, notice)
    clock.move(_DAY)
    async with clocked.write(business.id) as db:
        await customers.set_attributes(db, make.SYSTEM, kept.id, {"size": "43"})
        await customers.put_tag(db, make.SYSTEM, kept.id, "regular")

    assert await _swept(clocked, business, kept) == ["Size", "Regular"]
