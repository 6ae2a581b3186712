"""Two records of one person made one: a withdrawal wins, nothing is lost, and all of it is hers."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import access, consent, customers, events, mail, privacy, rhythm
from crm.businesses import Business
from crm.clock import utc_now
from crm.consent import AUTHORISES, OPTED_OUT, Circumstances, Consent, Method, Notice, Status
from crm.customers import (
    AttributeType,
    Customer,
    LawfulBasis,
    NewAttribute,
    NewTag,
    Stale,
    UnknownCustomer,
)
from crm.db import Database, Db, ReadDb
from crm.events import Actor, ActorKind, Kind
from crm.mail import Scope, Why
from crm.privacy import Fingerprint, NewRequest, RequestKind, merging, requests
from crm.privacy.merging import NotMergeable, SameRecord
from crm.privacy.requests.model import Proof, Way
from crm.rhythm import Wanted
from crm.tokens import Stop
from tests import make
from tests.privacy.letters import letters

SYSTEM = Actor.system()


async def _two(db: Db) -> tuple[Customer, Customer]:
    return await make.customer(db, name="Nora"), await make.customer(db, name="N. Lindqvist")


async def _yes(db: Db, customer: Customer, notice: Notice) -> None:
    said = await make.own_word(db, customer.id)
    await consent.give(db, Actor.customer(customer.id), customer.id, notice.question, said)


async def _no(db: Db, customer: Customer, purpose_id: UUID) -> None:
    by = Actor.customer(customer.id)
    await consent.withdraw(db, by, customer.id, purpose_id, method=Method.portal)


async def _notice(db: Db, **changes: object) -> Notice:
    return await make.notice(db, (await make.purpose(db, **changes)).id)


async def test_a_no_of_either_record_wins_and_no_yes_moves(
    database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        stays, ends, left, closed = [await _notice(db) for _ in range(4)]
        for notice in (stays, ends):
            await _yes(db, kept, notice)
        for notice in (ends, left):
            await _yes(db, gone, notice)
        for notice in (ends, closed):
            await _no(db, gone, notice.purpose_id)
        done = await merging.merge(db, SYSTEM, kept.id, gone.id)

    assert len(done.ended) == 2
    async with database.read(business.id) as db:
        now = {each.purpose_id: each for each in await consent.states(db, kept.id)}
        assert now[stays.purpose_id].status is Status.given
        assert (now[ends.purpose_id].status, now[ends.purpose_id].method) == (
            Status.withdrawn,
            Method.merge,
        )
        assert now[closed.purpose_id].status is Status.withdrawn
        assert left.purpose_id not in now
        was = {each.purpose_id: each for each in await consent.states(db, gone.id)}
        assert was[left.purpose_id].status is Status.expired
        # What was sealed of either is hers to read.
        said = await consent.history(db, kept.id)
    assert {each.customer_id for each in said} == {kept.id, gone.id}


_STATES: dict[str, Status | None] = {
    "never asked": None,
    "asked": Status.requested,
    "on": Status.given,
    "said no": Status.refused,
    "left": Status.withdrawn,
    "over": Status.expired,
}


async def _stand(db: Db, customer: Customer, notice: Notice, status: Status | None) -> None:
    by = Actor.customer(customer.id)
    said = Circumstances(Method.web_form)
    if status is Status.requested:
        await consent.request(db, by, customer.id, notice.question, said)
    elif status is Status.refused:
        await consent.refuse(db, by, customer.id, notice.question, said)
    elif status is not None:
        word = Circumstances(Method.api, evidence={"kind": "former_double_opt_in"})
        await consent.give(db, SYSTEM, customer.id, notice.question, word)
        if status is Status.withdrawn:
            await _no(db, customer, notice.purpose_id)
        elif status is Status.expired:
            await consent.end_at_move(db, by, customer.id, notice.purpose_id)


async def test_nothing_is_allowed_that_either_does_not_permit(
    database: Database, business: Business
) -> None:
    """Every pair of states there is, each for a purpose of its own."""
    pairs = [(mine, other) for mine in _STATES.values() for other in _STATES.values()]
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        notices = [await _notice(db) for _ in pairs]
        for notice, (mine, other) in zip(notices, pairs, strict=True):
            await _stand(db, kept, notice, mine)
            await _stand(db, gone, notice, other)
        await merging.merge(db, SYSTEM, kept.id, gone.id)

    async with database.read(business.id) as db:
        for notice, (mine, other) in zip(notices, pairs, strict=True):
            allowed = await consent.check(db, kept.id, notice.purpose_id)
            assert allowed.authorises == (mine is Status.given and other not in OPTED_OUT)
            assert not (await consent.check(db, gone.id, notice.purpose_id)).authorises
            now = await consent.state(db, kept.id, notice.purpose_id)
            if mine in OPTED_OUT or other in OPTED_OUT:
                # Nobody but she lifts it.
                assert now is not None
                assert now.status in OPTED_OUT


_ANY = st.dictionaries(st.integers(0, 9), st.sampled_from(Status))


@given(_ANY, _ANY)
def test_the_rule_never_lets_a_no_be_lost(
    mine: dict[int, Status], others: dict[int, Status]
) -> None:
    now = utc_now()
    kept, gone = _held(mine, now), _held(others, now)
    judged = consent.merging(kept, gone, now)
    off = {*judged.ends, *judged.closed}
    noes = {each.purpose_id for each in gone if each.status in OPTED_OUT}
    assert off == noes - {each.purpose_id for each in kept if each.status in OPTED_OUT}
    on = {each.purpose_id for each in kept if each.status in AUTHORISES}
    assert set(judged.stays) == on - noes
    assert set(judged.left_behind).isdisjoint(on)


def _held(states: dict[int, Status], now: datetime) -> list[Consent]:
    return [
        Consent(
            customer_id=UUID(int=1),
            purpose_id=UUID(int=number),
            purpose_version=1,
            record_id=UUID(int=2),
            status=status,
            method=Method.api,
            event_id=UUID(int=3),
            notice_id=None,
            at=now,
            ends_at=None,
            stale_at=None,
        )
        for number, status in states.items()
    ]


async def test_the_address_that_goes_is_told_once(database: Database, business: Business) -> None:
    """Without a link, and without the address that stays: whoever reads it may be a stranger."""
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        await merging.merge(db, SYSTEM, kept.id, gone.id)
        with pytest.raises(UnknownCustomer):
            await merging.merge(db, SYSTEM, kept.id, gone.id)
        (told,) = await letters(db)
    assert told.to == gone.address
    assert "Two records" in told.subject
    assert business.privacy_contact in told.text
    assert kept.address not in told.text
    assert "http" not in told.text


async def test_an_address_that_takes_no_mail_is_told_nothing(
    database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        fingerprint = db.keys.address_hash(business.id, customers.fold(gone.address))
        await mail.suppress(db, SYSTEM, fingerprint, Scope.all, Why.bounced)
        await merging.merge(db, SYSTEM, kept.id, gone.id)
        assert await letters(db) == []


async def test_details_go_over_where_they_may(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        notice, other = await _notice(db), await _notice(db)
        await _yes(db, kept, notice)
        for each in (notice, other):
            await _yes(db, gone, each)
        for name, purpose_id in (
            ("shop", None),
            ("size", notice.purpose_id),
            ("taste", other.purpose_id),
        ):
            await customers.declare_attribute(db, SYSTEM, name, _attribute(name, purpose_id))
            tag = NewTag(label=name, purpose="To know it.", retention="P12M", purpose_id=purpose_id)
            await customers.declare_tag(db, SYSTEM, name, tag)
            await customers.put_tag(db, SYSTEM, gone.id, name)
        mine = {"shop": "Mill Lane", "size": None}
        await customers.set_attributes(db, SYSTEM, kept.id, mine)
        said = {"shop": "Quay", "size": "large", "taste": "rye"}
        await customers.set_attributes(db, SYSTEM, gone.id, said)
        await customers.note(db, SYSTEM, gone.id, "Rang")
        planned = await merging.plan(db, kept.id, gone.id)
        done = await merging.merge(db, SYSTEM, kept.id, gone.id)

    assert [(each.label, each.kept, each.gone) for each in planned.details.conflicts] == [
        ("Name", "Nora", "N. Lindqvist"),
        ("shop", "Mill Lane", "Quay"),
    ]
    assert (done.taken, done.dropped) == (["size", "shop", "size"], ["taste", "taste"])
    assert done.conflicts == ["Name", "shop"]
    async with database.read(business.id) as db:
        held = await customers.values(db, kept.id)
        assert {each.name: each.value for each in held} == {"shop": "Mill Lane", "size": "large"}
        assert {each.name for each in await customers.tags_of(db, kept.id)} == {"shop", "size"}
        assert await customers.happenings(db, kept.id) == {"note": 1}
        assert not await customers.values(db, gone.id)
        assert not await customers.happenings(db, gone.id)


def _attribute(name: str, purpose_id: UUID | None) -> NewAttribute:
    return NewAttribute(
        basis=LawfulBasis.consent if purpose_id else LawfulBasis.legitimate_interests,
        origin="From you.",
        label=name,
        type=AttributeType.text,
        purpose="To know it.",
        retention="P24M",
        purpose_id=purpose_id,
    )


async def test_what_the_kept_record_did_not_say_is_taken_over(
    database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        kept = await make.customer(db, name="")
        gone = await make.customer(db, name="Nora", locale="de", external_id="K-17")
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    async with database.read(business.id) as db:
        now = await customers.get(db, kept.id)
        assert (now.name, now.locale, now.external_id) == ("Nora", "de", "K-17")
        assert now.version == kept.version + 1
        with pytest.raises(UnknownCustomer):
            await customers.get(db, gone.id)


async def test_the_stricter_rhythm_is_kept(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        until = db.now + timedelta(days=10)
        await rhythm.change(db, kept.id, Wanted(3, None))
        await rhythm.change(db, gone.id, Wanted(2, until))
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    async with database.read(business.id) as db:
        held = await rhythm.of(db, kept.id)
        assert (held.budget, held.paused_until) == (2, until)


async def test_an_objection_holds_for_the_address_that_stays(
    database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        await privacy.object_to_marketing(db, Actor.customer(gone.id), gone.id)
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    async with database.read(business.id) as db:
        silence = await mail.suppressed(db, _hash(db, kept))
        assert silence is not None
        assert silence.reason is Why.objected
        assert await mail.suppressed(db, _hash(db, gone)) is not None


async def test_a_bounce_is_of_the_mailbox_alone(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        await mail.suppress(db, SYSTEM, _hash(db, gone), Scope.all, Why.bounced)
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    async with database.read(business.id) as db:
        assert await mail.suppressed(db, _hash(db, kept)) is None
        left = await mail.suppressed(db, _hash(db, gone))
        assert left is not None
        assert left.scope is Scope.all


def _hash(db: ReadDb, customer: Customer) -> bytes:
    return db.keys.address_hash(db.business_id, customers.fold(customer.address))


async def test_an_old_link_still_stops_her_mails(database: Database, business: Business) -> None:
    """Also after two merges: the mail was to the first of three addresses."""
    async with database.write(business.id) as db:
        first, second = await _two(db)
        last = await make.customer(db)
        notice = await _notice(db)
        await _yes(db, last, notice)
        stop = Stop(business.id, _hash(db, first), None)
        await merging.merge(db, SYSTEM, second.id, first.id)
        await merging.merge(db, SYSTEM, last.id, second.id)
        assert await customers.merged_records(db, last.id) == sorted([first.id, second.id])
        stopped = await access.leave(db, stop, method=Method.one_click)
        assert stopped.customer is not None
        assert (stopped.customer.id, stopped.moved) == (last.id, True)
        assert not (await consent.check(db, last.id, notice.purpose_id)).authorises


async def test_a_withdrawal_by_the_old_number_counts_for_the_one_that_is_kept(
    database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        notice = await _notice(db)
        await _yes(db, kept, notice)
        await merging.merge(db, SYSTEM, kept.id, gone.id)
        await consent.withdraw(db, SYSTEM, gone.id, notice.purpose_id, method=Method.api)
        assert not (await consent.check(db, kept.id, notice.purpose_id)).authorises


async def test_some_are_not_merged(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        asks, frozen, leaving = [await make.customer(db) for _ in range(3)]
        new = NewRequest(kind=RequestKind.access, customer_id=asks.id, words="All of it.")
        await requests.receive(db, SYSTEM, new, way=Way.letter, proof=Proof.person)
        await customers.restrict(db, SYSTEM, frozen.id)
        await privacy.plan(db, leaving, Fingerprint.keep)
        for other, says in (
            (asks, "request without an answer"),
            (frozen, "is frozen"),
            (leaving, "waits for its deletion"),
        ):
            for pair in ((kept.id, other.id), (other.id, kept.id)):
                with pytest.raises(NotMergeable, match=says):
                    await merging.merge(db, SYSTEM, *pair)
        with pytest.raises(SameRecord):
            await merging.merge(db, SYSTEM, kept.id, kept.id)
        with pytest.raises(Stale):
            await merging.merge(db, SYSTEM, kept.id, gone.id, expected=7)
        await privacy.erase(db, SYSTEM, gone.id)
        with pytest.raises(UnknownCustomer):
            await merging.merge(db, SYSTEM, kept.id, gone.id)
        # Who is not here is not known, and not known to be the same either.
        with pytest.raises(UnknownCustomer):
            await merging.merge(db, SYSTEM, gone.id, gone.id)
        with pytest.raises(UnknownCustomer):
            await merging.plan(db, gone.id, gone.id)


async def test_another_business_knows_neither(
    database: Database, business: Business, foreign: Customer
) -> None:
    async with database.write(business.id) as db:
        kept, _ = await _two(db)
        for pair in ((kept.id, foreign.id), (foreign.id, kept.id)):
            with pytest.raises(UnknownCustomer):
                await merging.merge(db, SYSTEM, *pair)


async def test_it_is_told_once_with_both_numbers(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept, gone = await _two(db)
        who = await make.owner(db)
        await merging.merge(db, who.actor, kept.id, gone.id)
    async with database.read(business.id) as db:
        told = [each for each in await events.page(db) if each.kind is Kind.customer_merged]
        assert [(each.customer_id, each.ref) for each in told] == [(kept.id, gone.id)]
        (shown,) = await merging.merged_records(db, kept.id)
    assert (shown.customer_id, shown.who, shown.role) == (gone.id, ActorKind.member, "owner")
