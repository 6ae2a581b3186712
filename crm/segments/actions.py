"""What is done with segments: they are written, counted, and asked whom they select."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from crm import businesses, customers, events
from crm.customers.text import filled
from crm.db import Db, ReadDb, Statements
from crm.errors import Problem
from crm.events import Actor, Kind
from crm.ids import time_ordered
from crm.segments.compiling import choosing, counting, reasoning, sampling
from crm.segments.days import Instant
from crm.segments.model import (
    MOST_SEGMENTS,
    Choice,
    Counted,
    Field,
    Name,
    NameTaken,
    NewSegment,
    Segment,
    SegmentInUse,
    SegmentStale,
    TooManySegments,
    UnknownSegment,
    Vocabulary,
    Written,
)
from crm.segments.reading import campaigns_named, questions, read
from crm.segments.rule import (
    Anniversary,
    Attribute,
    Consent,
    DateNear,
    Delivery,
    Interaction,
    Rule,
    Tag,
)

sql = Statements("segments")

# So many of those whom a rule selects are shown.
SAMPLE = 10


class _Named(Struct, frozen=True):
    id: UUID
    purpose_id: UUID


class Standing(Struct, frozen=True):
    """How many of a segment share a reason for getting no campaign; None will get it."""

    reason: str | None
    customers: int
    asked: int


async def vocabulary(db: ReadDb) -> Vocabulary:
    """Return everything that a rule of this business may name, but campaigns."""
    purposes = await db.many(sql.purposes_to_ask_about, Choice)
    return Vocabulary(
        attributes={
            each.name: Field(each.name, each.label, each.type, each.purpose_id)
            for each in await customers.attributes(db)
        },
        tags={
            each.name: Field(each.name, each.label, None, each.purpose_id)
            for each in await customers.tags(db)
        },
        kinds={
            each.name: Field(each.name, each.label, None, each.purpose_id)
            for each in await customers.kinds(db)
        },
        purposes={each.id: each.label for each in purposes},
    )


async def checked(db: ReadDb, given: Written) -> Rule:
    """Read a rule, or refuse with BadRule and all that is wrong with it."""
    return (await checked_all(db, [given]))[0]


async def checked_all(db: ReadDb, given: Sequence[Written]) -> list[Rule]:
    """Read rules, as many as there are in the same few looks."""
    return (await _read(db, given))[0]


async def add(db: Db, by: Actor, new: NewSegment) -> Segment:
    """Save a rule under a name of its own (NameTaken); TooManySegments."""
    await checked(db, new.rule)
    if await db.one(sql.count_segments, int) >= MOST_SEGMENTS:
        raise TooManySegments
    segment = await db.maybe(
        sql.add_segment,
        Segment,
        segment_id=time_ordered(),
        name=filled(new.name, "name", Name),
        rule=new.rule,
    )
    if segment is None:
        raise NameTaken(problems=[Problem("name", NameTaken().message)])
    await events.record(db, by, Kind.segment_changed, ref=segment.id)
    return segment


async def segments(db: ReadDb) -> list[Segment]:
    """Return the segments, by name; a thousand at most."""
    return await db.many(sql.segments, Segment)


async def get(db: ReadDb, segment_id: UUID) -> Segment:
    """Return one segment, or refuse with UnknownSegment."""
    return _known(await db.maybe(sql.segment, Segment, segment_id=segment_id))


async def by_name(db: ReadDb, name: str) -> Segment:
    """Return the segment of this name, or refuse with UnknownSegment."""
    return _known(await db.maybe(sql.segment_by_name, Segment, name=name))


async def change(
    db: Db, by: Actor, segment_id: UUID, new: NewSegment, *, expected: int | None = None
) -> Segment:
    """Replace name and rule, if it is still the version that was read (SegmentStale).

    Refuses with SegmentInUse while a campaign that was approved waits to go to it: who gets it
    was looked at then. A campaign that has started has kept the rule as it was.
    """
    await checked(db, new.rule)
    present = await _held(db, segment_id)
    if expected is not None and present.version != expected:
        raise SegmentStale
    if await db.one(sql.segment_is_approved, bool, segment_id=segment_id):
        raise SegmentInUse
    name = filled(new.name, "name", Name)
    if await db.one(sql.other_segment_of_name, bool, segment_id=segment_id, name=name):
        raise NameTaken(problems=[Problem("name", NameTaken().message)])
    changed = await db.one(
        sql.change_segment, Segment, segment_id=segment_id, name=name, rule=new.rule
    )
    await events.record(db, by, Kind.segment_changed, ref=segment_id)
    return changed


async def hold(db: Db, segment_id: UUID) -> None:
    """Let nobody change a segment until a campaign to it is approved with this transaction."""
    await db.maybe(sql.segment_kept_as_it_is, UUID, segment_id=segment_id)


async def drop(db: Db, by: Actor, segment_id: UUID) -> None:
    """Delete a segment that no campaign waits to go to, or refuse with SegmentInUse."""
    await _held(db, segment_id)
    if await db.one(sql.segment_is_named, bool, segment_id=segment_id):
        raise SegmentInUse
    await db.run(sql.drop_segment, segment_id=segment_id)
    await events.record(db, by, Kind.segment_changed, ref=segment_id)


async def count(db: ReadDb, given: Written, *, sample: int = SAMPLE) -> Counted:
    """Count whom a rule selects now and name some of them, or refuse with BadRule."""
    (rule,), known, _ = await _read(db, [given])
    at = await instant(db)
    asked = counting(rule, known, at)
    customers = await db.total(asked.statement, **asked.values)
    some = sampling(rule, known, at, customers, sample)
    found = await db.many(some.statement, UUID, **some.values) if customers else []
    return Counted(customers=customers, sample=found)


async def chosen(
    db: ReadDb, given: Written, at: Instant, customer_ids: Sequence[UUID]
) -> list[UUID]:
    """Return those of some customers whom a rule selects."""
    (rule,), known, _ = await _read(db, [given])
    asked = choosing(rule, known, at, customer_ids)
    return await db.many(asked.statement, UUID, **asked.values)


async def standing(db: ReadDb, given: Written, purpose_id: UUID) -> list[Standing]:
    """Count, by reason, how those whom a rule selects stand to a campaign of a purpose now."""
    (rule,), known, _ = await _read(db, [given])
    asked = reasoning(rule, known, await instant(db), purpose_id)
    return await db.many(asked.statement, Standing, **asked.values)


async def asks_special(db: ReadDb, given: Written, *, of: UUID | None = None) -> bool:
    """Say whether whom a rule selects tells of a decision about a special purpose (Art. 9 GDPR).

    By its name, by what counts only for whoever allows it, or by a campaign that went to these;
    or whether the purpose that they are counted for is one (`of`).
    """
    (rule,), known, campaigns = await _read(db, [given])
    asked = {_purpose(each, known, campaigns) for each in questions(rule)} | {of}
    asked.discard(None)
    return await db.one(sql.special_among, bool, purpose_ids=list(asked))


async def campaigns_to_ask_about(db: ReadDb) -> list[Choice]:
    """Return the newest campaigns that have started, which a rule may name."""
    return await db.many(sql.campaigns_to_ask_about, Choice)


async def instant(db: ReadDb) -> Instant:
    """Return the present moment by the calendar of the business."""
    return Instant(db.now, (await businesses.get(db)).time_zone)


async def _read(
    db: ReadDb, given: Sequence[Written]
) -> tuple[list[Rule], Vocabulary, dict[UUID, UUID]]:
    """Read rules; with what they may name, and the purposes of the campaigns they name."""
    known = await vocabulary(db)
    named = campaigns_named(given)
    found = await db.many(sql.campaigns_among, _Named, campaign_ids=list(named)) if named else []
    campaigns = {each.id: each.purpose_id for each in found}
    return [read(each, known, frozenset(campaigns)) for each in given], known, campaigns


def _purpose(test: Rule, known: Vocabulary, campaigns: dict[UUID, UUID]) -> UUID | None:
    match test:
        case Consent():
            return test.purpose_id
        case Delivery():
            return campaigns[test.campaign_id]
        case Tag():
            return known.tags[test.name].purpose_id
        case Interaction():
            return known.kinds[test.kind].purpose_id
        case Attribute() | DateNear() | Anniversary():
            return known.attributes[test.name].purpose_id
        case _:
            return None


async def _held(db: Db, segment_id: UUID) -> Segment:
    return _known(await db.maybe(sql.segment_locked, Segment, segment_id=segment_id))


def _known(found: Segment | None) -> Segment:
    if found is None:
        raise UnknownSegment
    return found
