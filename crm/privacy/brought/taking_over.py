"""A copy of another installation taken over: she is known here as she was known there.

What she decided there is evidence here, as what it is: it makes nobody mailable unless the text of
the purpose accepts such evidence, and an opt-out, here or there, always wins (promise 7). What
cannot be said anew here, because it happened elsewhere, is kept as it was told: decisions with
their receipts, and mails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from msgspec import Struct, field

from crm import consent, customers, events, imports, mail
from crm.consent import NoNotice, Notice, UnknownPurpose, verifying
from crm.consent.papers import Fault
from crm.customers import (
    Changes,
    Customer,
    LawfulBasis,
    NewAttribute,
    NewCustomer,
    NewInteraction,
    NewKind,
    NewValue,
    Source,
    ValueNotAllowed,
)
from crm.db import Db
from crm.errors import Conflict, Invalid
from crm.events import Actor, Kind
from crm.imports import PurposeOutOfUse
from crm.privacy import brought
from crm.privacy.brought import foreign
from crm.privacy.brought.foreign import Attribute, Brought, Decided, Happened, Profile
from crm.privacy.copies.archive import RECEIPTS, BrokenArchive, Opened

_KIND_PURPOSE = "So that you find here what you brought along."
_KIND_RETENTION = "P3Y"
_ORIGIN = "You brought it along from another business."


class KeptOut(Conflict):
    """This address is on the list of those who must not be contacted, so nothing was taken over."""


class RecordFrozen(Conflict):
    """This customer's record is frozen, so nothing of it is changed (Art. 18 GDPR)."""


class Took(Struct):
    """What of a copy was taken over, and in sentences what was not, or not as it says."""

    customer: Customer
    added: bool
    attributes: int = 0
    interactions: int = 0
    decisions: int = 0
    mails: int = 0
    # By our short name of the purpose: what follows here from what she decided there.
    states: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


async def take_over(
    db: Db,
    by: Actor,
    copy: Opened,
    *,
    declare: bool = False,
    purposes: Mapping[str, str] | None = None,
) -> Took:
    """Take over a copy whose sums were compared: all of it or nothing; again changes nothing.

    `declare` declares attributes and kinds of interactions that are not known here yet, as they
    were declared there. `purposes` says which of ours one of theirs is, by short names; those that
    it leaves out are the same where their short names are.
    """
    profile = copy.one("profile", Profile)
    taking = _Taking(db, by, copy, await _her(db, by, profile))
    await taking.interactions(declare=declare)
    # First: a detail is taken over only while she allows what it is for.
    await taking.decide(profile, purposes or {})
    await taking.attributes(declare=declare)
    await taking.history()
    her = taking.took.customer.id
    await events.record(db, by, Kind.customer_changed, customer_id=her, reason="copy taken over")
    return taking.took


async def _her(db: Db, by: Actor, profile: Profile) -> Took:
    """Find her by her address, or add her; what somebody entered here stays."""
    her = await customers.by_address(db, profile.address)
    number = profile.external_id
    taken = number is not None and await customers.by_external_id(db, number)
    if her is None:
        fingerprint = db.keys.address_hash(db.business_id, customers.fold(profile.address))
        if await mail.suppressed(db, fingerprint):
            raise KeptOut
        new = NewCustomer(
            address=profile.address,
            name=profile.name,
            locale=profile.locale,
            time_zone=profile.time_zone,
            external_id=None if taken else number,
        )
        return Took(await customers.add(db, by, new, source=Source.imported), added=True)
    if her.restricted_at is not None:
        raise RecordFrozen
    fields = ("name", "locale", "time_zone", *(() if taken else ("external_id",)))
    empty = {name: getattr(profile, name) or None for name in fields if not getattr(her, name)}
    return Took(await customers.change(db, by, her.id, Changes(**empty)), added=False)


