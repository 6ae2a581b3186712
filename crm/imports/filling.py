"""What a list has of customers beside their consent: filled in where they have nothing, in bulk.

What one row decides is for `decision` to say; here it is looked up, asked for and written for a
batch at once, and what has to be left out is said in the report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import compress, product
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from crm import consent, customers
from crm.consent import Method
from crm.customers import ExternalIdTaken, Fill, Known, NewValue
from crm.db import Db, ReadDb
from crm.imports.decision import EXTERNAL_ID, NAME, OWN, TIME_ZONE, Decision, KnownCustomer, Outcome
from crm.imports.fields import Fields
from crm.imports.gathering import Group
from crm.imports.judged import Judged, LeftOut, less
from crm.imports.model import Row, Told, opts_out, spot
from crm.imports.remarks import Report

_NOT_ALLOWED = "The value of {} was left out: it is for a purpose that is not allowed."
_TAG_NOT_ALLOWED = "The tag {} was left out: it is for a purpose that is not allowed."
_TAKEN = "The external id was left out: another customer has it."
_ANOTHER = "The external id was left out: the customer has another."

_NONE: AbstractSet[str] = frozenset()
# What of a record says something, by which of the three does.
_FILLED = {
    says: frozenset(compress((NAME, TIME_ZONE, EXTERNAL_ID), says))
    for says in product((False, True), repeat=3)
}
# By customer: what was left out of the decision about her after all.
Without = defaultdict[UUID, LeftOut]


class Held(Struct, frozen=True):
    """Which declared attributes and tags some customers have already."""

    values: Mapping[UUID, AbstractSet[str]] = {}
    tags: Mapping[UUID, AbstractSet[str]] = {}


async def held(db: ReadDb, fields: Fields, ids: Sequence[UUID], groups: Iterable[Group]) -> Held:
    """Look up what these customers have, as far as their rows could bring it."""
    if not ids:
        return Held()
    values = await customers.held_among(db, ids, sorted(fields.names)) if fields.names else {}
    tagged = fields.tags and any(group.fitted.tags for group in groups)
    tags = await customers.tagged_among(db, ids, sorted(fields.tags)) if tagged else {}
    return Held(values, tags)


def holding(
    have: Held,
    known: Known,
    state: consent.Consent | None,
    *,
    suppressed: bool,
) -> KnownCustomer:
    """What a decision has to know of a customer."""
    ours = state is not None and state.method is not Method.imported
    own = _FILLED[bool(known.name), bool(known.time_zone), bool(known.external_id)]
    return KnownCustomer(
        standing=state.status if state else None,
        suppressed=suppressed,
        own_consent_at=state.at if state is not None and ours else None,
        frozen=known.restricted_at is not None,
        filled=own | have.values.get(known.id, _NONE),
        tagged=frozenset(have.tags.get(known.id, _NONE)),
    )


class ExternalIds:
    """Gives each external id of a batch to one customer: whoever has it, else the first row."""

    def __init__(self, taken: set[str], report: Report) -> None:
        self._taken = taken
        self._report = report

    @classmethod
    async def of(cls, db: ReadDb, groups: Iterable[Group], report: Report) -> ExternalIds:
        """Look up which of those in these rows somebody has."""
        wanted = [group.row.external_id for group in groups if group.row.external_id]
        taken = await customers.external_ids_among(db, wanted) if wanted else set()
        return cls(taken, report)

    def give(self, row: Row, known: Known | None, decision: Decision) -> Decision:
        """The decision about a row that has one, without it where it cannot be hers."""
        wanted = row.external_id
        if EXTERNAL_ID in decision.fill:
            if wanted not in self._taken:
                self._taken.add(wanted)
                return decision
            self._report.say(spot(row), Told.noted, _TAKEN)
            return less(decision, LeftOut(fields={EXTERNAL_ID}))
        if known is not None and known.restricted_at is None:
            joins = decision.outcome is not Outcome.kept_out and not opts_out(row)
            if joins and known.external_id not in {None, wanted}:
                self._report.say(spot(row), Told.noted, _ANOTHER)
        return decision


def unsettled(judged: Judged, fields: Fields) -> bool:
    """Whether something of the decision may yet be left out when it is written."""
    decision = judged.decision
    if decision.values or not fields.bound.isdisjoint(decision.tags):
        return True
    return not decision.add and EXTERNAL_ID in decision.fill


async def fill(
    db: Db, fields: Fields, taken: Sequence[tuple[UUID, Judged]], report: Report
) -> Mapping[UUID, LeftOut]:
    """Write what was empty; return, and report, what was left out: it is not allowed, or taken."""
    without: Without = defaultdict(LeftOut)
    await _records(db, taken, report, without)
    await _values(db, taken, report, without)
    await _tags(db, fields, taken, report, without)
    return without


async def _records(
    db: Db, taken: Sequence[tuple[UUID, Judged]], report: Report, without: Without
) -> None:
    """Fill in names, time zones and external ids of who was here before."""
    fills = {
        customer_id: Fill(
            customer_id,
            fill.get(NAME, ""),
            time_zone=fill.get(TIME_ZONE, ""),
            external_id=fill.get(EXTERNAL_ID),
        )
        for customer_id, each in taken
        if not each.decision.add and (fill := each.decision.fill) and not OWN.isdisjoint(fill)
    }
    while fills and not await _filled(db, [*fills.values()]):
        # Somebody else was given one of their external ids in this very moment.
        wanted = [each.external_id for each in fills.values() if each.external_id]
        gone = await customers.external_ids_among(db, wanted)
        for customer_id, each in taken:
            if customer_id in fills and fills[customer_id].external_id in gone:
                report.say(spot(each.group.row), Told.noted, _TAKEN)
                without[customer_id].fields.add(EXTERNAL_ID)
                fills[customer_id] = replace(fills[customer_id], external_id=None)


async def _filled(db: Db, fills: Sequence[Fill]) -> bool:
    try:
        await customers.fill_many(db, fills)
    except ExternalIdTaken:
        return False
    return True


async def _values(
    db: Db, taken: Sequence[tuple[UUID, Judged]], report: Report, without: Without
) -> None:
    given = [
        (NewValue(customer_id, name, value), spot(each.group.row))
        for customer_id, each in taken
        for name, value in each.decision.values.items()
    ]
    if not given:
        return
    allowed = await customers.allowed_values(db, [value for value, _ in given])
    await customers.fill_attributes(db, allowed)
    kept = {(each.customer_id, each.name) for each in allowed}
    for value, where in given:
        if (value.customer_id, value.name) not in kept:
            report.say(where, Told.noted, _NOT_ALLOWED.format(value.name))
            without[value.customer_id].fields.add(value.name)


async def _tags(
    db: Db,
    fields: Fields,
    taken: Sequence[tuple[UUID, Judged]],
    report: Report,
    without: Without,
) -> None:
    given = {
        (customer_id, name): each for customer_id, each in taken for name in each.decision.tags
    }
    asked = [pair for pair in given if pair[1] in fields.bound]
    refused = await customers.tags_not_allowed(db, asked) if asked else set()
    for customer_id, name in (pair for pair in asked if pair in refused):
        row = given.pop((customer_id, name)).group.row
        report.say(spot(row), Told.noted, _TAG_NOT_ALLOWED.format(name))
        without[customer_id].tags.add(name)
    if given:
        await customers.fill_tags(db, [*given])
