"""What is done with two records of one person: compared, and made one. It cannot be undone.

The one that goes becomes an empty record that points to the one that is kept. What is known goes
over; what was written down (decisions, mails, looks, requests) stays under its number, for it is
sealed or counted, and is read with hers: each statement that shows her something asks
`crm.records_of`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm import access, campaigns, consent, customers, events, journal, rhythm
from crm.consent import Merging
from crm.customers import Customer, Differences, Stale, UnknownCustomer
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.imports import quarantine
from crm.privacy import copies, dormancy, requests
from crm.privacy.erasure.wishes import wish
from crm.privacy.merging.model import (
    Merged,
    NotMergeable,
    Plan,
    SameRecord,
    Side,
    hindrance,
)
from crm.privacy.model import MergedRecord
from crm.rhythm import Wanted, stricter

sql = Statements("privacy")


async def plan(db: ReadDb, kept_id: UUID, gone_id: UUID) -> Plan:
    """Say what a merge at this moment would come to, or refuse with UnknownCustomer, SameRecord."""
    kept = await customers.get(db, kept_id)
    if kept_id == gone_id:
        raise SameRecord
    gone = await customers.get(db, gone_id)
    said = await consent.told(db, gone_id)
    judged = consent.merging(await consent.states(db, kept_id), said.consents, db.now)
    called = await _names(db, kept_id, gone_id)
    mails = await campaigns.count_mails(db, gone)
    happened = await customers.happenings(db, gone_id)
    return Plan(
        kept_id=kept_id,
        gone_id=gone_id,
        hindrance=hindrance(await _side(db, kept), await _side(db, gone)),
        ends=[called[each] for each in judged.ends],
        closed=[called[each] for each in judged.closed],
        left_behind=[called[each] for each in judged.left_behind],
        stays=[called[each] for each in judged.stays],
        objection=await access.objects(db, gone),
        details=await _differences(db, kept, gone, judged),
        interactions=sum(happened.values()),
        mails=mails.went,
        decisions=len(said.events),
        rhythm=stricter(await _rhythm(db, kept_id), await _rhythm(db, gone_id)),
    )


async def merge(
    db: Db,
    by: Actor,
    kept_id: UUID,
    gone_id: UUID,
    *,
    expected: int | None = None,
    expected_gone: int | None = None,
    unless_since: datetime | None = None,
    tells: bool = True,
) -> Merged:
    """Make two records of one person one, in one transaction.

    A withdrawal wins: the kept record allows at most what both did, by its own consent. Refuses
    with UnknownCustomer, SameRecord, with Stale where a row is not in the expected version any
    more, and with NotMergeable, which says what to do. Of a merge that was begun long ago it is
    said `unless_since` when: what she decided after that for the kept record stands. The address
    that goes is told so, unless it was told before.
    """
    kept, gone = await _held(db, kept_id, gone_id)
    if expected not in {None, kept.version} or expected_gone not in {None, gone.version}:
        raise Stale
    if stands_against := hindrance(await _side(db, kept), await _side(db, gone)):
        raise NotMergeable(stands_against)
    # In the one order of locks: rows, states, ranges, what hangs on them.
    judged = await consent.merge(db, by, kept_id, gone_id, unless_since=unless_since)
    differences = await _differences(db, kept, gone, judged)
    await access.take_over(db, by, kept, gone, tells=tells)
    await campaigns.take_over(db, kept_id, gone_id)
    await customers.take_over(db, kept, gone, judged.stays)
    await rhythm.take_over(db, kept_id, gone_id)
    await copies.forget(db, gone_id)
    for each in (kept_id, gone_id):
        await dormancy.forget(db, each)
    # A row without evidence asks for nothing in a record that is known otherwise.
    await quarantine.forget(db, gone_id)
    await events.record(db, by, Kind.customer_merged, customer_id=kept_id, ref=gone_id)
    db.note(journal.Merged(kept_id, gone_id))
    return await _done(db, kept_id, gone_id, judged, differences)


async def merged_records(db: ReadDb, customer_id: UUID) -> list[MergedRecord]:
    """Return which records were merged into hers, the newest first, as she is told."""
    return await db.many(sql.merged_records_told, MergedRecord, customer_id=customer_id)


async def _done(
    db: ReadDb, kept_id: UUID, gone_id: UUID, judged: Merging, differences: Differences
) -> Merged:
    called = await _names(db, kept_id, gone_id)
    return Merged(
        kept_id=kept_id,
        gone_id=gone_id,
        merged_at=db.now,
        version=(await customers.get(db, kept_id)).version,
        ended=[called[each] for each in (*judged.ends, *judged.closed)],
        left_behind=[called[each] for each in judged.left_behind],
        taken=differences.taken,
        dropped=differences.dropped,
        conflicts=[each.label for each in differences.conflicts],
    )


async def _held(db: Db, kept_id: UUID, gone_id: UUID) -> tuple[Customer, Customer]:
    """Hold both rows, in one order whichever is kept: of two merges at once one waits."""
    held = {each: await customers.hold(db, each) for each in sorted({kept_id, gone_id})}
    kept, gone = held[kept_id], held[gone_id]
    if kept is None or gone is None:
        raise UnknownCustomer
    if kept_id == gone_id:
        raise SameRecord
    return kept, gone


async def _side(db: ReadDb, customer: Customer) -> Side:
    asked = await requests.of_customer(db, customer.id)
    return Side(
        customer=customer,
        leaving=await wish(db, customer.id) is not None,
        requests=sum(each.open for each in asked),
    )


async def _differences(db: ReadDb, kept: Customer, gone: Customer, judged: Merging) -> Differences:
    return customers.differences(
        (kept, await customers.values(db, kept.id), await customers.tags_of(db, kept.id)),
        (gone, await customers.values(db, gone.id), await customers.tags_of(db, gone.id)),
        await customers.not_taken(db, gone.id, judged.stays),
    )


async def _names(db: ReadDb, *records: UUID) -> dict[UUID, str]:
    """Name every purpose in use, and what either record was asked about before."""
    return {
        each.id: each.name for record in records for each in await consent.purposes_for(db, record)
    }


async def _rhythm(db: ReadDb, customer_id: UUID) -> Wanted:
    held = await rhythm.of(db, customer_id)
    return Wanted(held.budget, held.paused_until)
