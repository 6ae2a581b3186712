"""What is done with consent: it is asked for, given, refused and withdrawn, and never edited."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from crm import events
from crm.consent.model import (
    AUTHORISES,
    OPTED_OUT,
    OWN_WORD,
    Check,
    Consent,
    ConsentEvent,
    ConsentExport,
    Method,
    NewEvent,
    Notice,
    OptOutStands,
    Status,
    UnknownPurpose,
    announced,
    check_foreign_evidence,
    check_own_word,
    check_transition,
    moves,
)
from crm.consent.purposes import current_notices, notices_shown_to, purpose, purposes
from crm.consent.record import canonical, commitment
from crm.consent.standing import Standing, arranged
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.ids import secret, time_ordered

sql = Statements("consent")

_EVENT_OF = {
    Status.requested: Kind.consent_requested,
    Status.given: Kind.consent_given,
    Status.renewed: Kind.consent_given,
    Status.refused: Kind.consent_refused,
    Status.withdrawn: Kind.consent_withdrawn,
}


async def request(
    db: Db,
    by: Actor,
    customer_id: UUID,
    notice: Notice,
    *,
    method: Method = Method.web_form,
    at: datetime | None = None,
    evidence: dict[str, Any] | None = None,
) -> ConsentEvent:
    """Record that a customer asked for something and has not confirmed it; authorises nothing."""
    event = NewEvent(
        customer_id=customer_id,
        purpose_id=notice.purpose_id,
        notice_id=notice.id,
        status=Status.requested,
        method=method,
        at=at or db.now,
        evidence=evidence or {},
    )
    return await _decide(db, by, event)


async def give(
    db: Db,
    by: Actor,
    customer_id: UUID,
    notice: Notice,
    *,
    method: Method,
    at: datetime | None = None,
    evidence: dict[str, Any] | None = None,
) -> ConsentEvent:
    """Record a yes to exactly this text.

    By the customer's own word it lifts an earlier no. By staff, key or import it needs evidence of
    a kind that the notice accepts (EvidenceNotAccepted) and never lifts one (OptOutStands).
    """
    evidence = evidence or {}
    if method in OWN_WORD:
        check_own_word(by)
    else:
        check_foreign_evidence(notice, evidence)
    event = NewEvent(
        customer_id=customer_id,
        purpose_id=notice.purpose_id,
        notice_id=notice.id,
        status=Status.given,
        method=method,
        at=at or db.now,
        evidence=evidence,
    )
    return await _decide(db, by, event)


async def refuse(
    db: Db,
    by: Actor,
    customer_id: UUID,
    notice: Notice,
    *,
    method: Method,
    at: datetime | None = None,
    evidence: dict[str, Any] | None = None,
) -> ConsentEvent:
    """Record a no to a question; a standing yes is not refused but withdrawn."""
    event = NewEvent(
        customer_id=customer_id,
        purpose_id=notice.purpose_id,
        notice_id=notice.id,
        status=Status.refused,
        method=method,
        at=at or db.now,
        evidence=evidence or {},
    )
    return await _decide(db, by, event)


async def withdraw(
    db: Db,
    by: Actor,
    customer_id: UUID,
    purpose_id: UUID,
    *,
    method: Method,
    at: datetime | None = None,
    evidence: dict[str, Any] | None = None,
) -> ConsentEvent:
    """Take back consent for one purpose. Always accepted, and at once; again changes nothing.

    Waiting deliveries of the purpose are taken out in this transaction (promise 2).
    """
    current = await db.maybe(
        sql.current_consent_locked, Consent, customer_id=customer_id, purpose_id=purpose_id
    )
    if current is not None and current.status is Status.withdrawn:
        return await db.one(sql.consent_event, ConsentEvent, event_id=current.event_id)
    if current is None:
        await purpose(db, purpose_id)
    event = NewEvent(
        customer_id=customer_id,
        purpose_id=purpose_id,
        status=Status.withdrawn,
        method=method,
        at=at or db.now,
        evidence=evidence or {},
    )
    return await _append(db, by, event, current)


async def withdraw_all(db: Db, by: Actor, customer_id: UUID, *, method: Method) -> list[UUID]:
    """Take back every consent that is not a no already; return the purposes concerned."""
    ended = [
        state.purpose_id for state in await states(db, customer_id) if state.status not in OPTED_OUT
    ]
    for purpose_id in sorted(ended):
        await withdraw(db, by, customer_id, purpose_id, method=method)
    return ended


async def append_many(db: Db, by: Actor, new: Sequence[NewEvent]) -> int:
    """Append decisions already judged by rule, in one statement; for imports.

    The statement repeats the one rule that matters: an opt-out that is there when it looks stands.
    Returns how many states moved.
    """
    ids = [time_ordered() for _ in new]
    salts = [secret() for _ in new]
    records = [
        canonical(db.business_id, event_id, event, by, db.now)
        for event_id, event in zip(ids, new, strict=True)
    ]
    return await db.run(
        sql.append_events,
        event_ids=ids,
        commitments=[commitment(*pair) for pair in zip(salts, records, strict=True)],
        customer_ids=[event.customer_id for event in new],
        purpose_ids=[event.purpose_id for event in new],
        notice_ids=[event.notice_id for event in new],
        statuses=[event.status.value for event in new],
        methods=[event.method.value for event in new],
        ats=[event.at for event in new],
        evidences=[msgspec.json.encode(event.evidence).decode() for event in new],
        salts=salts,
        canonicals=records,
        actor_kind=by.kind,
        actor_id=by.id,
    )


async def state(db: ReadDb, customer_id: UUID, purpose_id: UUID) -> Consent | None:
    """Return the current state, or None where the customer was never asked."""
    return await db.maybe(
        sql.current_consent, Consent, customer_id=customer_id, purpose_id=purpose_id
    )


async def states(db: ReadDb, customer_id: UUID) -> list[Consent]:
    """Return the current state for every purpose the customer was ever asked about."""
    return await db.many(sql.consents_of_customer, Consent, customer_id=customer_id)


async def authorised(
    db: ReadDb, purpose_id: UUID, customer_ids: Sequence[UUID]
) -> dict[UUID, Consent]:
    """Return those of these customers whose consent authorises now; the rest are left out."""
    found = await states_for(db, purpose_id, customer_ids)
    return {each: state for each, state in found.items() if state.authorises(db.now)}


async def states_for(
    db: ReadDb, purpose_id: UUID, customer_ids: Sequence[UUID]
) -> dict[UUID, Consent]:
    """Return where some customers stand for one purpose; who was never asked is left out."""
    found = await db.many(
        sql.consents_for_purpose,
        Consent,
        purpose_id=purpose_id,
        customer_ids=list(customer_ids),
    )
    return {each.customer_id: each for each in found}


async def history(db: ReadDb, customer_id: UUID) -> list[ConsentEvent]:
    """Return every decision of a customer, newest first."""
    return await db.many(sql.events_of_customer, ConsentEvent, customer_id=customer_id)


async def check(db: ReadDb, customer_id: UUID | None, purpose_id: UUID) -> Check:
    """Say whether a customer's consent authorises now, in one statement; this is not a look.

    Whoever is not known has allowed nothing; an unknown purpose is refused (UnknownPurpose).
    """
    found = await db.maybe(sql.consent_check, Check, customer_id=customer_id, purpose_id=purpose_id)
    if found is None:
        raise UnknownPurpose
    return found


async def check_many(db: ReadDb, purpose_id: UUID, customer_ids: Sequence[UUID]) -> list[Check]:
    """Answer `check` for many customers, in the order asked, in one statement."""
    found = await db.many(
        sql.consent_checks, Check, purpose_id=purpose_id, customer_ids=list(customer_ids)
    )
    if not found and customer_ids:
        raise UnknownPurpose
    return found


async def standings(db: ReadDb, customer_id: UUID, locale: str) -> list[Standing]:
    """Return for every purpose in use where a customer stands, with all the texts and decisions.

    `locale` is that of the text she would be asked with now.
    """
    held = await export(db, customer_id)
    return arranged(held, await current_notices(db, locale), db.now)


async def export(db: ReadDb, customer_id: UUID) -> ConsentExport:
    """Return everything held about a customer's consent: states, decisions, and the exact texts."""
    return ConsentExport(
        purposes=await purposes(db),
        consents=await states(db, customer_id),
        events=await history(db, customer_id),
        notices=await notices_shown_to(db, customer_id),
    )


