"""A no is always accepted, at once, and a second time changes nothing."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from crm import consent
from crm.businesses import Business
from crm.consent import Circumstances, Method, Notice, Purpose, Status, UnknownPurpose
from crm.consent.states import ImpossibleTransition
from crm.db import Database, Db
from crm.events import Actor
from tests import make
from tests.consent.conftest import SIGNED, say_no, say_yes
from tests.consent.test_give import put


async def test_it_works(db: Db, customer: UUID, notice: Notice) -> None:
    await say_yes(db, customer, notice)
    event = await say_no(db, customer, notice.purpose_id)
    state = await consent.state(db, customer, notice.purpose_id)
    assert state is not None
    assert (state.status, state.event_id) == (Status.withdrawn, event.id)
    # The text it ends is still named.
    assert state.notice_id == notice.id
    assert not state.authorises(db.now)


@pytest.mark.parametrize(
    "status", [None, Status.given, Status.refused, Status.expired, Status.invalidated]
)
@pytest.mark.parametrize("method", [Method.one_click, Method.staff, Method.complaint])
async def test_whatever_was_before(
    db: Db, customer: UUID, notice: Notice, status: Status | None, method: Method
) -> None:
    if status is Status.given:
        await say_yes(db, customer, notice)
    elif status is not None:
        await put(db, customer, notice, status)
    await consent.withdraw(db, Actor.system(), customer, notice.purpose_id, method=method)
    state = await consent.state(db, customer, notice.purpose_id)
    assert state is not None
    assert state.status is Status.withdrawn


async def test_again_changes_nothing(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        first = await say_no(db, customer, notice.purpose_id)
    async with database.write(business.id) as db:
        again = await consent.withdraw(
            db, Actor.system(), customer, notice.purpose_id, method=Method.one_click
        )
        assert again == first
        assert await consent.history(db, customer) == [first]


async def test_an_unknown_purpose_is_refused_not_a_bug(db: Db, customer: UUID) -> None:
    with pytest.raises(UnknownPurpose):
        await say_no(db, customer, uuid4())


async def test_all_of_it(db: Db, customer: UUID, notice: Notice) -> None:
    other = await make.purpose(db)
    await say_yes(db, customer, notice)
    await say_yes(db, customer, await make.notice(db, other.id))
    left = await make.purpose(db)
    await say_yes(db, customer, await make.notice(db, left.id))
    await say_no(db, customer, left.id)
    me = Actor.customer(customer)
    ended = await consent.withdraw_all(db, me, customer, method=Method.portal)
    assert set(ended) == {notice.purpose_id, other.id}
    assert {state.status for state in await consent.states(db, customer)} == {Status.withdrawn}
    assert await consent.withdraw_all(db, me, customer, method=Method.portal) == []


@pytest.mark.parametrize("status", [Status.given, Status.withdrawn, Status.refused])
async def test_a_request_moves_no_standing_answer(
    db: Db, customer: UUID, notice: Notice, status: Status
) -> None:
    if status is Status.given:
        await say_yes(db, customer, notice)
    else:
        await put(db, customer, notice, status)
    standing = await consent.state(db, customer, notice.purpose_id)
    asked = Circumstances(Method.web_form)
    event = await consent.request(db, Actor.customer(customer), customer, notice.question, asked)
    assert event.status is Status.requested
    assert await consent.state(db, customer, notice.purpose_id) == standing
    assert event.id in {each.id for each in await consent.history(db, customer)}


async def test_a_request_then_a_yes_is_told_in_that_order(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    """Both are appended at confirmation, in one transaction, within one millisecond."""
    from_form = Circumstances(Method.web_form, at=business.created_at)
    me = Actor.customer(customer)
    async with database.write(business.id) as db:
        for _ in range(8):
            await consent.request(db, me, customer, notice.question, from_form)
        word = await make.own_word(db, customer, Method.double_opt_in)
        await consent.give(db, me, customer, notice.question, word)
        told = await consent.history(db, customer)
    assert [event.status for event in told] == [Status.given] + [Status.requested] * 8


async def test_a_refusal_needs_a_question_and_no_standing_yes(
    db: Db, customer: UUID, notice: Notice
) -> None:
    me = Actor.customer(customer)
    here = Circumstances(Method.portal)
    await consent.refuse(db, me, customer, notice.question, here)
    await say_yes(db, customer, notice)
    with pytest.raises(ImpossibleTransition):
        await consent.refuse(db, me, customer, notice.question, here)


async def test_evidence_of_a_no_is_kept(db: Db, customer: UUID, purpose: Purpose) -> None:
    event = await consent.withdraw(
        db, Actor.system(), customer, purpose.id, method=Method.staff, said=SIGNED
    )
    assert (await consent.history(db, customer))[0] == event
    assert event.evidence == SIGNED
