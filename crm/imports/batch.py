"""Some thousand rows of a list: gathered by address, judged, and written with few statements."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from uuid import UUID

import msgspec
from msgspec.structs import replace

from crm import consent, customers, mail
from crm.characters import piled
from crm.consent import (
    Consent,
    Held,
    Method,
    NewEvent,
    Status,
    Written,
)
from crm.customers import Arrival, Known
from crm.db import Database, Db
from crm.imports import filling, quarantine
from crm.imports.cells import NAME_LIMIT, NAME_TOO_LONG
from crm.imports.decision import (
    CAME_BACK,
    EXTERNAL_ID,
    NAME,
    TIME_ZONE,
    KnownCustomer,
    Outcome,
    decide,
    repeated,
)
from crm.imports.filling import ExternalIds
from crm.imports.gathering import Batch, Group, gather
from crm.imports.judged import Judged, Task, decided_at, network, without
from crm.imports.model import (
    Bad,
    Row,
    Tally,
    Told,
    evidence,
    spot,
)
from crm.imports.quarantine import Unproven
from crm.imports.remarks import Report
from crm.imports.seen import Seen
from crm.mail import Scope, Why

_TOO_OLD = (
    "Kept, but not mailable: the consent is so old that it has ended by the purpose's validity."
)
# What Unicode calls Cc.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# Outcomes that are what the row says need no word in the report.
_AS_SAID = frozenset(
    {Outcome.mailable, Outcome.left, Outcome.bounced, Outcome.filled, Outcome.unchanged}
)


def _nothing() -> None:
    """Nobody has anything to do meanwhile."""


class Books:
    """Writes batches into the books, one transaction for all of them, and keeps the tally."""

    def __init__(self, db: Db, task: Task, beside: Database | None = None) -> None:
        """Keep what is said of lines `beside` the transaction, for one that is taken back."""
        self._db = db
        self._task = task
        self._beside = beside
        self._seen = Seen()
        # By folded address: whose consent elsewhere had ended before it came here.
        self._ended: set[str] = set()
        self._purpose, self._notice = task.version.cited, task.notice.cited
        self._request = str(task.import_id)
        self._hashed = partial(db.keys.address_hash, db.business_id)
        # Whether the last batch had something to append: the next is likely to be alike.
        self._appends = True
        self._report = Report()
        self.tally = Tally()

    def gather(self, rows: Iterator[Row | Bad], size: int) -> Batch:
        """Take the next rows of a list, at most `size`; PostgreSQL is not asked."""
        return gather(rows, size, self._hashed, self._task.fields)

    async def take(self, batch: Batch, meanwhile: Callable[[], None] = _nothing) -> None:
        """Judge and write one batch; `meanwhile` is called when PostgreSQL has the most to do."""
        if not self._appends:
            meanwhile()
        for bad in batch.bad:
            self.tally.rejected += 1
            self._report.say(spot(bad), Told.rejected, bad.reason)
        await self._settle(batch.groups, meanwhile)
        await self._keep()

    async def tell(self, remarks: Iterable[Bad]) -> None:
        """Put sentences into the report that are about no row."""
        for remark in remarks:
            self._report.say(spot(remark), Told.noted, remark.reason)
        await self._keep()

    async def _keep(self) -> None:
        if self._beside is None:
            await self._report.write(self._db, self._task.import_id)
            return
        async with self._beside.write(self._db.business_id) as beside:
            await self._report.write(beside, self._task.import_id)

    async def _settle(self, groups: Mapping[str, Group], meanwhile: Callable[[], None]) -> None:
        while groups:
            judged = await self._judged(groups)
            written, added, held = await self._added(judged)
            self._appends = bool(written.events)
            ended = {event.customer_id for event in written.events if self._over(event)}
            kept: list[tuple[UUID | None, Judged]] = []
            lost: dict[str, Group] = {}
            for each in judged:
                if _is_lost(each, added, held):
                    lost[each.group.address.folded] = each.group
                    continue
                kept.append((each.id or each.new_id, each))
            taken = [(each_id, each) for each_id, each in kept if each_id is not None]
            self._ended |= {
                each.group.address.folded for each_id, each in taken if each_id in ended
            }
            deciding = asyncio.create_task(self._decide(kept, written, held))
            late: list[tuple[UUID, Judged]] = []
            try:
                # Where all are new, the statement that keeps PostgreSQL busy longest.
                await self._db.sent()
                meanwhile()
                for customer_id, each in kept:
                    if customer_id is not None and filling.unsettled(each, self._task.fields):
                        late.append((customer_id, each))
                    else:
                        self._count(each)
            finally:
                await deciding
            # What a value is for may have been allowed a moment ago, or not.
            left_out = await filling.fill(self._db, self._task.fields, taken, self._report)
            for customer_id, each in late:
                self._count(without(each, left_out.get(customer_id)))
            # In this very moment somebody signed up with these addresses, or was erased who had
            # one: look again.
            groups = lost

    async def _judged(self, groups: Mapping[str, Group]) -> list[Judged]:
        known, holds, states = await self._known(groups)
        external_ids = await ExternalIds.of(self._db, groups.values(), self._report)
        task, fields = self._task, self._task.fields
        accepts = task.notice.accepts
        judged = []
        for folded, group in groups.items():
            row = _named(group.fitted, self._report)
            self._report.note(row)
            hold = holds.get(folded)
            decision = decide(row, hold, accepts, fields.names, fields.tags, closed=task.closed)
            found = known.get(folded)
            if row.external_id:
                decision = external_ids.give(row, found, decision)
            judged.append(
                Judged(
                    group,
                    decision,
                    found.id if found else None,
                    states.get(folded),
                    group.new_id if decision.add and not found else None,
                )
            )
        return judged

    async def _known(
        self, groups: Mapping[str, Group]
    ) -> tuple[dict[str, Known], dict[str, KnownCustomer], dict[str, Consent]]:
        """What the books hold about these addresses, in a few looks."""
        db, fields = self._db, self._task.fields
        known = await customers.known_by_folded(db, list(groups))
        ids = [each.id for each in known.values()]
        states = await consent.states_for(db, self._task.version.purpose_id, ids) if ids else {}
        have = await filling.held(db, fields, ids, groups.values())
        hashes = [group.address_hash for group in groups.values()]
        silenced = await mail.suppressed_among(db, hashes)
        silent = {
            folded: silenced[group.address_hash]
            for folded, group in groups.items()
            if group.address_hash in silenced
        }
        holds = {
            folded: filling.holding(have, each, states.get(each.id), suppressed=folded in silent)
            for folded, each in known.items()
        }
        for folded in silent.keys() - known.keys():
            decided = silent[folded]
            holds[folded] = KnownCustomer(exists=False, suppressed=True, decided=decided)
        standing = {folded: states[each.id] for folded, each in known.items() if each.id in states}
        return known, holds, standing

    async def _added(self, judged: list[Judged]) -> tuple[Written, set[UUID], Held]:
        """Add who is new and, while PostgreSQL does so, write out what is decided of all.

        Of whom something is decided who was there before is held from then on.
        """
        adding = asyncio.create_task(self._add([each for each in judged if each.new_id]))
        try:
            await self._db.sent()
            written = await asyncio.to_thread(self._written, judged)
        finally:
            added = await adding
        known = [each.id for each in judged if each.id and each.decision.event is not None]
        held = await consent.hold_many(self._db, known)
        there = [each for each in judged if not _is_lost(each, added, held)]
        if len(there) < len(judged):
            written = self._written(there)
        return written, added, held

    async def _add(self, new: list[Judged]) -> set[UUID]:
        if not new:
            return set()
        arrivals = [
            Arrival(
                each.group.address,
                each.decision.fill.get(NAME, ""),
                each.group.row.locale,
                each.group.address_hash,
                each.new_id,
                each.decision.fill.get(TIME_ZONE, ""),
                each.decision.fill.get(EXTERNAL_ID),
            )
            for each in new
        ]
        added = await customers.add_many(
            self._db, arrivals, source=customers.Source.imported, import_id=self._task.import_id
        )
        return set(added)

    def _written(self, judged: list[Judged]) -> Written:
        events = [
            (self._event(customer_id, each), each.state)
            for each in judged
            if each.decision.event is not None and (customer_id := each.id or each.new_id)
        ]
        return consent.written(self._db, self._task.by, events)

    async def _decide(
        self, kept: list[tuple[UUID | None, Judged]], written: Written, held: Held
    ) -> None:
        """Write what is allowed from now on, and what is not."""
        db, task = self._db, self._task
        if written.events:
            days = task.network_days
            await consent.append_written(db, task.by, written, held, network_days=days)
        unproven = [
            Unproven(customer_id, spot(each.group.row), each.decision.reason)
            for customer_id, each in kept
            if customer_id is not None and each.decision.outcome is Outcome.unproven
        ]
        if unproven:
            purpose_id = task.version.purpose_id
            await quarantine.keep_apart(db, task.import_id, purpose_id, unproven)
        silenced = [
            (
                each.group.address_hash,
                Scope(each.decision.suppress.scope),
                Why(each.decision.suppress.reason),
            )
            for _, each in kept
            if each.decision.suppress is not None
        ]
        if silenced:
            await mail.suppress_many(db, silenced)

    def _event(self, customer_id: UUID, judged: Judged) -> NewEvent:
        task, row = self._task, judged.group.row
        status = judged.decision.event or Status.unknown
        given = status is Status.given
        at = decided_at(row, status, judged.state) or self._db.now
        validity = task.version.validity
        valid_until = customers.ends(at, validity) if given and validity else None
        return NewEvent(
            customer_id=customer_id,
            purpose=self._purpose,
            status=status,
            method=Method.imported,
            at=at,
            notice=self._notice if given else None,
            evidence=msgspec.to_builtins(evidence(row, task.tool, task.sha256)),
            request=self._request,
            valid_until=valid_until,
            network=network(row) if task.network_days else None,
        )

    def _over(self, event: NewEvent) -> bool:
        return event.valid_until is not None and event.valid_until <= self._db.now

    def _count(self, judged: Judged) -> None:
        """Count every row of the group once, and say what is worth a word."""
        tally, group, decision, report = self.tally, judged.group, judged.decision, self._report
        here = spot(group.row)
        first = self._seen.earlier(group.address.folded, here)
        for row in group.rows:
            report.note(row)
            before = here if first is None and spot(row) != here else first
            if before is not None:
                tally.unchanged += 1
                report.say(spot(row), Told.noted, repeated(before))
        if first is None:
            self._count_first(judged)
        ended = group.address.folded in self._ended
        if ended:
            report.say(here, Told.noted, _TOO_OLD)
        tally.given += decision.event is Status.given and not ended
        tally.withdrawn += decision.event is Status.withdrawn
        # Whose row was one before already counts there.
        unproven = decision.outcome is Outcome.unproven and decision.event is not None
        tally.unproven += unproven or ended
        tally.suppressed += decision.suppress is not None

    def _count_first(self, judged: Judged) -> None:
        tally, decision, here = self.tally, judged.decision, spot(judged.group.row)
        report = self._report
        if decision.outcome is Outcome.kept_out and judged.id is None:
            tally.rejected += 1
            report.say(here, Told.rejected, decision.reason)
            return
        tally.added += decision.add
        tally.changed += decision.changes and not decision.add
        tally.unchanged += not decision.changes
        if decision.outcome not in _AS_SAID or decision is CAME_BACK:
            report.say(here, Told.noted, decision.reason)


def _is_lost(judged: Judged, added: AbstractSet[UUID], held: Held) -> bool:
    """Whether somebody was quicker: to sign up with the address, or to erase who had it."""
    if judged.new_id is not None:
        return judged.new_id not in added
    return judged.id in held.gone


def _named(row: Row, report: Report) -> Row:
    """A name as it may be kept: composed, and without characters that nobody can see."""
    if not row.name or (row.name.isascii() and row.name.isprintable()):
        return row
    name = "" if piled(row.name) else unicodedata.normalize("NFC", row.name)
    wrong = ""
    if not name or _CONTROL.search(name):
        wrong = "The name was left out: it has a character that cannot be kept."
    elif len(name) > NAME_LIMIT:  # a few letters are two or three when they are composed
        wrong = NAME_TOO_LONG
    if wrong:
        name = ""
        report.say(spot(row), Told.noted, wrong)
    return row if name == row.name else replace(row, name=name)