async def forget(db: Db, customer_id: UUID) -> int:
    """Delete records, salts and states of an erased customer; the stubs stay, and name nobody."""
    return await db.one(sql.erase_consent, int, customer_id=customer_id)


async def _decide(db: Db, by: Actor, event: NewEvent) -> ConsentEvent:
    current = await db.maybe(
        sql.current_consent_locked,
        Consent,
        customer_id=event.customer_id,
        purpose_id=event.purpose_id,
    )
    event = msgspec.structs.replace(event, status=announced(current, event.status))
    check_transition(current, event.status, event.method)
    return await _append(db, by, event, current)


async def _append(db: Db, by: Actor, event: NewEvent, current: Consent | None) -> ConsentEvent:
    event_id, salt = time_ordered(), secret()
    record = canonical(db.business_id, event_id, event, by, db.now)
    appended = await db.one(
        sql.append_event,
        ConsentEvent,
        event_id=event_id,
        commitment=commitment(salt, record),
        customer_id=event.customer_id,
        purpose_id=event.purpose_id,
        notice_id=event.notice_id,
        status=event.status,
        method=event.method,
        at=event.at,
        evidence=event.evidence,
        salt=salt,
        canonical=record,
        actor_kind=by.kind,
        actor_id=by.id,
    )
    if moves(current, event.status, event.method):
        await _set(db, event, event_id)
    await events.record(
        db, by, _EVENT_OF[event.status], customer_id=event.customer_id, ref=event.purpose_id
    )
    return appended


async def _set(db: Db, event: NewEvent, event_id: UUID) -> None:
    moved = await db.run(
        sql.set_consent,
        customer_id=event.customer_id,
        purpose_id=event.purpose_id,
        status=event.status,
        method=event.method,
        event_id=event_id,
        notice_id=event.notice_id,
        at=event.at,
    )
    if not moved and event.status in AUTHORISES:
        # Somebody opted out between our look and this statement; nothing of this is kept.
        raise OptOutStands