class _Taking:
    """One copy on its way in, in one transaction."""

    def __init__(self, db: Db, by: Actor, copy: Opened, took: Took) -> None:
        self._db = db
        self._by = by
        self._copy = copy
        self.took = took

    async def attributes(self, *, declare: bool) -> None:
        """Fill what is empty of what is declared."""
        db, took = self._db, self.took
        known = {each.name: each.type for each in await customers.attributes(db)}
        for each in self._copy.rows("attributes", Attribute):
            if each.name not in known and not declare:
                took.said.append(f"The attribute {each.name} is not declared here; left out.")
                continue
            if each.name not in known:
                new = NewAttribute(
                    basis=LawfulBasis.legitimate_interests,
                    origin=_ORIGIN,
                    label=each.label,
                    type=each.type,
                    purpose=each.purpose,
                    retention=each.retention,
                )
                known[each.name] = (
                    await customers.declare_attribute(db, self._by, each.name, new)
                ).type
            try:
                text = customers.written(known[each.name], each.value).text
            except Invalid as wrong:
                took.said.append(f"The value of {each.name} was left out: {wrong.message}")
                continue
            brought = NewValue(took.customer.id, each.name, text)
            if not await customers.allowed_values(db, [brought]):
                took.said.append(f"The value of {each.name} was left out: {ValueNotAllowed()}")
                continue
            took.attributes += await customers.fill_attributes(db, [brought])

    async def interactions(self, *, declare: bool) -> None:
        """Record what happened there and is not recorded here yet."""
        db, took = self._db, self.took
        known = {each.name for each in await customers.kinds(db)}
        here = {
            (each.kind, each.at, each.title, each.detail)
            async for each in customers.all_interactions(db, took.customer.id)
        }
        left: dict[str, int] = {}
        for each in self._copy.rows("interactions", Happened):
            if (each.kind, each.at, each.title, each.detail) in here:
                continue
            if each.kind not in known and not declare:
                left[each.kind] = left.get(each.kind, 0) + 1
                continue
            if each.kind not in known:
                new = NewKind(label=each.label, purpose=_KIND_PURPOSE, retention=_KIND_RETENTION)
                await customers.declare_kind(db, self._by, each.kind, new)
                known.add(each.kind)
            await self._interact(each)
        for kind, count in left.items():
            took.said.append(f"Entries of the kind {kind}, not declared here, left out: {count}.")

    async def _interact(self, each: Happened) -> None:
        happened = NewInteraction(
            kind=each.kind,
            title=each.title,
            at=each.at,
            detail=each.detail,
            amount=each.amount,
            currency=each.currency,
        )
        try:
            await customers.interact(self._db, self._by, self.took.customer.id, happened)
        except (Invalid, ValueNotAllowed) as wrong:
            said = f"An entry of {each.at:%Y-%m-%d} was left out: {wrong.message}"
            self.took.said.append(said)
            return
        self.took.interactions += 1

    async def decide(self, profile: Profile, purposes: Mapping[str, str]) -> None:
        """Decide each purpose under the rules of every import, with the receipts as evidence."""
        last = foreign.last_of(self._copy.rows("decisions", Decided))
        if not last:
            return
        digest = await self._evidence()
        records = await self._records()
        names = {each.id: each.slug for each in self._copy.rows("purposes", foreign.Asked)}
        for purpose_id, event in last.items():
            theirs = names.get(purpose_id, "")
            ours = purposes.get(theirs, theirs)
            if not ours:
                self.took.said.append(f"What was decided about {theirs} is kept, and used no more.")
                continue
            notice = await self._asked(theirs, ours)
            if notice is not None:
                proven = foreign.shown(profile, event, records)
                row = foreign.as_row(profile, event, self._db.now, proven=proven)
                if not proven and row.opted_in_at is not None:
                    self.took.said.append(f"No receipt in the copy shows the yes to {theirs}.")
                self.took.states[ours] = await self._decided(notice, row, digest)

    async def _records(self) -> dict[str, dict[str, Any]]:
        """Check the receipts with our own verifier, and return what they show by its id."""
        papers = self._copy.whole(RECEIPTS)
        if not papers:
            self.took.said.append("There are no receipts in it, so no yes in it is confirmed.")
            return {}
        try:
            # Thousands of signatures, while others are answered.
            shown = await asyncio.to_thread(verifying.proven, papers)
        except Fault as fault:
            message = f"{RECEIPTS} does not hold: {fault}"
            raise BrokenArchive(message) from None
        return {each["event"]: each for each in shown}

    async def _evidence(self) -> str:
        """Keep the receipts, or where there are none the decisions, as a file that shows them."""
        db, her = self._db, self.took.customer.id
        papers = self._copy.whole(RECEIPTS) or self._copy.whole("lines/decisions.ndjson")
        digest = sha256(papers)
        if digest.digest() not in {each.sha256 for each in await consent.files(db, her)}:
            name = f"receipts of {self._copy.manifest.business.name[:200]}.json"
            await consent.add_file(db, self._by, her, name, papers)
        return digest.hexdigest()

    async def _asked(self, theirs: str, ours: str) -> Notice | None:
        """Return the text that says which evidence counts; a sentence where there is none."""
        try:
            return await imports.asked_by(self._db, await consent.purpose_by_slug(self._db, ours))
        except UnknownPurpose:
            self.took.said.append(f"There is no purpose {ours} here; what she decided is kept.")
        except (PurposeOutOfUse, NoNotice) as no:
            self.took.said.append(f"Nothing follows from {theirs} here: {no.message}")
        return None

    async def _decided(self, notice: Notice, row: imports.Row, digest: str) -> str:
        db = self._db
        done = await imports.take_row(
            db, self._by, notice, row, file_name="copy.zip", sha256=digest
        )
        self.took.said += [line.reason for line in await imports.report(db, done.id)]
        state = await consent.state(db, self.took.customer.id, notice.purpose_id)
        return state.status.value if state else "unknown"

    async def history(self) -> None:
        """Keep what happened elsewhere as it was told there: decisions, and mails with texts."""
        copy, took = self._copy, self.took
        origin = copy.manifest.business.name
        for row in copy.rows("decisions", dict):
            at = foreign.decided_at(row)
            took.decisions += await self._bring(Brought("decisions", at, origin, row, ""))
        for name in ("newsletters", "letters"):
            for row in copy.rows(name, dict):
                at, file = foreign.mailed(row, copy.manifest.generated_at)
                took.mails += await self._bring(Brought(name, at, origin, row, file))
        for each in copy.rows("brought", Brought):
            await self._bring(each)

    async def _bring(self, what: Brought) -> int:
        return await brought.bring(
            self._db, self.took.customer.id, what, self._copy.text(what.file)
        )
