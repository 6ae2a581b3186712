"""Many decisions at once, judged by rule: what an import brings, and what time has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from crm.consent import network
from crm.consent.actions import withdraw
from crm.consent.deciding import TOLD
from crm.consent.grounds import kind_of
from crm.consent.model import Consent, NewEvent
from crm.consent.places import offer_places
from crm.consent.record import Place, canonicals, commitment
from crm.consent.states import AUTHORISES, OPTED_OUT, Status
from crm.db import Db, Statements
from crm.events import Actor, record_each
from crm.ids import many_opaque, many_secrets, many_time_ordered
from crm.journal import Decision, Withdrawn

sql = Statements("consent")

_NOTHING = UUID(int=0)
_NO = frozenset({Status.withdrawn, Status.refused})


class _Row(msgspec.Struct, frozen=True):
    customer_id: UUID
    merged_into: UUID | None
    gone: bool


class Held(msgspec.Struct, frozen=True):
    """Customers that nobody erases or merges before this transaction ends."""

    ids: frozenset[UUID]
    # Into which record one was merged already.
    merged: dict[UUID, UUID]
    # Who was erased already: of her nothing is written down.
    gone: frozenset[UUID]


class _Appended(msgspec.Struct, frozen=True):
    moved: int
    ended: list[UUID]
    freed: list[UUID]


class Written(msgspec.Struct, frozen=True):
    """Decisions, with all that is going to be kept of them column by column."""

    events: list[NewEvent]
    places: list[Place]
    columns: dict[str, list[Any]]


def written(db: Db, by: Actor, new: Sequence[tuple[NewEvent, Consent | None]]) -> Written:
    """Write out decisions judged by rule, each with the state it follows, and ask nobody."""
    events = [event for event, _ in new]
    places = _places([state for _, state in new])
    salts = many_secrets(len(new))
    records = canonicals(db.business_id, zip(places, events, strict=True), by, db.now)
    columns = {
        **_columns(events),
        "event_ids": [place.event_id for place in places],
        "record_ids": [place.record_id for place in places],
        "commitments": [commitment(*pair) for pair in zip(salts, records, strict=True)],
        "salts": salts,
        "canonicals": records,
    }
    return Written(events, places, columns)


async def append_many(
    db: Db,
    by: Actor,
    new: Sequence[tuple[NewEvent, Consent | None]],
    *,
    network_days: int = 0,
) -> int:
    """Append decisions already judged by rule, each with the state it follows; in one statement.

    The statement repeats the one rule that matters: an opt-out that is there when it looks stands.
    Each no that moved a state is told, and no yes. From where they came is kept for `network_days`.
    Of whoever was erased meanwhile nothing is. Returns how many states moved.
    """
    held = await hold_many(db, [event.customer_id for event, _ in new])
    there = [each for each in new if each[0].customer_id not in held.gone]
    if not there:
        return 0
    return await append_written(db, by, written(db, by, there), held, network_days=network_days)


async def hold_many(db: Db, customer_ids: Sequence[UUID]) -> Held:
    """Let nobody erase these, or merge them into others, before their states are written.

    Before the states, as an erasure does, which is waited for.
    """
    if not customer_ids:
        return Held(frozenset(), {}, frozenset())
    rows = await db.many(sql.hold_customers, _Row, customer_ids=list(customer_ids))
    merged = {each.customer_id: each.merged_into for each in rows if each.merged_into}
    gone = {each.customer_id for each in rows if each.gone}
    ids = {each.customer_id for each in rows}
    if merged:
        # Whoever was merged into one that is erased went with it.
        kept = await hold_many(db, sorted(set(merged.values())))
        gone |= {each for each, kept_id in merged.items() if kept_id in kept.gone}
        ids |= kept.ids
    return Held(frozenset(ids), merged, frozenset(gone))


async def append_written(
    db: Db,
    by: Actor,
    new: Written,
    held: Held,
    *,
    network_days: int = 0,
) -> int:
    """Append decisions that are written out, as `append_many` does: about nobody who is gone.

    They are about customers who are `held`, or whom this transaction has added.
    """
    events = new.events
    await _hold_ended(db, events, held)
    appended = await db.one(
        sql.append_events, _Appended, **new.columns, actor_kind=by.kind, actor_id=by.id
    )
    offer_places(db, appended.freed)
    await _tell_ends(db, by, new, set(appended.ended))
    if network_days:
        await _keep_networks(db, new.places, events, network_days)
    await _carry(db, by, events, held)
    return appended.moved


async def _hold_ended(db: Db, events: Sequence[NewEvent], held: Held) -> None:
    """Hold all that is decided about and then, before the first end, every range that ends touch.

    A state that ends takes its customer out of campaigns, so customer by customer whoever does so
    waits for who leaves several campaigns at that moment, and she for it. Whoever is new waits in
    none.
    """
    about = [
        (customer_id, event)
        for event in events
        for customer_id in (event.customer_id, held.merged.get(event.customer_id))
        if customer_id in held.ids
    ]
    ends = [(customer_id, event) for customer_id, event in about if event.status in OPTED_OUT]
    if not ends:
        return
    for statement, some in ((sql.hold_states, about), (sql.hold_ranges_left, ends)):
        await db.many(
            statement,
            UUID,
            customer_ids=[customer_id for customer_id, _ in some],
            purpose_ids=[event.purpose.purpose_id for _, event in some],
        )


async def _tell_ends(db: Db, by: Actor, new: Written, ended: set[UUID]) -> None:
    """Note every end in the journal, and have told those that moved a state."""
    _note_ends(db, new.events)
    told = [
        (TOLD[event.status], event.customer_id, event.purpose.purpose_id)
        for place, event in zip(new.places, new.events, strict=True)
        if place.event_id in ended
    ]
    if told:
        await record_each(db, by, told)


async def _carry(db: Db, by: Actor, events: Sequence[NewEvent], held: Held) -> None:
    """Let a no count for the record that hers was merged into while it was judged."""
    for event in events:
        kept_id = held.merged.get(event.customer_id)
        if kept_id and event.status in _NO:
            purpose_id = event.purpose.purpose_id
            await withdraw(db, by, kept_id, purpose_id, method=event.method, at=event.at)


async def _keep_networks(
    db: Db, places: Sequence[Place], events: Sequence[NewEvent], days: int
) -> None:
    kept = [
        (place.event_id, event.customer_id, event.network)
        for place, event in zip(places, events, strict=True)
        if event.network is not None
    ]
    await network.keep(db, kept, days=days)


def _note_ends(db: Db, events: Sequence[NewEvent]) -> None:
    ended = [
        Decision(event.customer_id, event.purpose.purpose_id, event.status, event.method)
        for event in events
        if event.status in OPTED_OUT
    ]
    if ended:
        db.note(Withdrawn(ended))


def _places(states: Sequence[Consent | None]) -> list[Place]:
    fresh = many_opaque(len(states))
    return [
        Place(event_id, record_id, None)
        if state is None
        else Place(event_id, state.record_id, state.event_id)
        for event_id, record_id, state in zip(
            many_time_ordered(len(states)), fresh, states, strict=True
        )
    ]


def _columns(events: Sequence[NewEvent]) -> dict[str, list[Any]]:
    """What the rows say besides their canonical bytes, column by column.

    Much is the same for most of them, so that is said once, and of each which of these it is.
    """
    alike: dict[tuple[Any, ...], int] = {}
    said: list[NewEvent] = []
    numbers: list[int] = []
    for event in events:
        kind = kind_of(event.evidence)
        key = (id(event.purpose), id(event.notice), event.status, event.method, kind)
        number = alike.setdefault(key, len(said) + 1)
        if number > len(said):
            said.append(event)
        numbers.append(number)
    return {
        "customer_ids": [event.customer_id for event in events],
        "said": numbers,
        "ats": [event.at for event in events],
        "valid_untils": [event.valid_until for event in events],
        "purpose_ids": [event.purpose.purpose_id for event in said],
        "purpose_versions": [event.purpose.version for event in said],
        "bases": [event.purpose.basis.value for event in said],
        "notice_ids": [event.notice.id if event.notice else None for event in said],
        "statuses": [event.status.value for event in said],
        "methods": [event.method.value for event in said],
        "evidence_kinds": [kind_of(event.evidence) for event in said],
        "warrants": [_warrants(event) for event in said],
    }


def _warrants(event: NewEvent) -> UUID:
    return event.notice.id if event.notice and event.status in AUTHORISES else _NOTHING
