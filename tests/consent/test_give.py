"""A yes: to exactly one text, by the customer's own word or with evidence the text accepts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from crm import consent, events
from crm.businesses import Business
from crm.consent import (
    OPTED_OUT,
    Circumstances,
    EvidenceKind,
    EvidenceNotAccepted,
    Method,
    NotHerWord,
    Notice,
    OptOutStands,
    Status,
    UnknownNotice,
    UnknownPurpose,
)
from crm.consent.deciding import held, sql
from crm.consent.states import OWN_WORD
from crm.db import Database, Db, parse
from crm.events import Actor, Kind
from crm.ids import time_ordered
from tests import make
from tests.consent.conftest import FORMER, SIGNED, add_customer, say_no, say_yes

KEY = Actor.key(UUID(int=9), "Till")
MEMBER = Actor.member(UUID(int=8), "Bob Okafor")
STRANGERS = [(KEY, Method.api), (MEMBER, Method.staff), (Actor.system(), Method.imported)]

_FORCE = parse(
    """-- name: force_state
-- What no action does: put a state where an opt-out stands.
UPDATE crm.consent SET status = :status, method = :method
 WHERE business_id = :business_id AND customer_id = :customer_id AND purpose_id = :purpose_id
"""
)[0]


async def put(db: Db, customer_id: UUID, notice: Notice, status: Status) -> None:
    """Bring a customer into any opted-out state, by statement where there is no verb for it."""
    if status is Status.refused:
        me = Actor.customer(customer_id)
        await consent.refuse(db, me, customer_id, notice.question, Circumstances(Method.portal))
        return
    await say_yes(db, customer_id, notice)
    if status is Status.withdrawn:
        await say_no(db, customer_id, notice.purpose_id)
        return
    await db.run(
        _FORCE,
        customer_id=customer_id,
        purpose_id=notice.purpose_id,
        status=status,
        method=Method.expiry,
    )


async def test_it_works(db: Db, customer: UUID, notice: Notice) -> None:
    event = await say_yes(db, customer, notice)
    state = await consent.state(db, customer, notice.purpose_id)
    assert state is not None
    assert state.status is Status.given
    assert (state.event_id, state.notice_id) == (event.id, notice.id)
    assert state.authorises(db.now)
    assert await consent.authorised(db, notice.purpose_id, [customer, uuid4()]) == {customer: state}


async def test_again_renews_and_tells_both(db: Db, customer: UUID, notice: Notice) -> None:
    first = await say_yes(db, customer, notice)
    second = await say_yes(db, customer, notice)
    assert (first.status, second.status) == (Status.given, Status.renewed)
    told = await consent.history(db, customer)
    assert {event.id for event in told} == {first.id, second.id}


async def test_it_is_recorded_once_for_the_audit(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
        from_audit = [each.kind async for each in events.export(db, customer)]
    assert from_audit == [Kind.consent_given]


@pytest.mark.parametrize(("by", "method"), STRANGERS)
async def test_accepted_evidence_is_recorded_as_what_it_is(
    db: Db, customer: UUID, notice: Notice, by: Actor, method: Method
) -> None:
    on_paper = Circumstances(method, evidence=SIGNED)
    event = await consent.give(db, by, customer, notice.question, on_paper)
    assert event.evidence == SIGNED
    assert (event.method, event.actor_kind) == (method, by.kind)


@pytest.mark.parametrize(("by", "method"), STRANGERS)
@pytest.mark.parametrize("evidence", [{}, FORMER, {"kind": "word of mouth"}, {"kind": {}}])
async def test_other_evidence_gives_nothing(
    *,
    db: Db,
    customer: UUID,
    notice: Notice,
    by: Actor,
    method: Method,
    evidence: dict[str, object],
) -> None:
    with pytest.raises(EvidenceNotAccepted, match=r"Version 1 .* accepts signed_form"):
        await consent.give(
            db, by, customer, notice.question, Circumstances(method, evidence=evidence)
        )
    assert await consent.states(db, customer) == []


async def test_a_text_that_accepts_nothing_says_so(db: Db, customer: UUID) -> None:
    purpose = await make.purpose(db)
    closed = await make.notice(db, purpose.id, accepts=[])
    on_paper = Circumstances(Method.api, evidence=SIGNED)
    with pytest.raises(EvidenceNotAccepted, match="accepts no evidence from elsewhere"):
        await consent.give(db, KEY, customer, closed.question, on_paper)


@pytest.mark.parametrize("by", [KEY, MEMBER, Actor.system()])
@pytest.mark.parametrize("method", sorted(OWN_WORD))
@pytest.mark.parametrize("proved", [False, True])
async def test_nobody_borrows_her_voice(
    *, db: Db, customer: UUID, notice: Notice, by: Actor, method: Method, proved: bool
) -> None:
    """Not even with a true proof of her mailbox in hand."""
    if method is Method.renewal:
        await say_yes(db, customer, notice)
    word = await make.own_word(db, customer, method)
    if not proved:
        word = Circumstances(method, evidence=SIGNED)
    with pytest.raises(NotHerWord):
        await consent.give(db, by, customer, notice.question, word)


@pytest.mark.parametrize("method", sorted(OWN_WORD))
async def test_she_herself_needs_the_proof_of_her_mailbox(
    db: Db, customer: UUID, notice: Notice, method: Method
) -> None:
    me = Actor.customer(customer)
    if method is Method.renewal:
        await say_yes(db, customer, notice)
    before = await consent.history(db, customer)
    with pytest.raises(NotHerWord):
        await consent.give(db, me, customer, notice.question, Circumstances(method))
    assert await consent.history(db, customer) == before


async def test_the_mailbox_of_another_proves_nothing(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        word = await make.own_word(db, await add_customer(db))
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="consent_record_proof"):
        async with database.write(business.id) as db:
            await consent.give(db, Actor.customer(customer), customer, notice.question, word)


@pytest.mark.parametrize("status", sorted(OPTED_OUT))
@pytest.mark.parametrize(("by", "method"), STRANGERS)
async def test_nobody_else_lifts_an_opt_out(
    *, db: Db, customer: UUID, notice: Notice, status: Status, by: Actor, method: Method
) -> None:
    await put(db, customer, notice, status)
    before = await consent.history(db, customer)
    with pytest.raises(OptOutStands):
        await consent.give(
            db, by, customer, notice.question, Circumstances(method, evidence=SIGNED)
        )
    assert await consent.history(db, customer) == before


@pytest.mark.parametrize("status", sorted(OPTED_OUT))
@pytest.mark.parametrize("method", [Method.double_opt_in, Method.portal])
async def test_her_own_word_lifts_it(
    db: Db, customer: UUID, notice: Notice, status: Status, method: Method
) -> None:
    await put(db, customer, notice, status)
    word = await make.own_word(db, customer, method)
    await consent.give(db, Actor.customer(customer), customer, notice.question, word)
    state = await consent.state(db, customer, notice.purpose_id)
    assert state is not None
    assert state.status is Status.given


@pytest.mark.parametrize("status", sorted(OPTED_OUT))
@pytest.mark.parametrize("wanted", [Status.given, Status.renewed])
async def test_the_statement_alone_keeps_it(
    db: Db, customer: UUID, notice: Notice, status: Status, wanted: Status
) -> None:
    await put(db, customer, notice, status)
    standing = await consent.state(db, customer, notice.purpose_id)
    assert standing is not None
    assert not await _append(db, customer, notice, wanted)
    assert await consent.state(db, customer, notice.purpose_id) == standing


@pytest.mark.parametrize("status", sorted(OPTED_OUT))
@pytest.mark.parametrize("wanted", [Status.given, Status.renewed, Status.unknown])
async def test_the_trigger_alone_keeps_it(
    *,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
    status: Status,
    wanted: Status,
) -> None:
    async with database.write(business.id) as db:
        await put(db, customer, notice, status)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only the customer"):
        async with database.write(business.id) as db:
            await db.run(
                _FORCE,
                customer_id=customer,
                purpose_id=notice.purpose_id,
                status=wanted,
                method=Method.imported,
            )


async def test_the_database_refuses_a_yes_without_its_text(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    """Not in the state, and not in the record that the state would follow."""
    for moves, told in ((True, "consent_yes_has_notice"), (False, "warrants")):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=told):
            async with database.write(business.id) as db:
                await _append(db, customer, notice, Status.given, notice_id=None, moves=moves)


async def test_the_database_refuses_a_foreign_yes_without_its_evidence(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="own_word"):
        async with database.write(business.id) as db:
            await _append(db, customer, notice, Status.given, evidence_kind=None)


async def test_the_database_refuses_the_customers_word_without_her_mailbox(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    """A mailbox or portal speaks for the customer only with its proof (promise 7)."""
    with pytest.raises(asyncpg.CheckViolationError, match="own_word"):
        async with database.write(business.id) as db:
            await _append(
                db,
                customer,
                notice,
                Status.given,
                method=Method.double_opt_in,
                actor_kind="customer",
                actor_id=customer,
                evidence_kind=None,
            )


async def test_the_database_refuses_a_sale_as_a_consent(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="consent_record_basis"):
        async with database.write(business.id) as db:
            await _append(db, customer, notice, Status.given, evidence_kind="sale")


async def _append(
    db: Db, customer_id: UUID, notice: Notice, status: Status, **changes: Any
) -> bool:
    """Send the one statement as if a rule had let it through, by an import with evidence."""
    asked = await held(db, customer_id, notice.purpose_id, notice.id)
    values: dict[str, Any] = {
        "event_id": time_ordered(),
        "commitment": bytes(32),
        "warrants": notice.id,
        "customer_id": customer_id,
        "purpose_id": notice.purpose_id,
        "purpose_version": notice.purpose_version,
        "basis": "consent",
        "notice_id": notice.id,
        "status": status,
        "method": Method.imported,
        "at": db.now,
        "valid_until": None,
        "evidence_kind": "signed_form",
        "proof_id": None,
        "salt": bytes(32),
        "canonical": b"{}",
        "record_id": asked.record_id or time_ordered(),
        "moves": True,
        "told_id": time_ordered(),
        "kind": "consent.given",
        "actor_kind": "system",
        "actor_id": None,
        "actor_name": "",
    }
    return await db.one(sql.append_event, bool, **values | changes)


async def test_an_unknown_notice_or_purpose_is_refused(db: Db) -> None:
    with pytest.raises(UnknownNotice):
        await consent.notice(db, uuid4())
    with pytest.raises(UnknownPurpose):
        await consent.purpose(db, uuid4())
    with pytest.raises(UnknownPurpose):
        await consent.purpose_by_slug(db, "no-such-letter")
    assert await consent.purpose_by_code(db, 99) is None


async def test_a_notice_of_another_purpose_is_refused(
    db: Db, customer: UUID, notice: Notice
) -> None:
    other = await make.purpose(db)
    me, word = Actor.customer(customer), await make.own_word(db, customer)
    with pytest.raises(consent.NoticeMismatch):
        await consent.give(db, me, customer, consent.Question(other.id, notice.id), word)
    with pytest.raises(UnknownNotice):
        await consent.give(db, me, customer, consent.Question(other.id, uuid4()), word)
    assert await consent.history(db, customer) == []


async def test_a_stranger_sees_nothing(
    database: Database, business: Business, other_business: Business, customer: UUID, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
    async with database.write(other_business.id) as stranger:
        assert await consent.state(stranger, customer, notice.purpose_id) is None
        assert await consent.states(stranger, customer) == []
        assert await consent.history(stranger, customer) == []
        assert await consent.notices(stranger, notice.purpose_id) == []
        assert await consent.authorised(stranger, notice.purpose_id, [customer]) == {}
        assert await consent.notices_shown_to(stranger, customer) == []
        assert await consent.current_notices(stranger, "en") == {}
        for refused in (
            consent.check(stranger, customer, notice.purpose_id),
            consent.check_many(stranger, notice.purpose_id, [customer]),
            consent.purpose(stranger, notice.purpose_id),
            say_no(stranger, customer, notice.purpose_id),
        ):
            with pytest.raises(UnknownPurpose):
                await refused
        with pytest.raises(UnknownNotice):
            await consent.notice(stranger, notice.id)


async def test_a_stranger_cannot_write_either(
    database: Database, business: Business, other_business: Business, customer: UUID, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        word = await make.own_word(db, customer)
    me = Actor.customer(customer)
    with pytest.raises(UnknownPurpose):
        async with database.write(other_business.id) as stranger:
            await consent.give(stranger, me, customer, notice.question, word)


async def test_the_export_holds_every_word(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        later = await make.notice(db, notice.purpose_id, text="Another text, never shown to her.")
        await say_yes(db, customer, notice)
        await say_no(db, customer, notice.purpose_id)
        await say_yes(db, await add_customer(db), later)
        taken = (await consent.export(db, customer)).told
    assert [each.status for each in taken.consents] == [Status.withdrawn]
    assert {each.status for each in taken.events} == {Status.given, Status.withdrawn}
    assert taken.notices == [notice]
    assert [each.id for each in taken.purposes] == [notice.purpose_id]
    assert EvidenceKind.signed_form in taken.notices[0].accepts


@pytest.mark.parametrize("status", [None, *sorted(OPTED_OUT)])
async def test_a_renewal_lifts_nothing_and_begins_nothing(
    db: Db, customer: UUID, notice: Notice, status: Status | None
) -> None:
    """Whoever left between the mail and the press has left."""
    if status is not None:
        await put(db, customer, notice, status)
    before = await consent.history(db, customer)
    word = await make.own_word(db, customer, Method.renewal)
    with pytest.raises(OptOutStands):
        await consent.give(db, Actor.customer(customer), customer, notice.question, word)
    assert await consent.history(db, customer) == before


@pytest.mark.parametrize(("by", "method"), STRANGERS)
async def test_older_evidence_does_not_replace_a_standing_yes(
    db: Db, customer: UUID, notice: Notice, by: Actor, method: Method
) -> None:
    """It is kept, and her own word of today goes on being what she is mailed on."""
    await say_yes(db, customer, notice)
    standing = await consent.state(db, customer, notice.purpose_id)
    old = Circumstances(method, at=db.now - timedelta(days=900), evidence=SIGNED)
    event = await consent.give(db, by, customer, notice.question, old)
    assert event.id in {each.id for each in await consent.history(db, customer)}
    assert await consent.state(db, customer, notice.purpose_id) == standing
