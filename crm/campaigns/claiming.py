"""Claiming whom to mail, and who is put off because her domain goes slower."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict

from crm import customers
from crm.campaigns.actions import sql
from crm.campaigns.composing import MergeValue
from crm.campaigns.expression import ATTRIBUTE
from crm.campaigns.model import Campaign, DeliveryState, State
from crm.campaigns.render import Compiled
from crm.db import Db
from crm.mail import domains
from crm.mail.outcome import Kind, Outcome
from crm.mail.pacing import DomainPace, asks_for_less, faster, slower, turns

# What of each mail's values is kept with its delivery: arguments of `claim_deliveries`.
Kept = Mapping[str, Any]


class Lease(Struct, frozen=True):
    """A range as it was taken; `sending` is what an earlier holder left behind."""

    number: int
    low: UUID
    high: UUID
    cursor: UUID
    epoch: int
    sending: int
    # Refusals for reasons of policy in a row, so far.
    blocked: int


class Held(Struct, frozen=True):
    """What the row of a range says when it is held."""

    state: State
    paced_at: datetime | None


class Change(Struct, frozen=True, kw_only=True):
    """By how much a transaction changes the row of a range that it holds, and how far it walked."""

    campaign_id: UUID
    number: int
    epoch: int
    cursor: UUID
    blocked: int
    hard: int = 0
    # Why customers are left out, each once for each of them.
    reasons: list[str] = []
    waiting: int = 0
    sending: int = 0
    sent: int = 0
    failed: int = 0
    excluded: int = 0
    uncertain: int = 0


class Claimed(Struct, frozen=True):
    """A delivery that the claiming statement looked at."""

    customer_id: UUID
    state: DeliveryState
    reason: str | None
    attempt: int
    address: str
    name: str
    address_hash: bytes
    # What of her the text asks for, where that is kept with the delivery.
    merged: dict[str, str] | None
    # Whether her consent ends soon, and the mail asks if it goes on.
    asked: bool


class Ended(Struct, frozen=True):
    """What became of a delivery that waited for too long."""

    customer_id: UUID
    state: DeliveryState
    reason: str | None


class _At(Struct, frozen=True):
    customer_id: UUID
    domain: str


class Domains:
    """The recipient domains that go slower than the rest, as one sender knows them.

    Without any, nothing here costs more than a look into an empty dictionary.
    """

    def __init__(self) -> None:
        self.known: dict[str, DomainPace] = {}
        self._seen_at: datetime | None = None
        self._asked: dict[str, Outcome] = {}
        # What the present transaction writes.
        self._written: dict[str, DomainPace] = {}
        self._went: set[str] = set()
        self._on_the_way: Counter[str] = Counter()

    def heard(self, recipient: str, outcome: Outcome) -> None:
        """Note what an outcome says about the domain; `turns` writes it."""
        if asks_for_less(outcome):
            self._asked.setdefault(domain_of(recipient), outcome)
        elif self.known and outcome.kind is Kind.sent:
            domain = domain_of(recipient)
            if domain in self.known:
                self._went.add(domain)

    async def look(self, db: Db, paced_at: datetime | None) -> list[DomainPace]:
        """Read what others wrote since the last look, without a lock; says which are held now."""
        if paced_at != self._seen_at:
            self.known = await domains.slowed(db)
            self._seen_at = paced_at
        return self._held(db.now)

    async def turns(
        self, db: Db, campaign: Campaign, ids: list[UUID], last: datetime
    ) -> list[UUID]:
        """Write what was noted, and return who may be claimed now.

        The others wait for their turn, at most until `last`. All rows of domains that the
        transaction needs are held here, at once and last of all that senders share.
        """
        theirs = await self._slowed_among(db, ids)
        names = {*self._asked, *self._went, *theirs}
        if not names:
            return ids
        off: dict[UUID, tuple[datetime, str]] = {}
        for pace in (await domains.hold(db, names, new=self._asked)).values():
            name = pace.domain
            learned = self._learned(pace, db.now)
            customers = theirs.get(name, [])
            given = turns(learned, len(customers), db.now)
            for customer_id, due_at in zip(customers[given.go :], given.due_ats, strict=True):
                off[customer_id] = (min(due_at, last), f"domain {name}")
            if given.pace is not pace:
                await domains.keep(db, given.pace)
            self._written[name] = given.pace
        await domains.forget_recovered(db, names)
        if off:
            await db.run(
                sql.retry_later,
                campaign_id=campaign.id,
                customer_ids=list(off),
                due_ats=[due_at for due_at, _ in off.values()],
                waits_for=[why for _, why in off.values()],
            )
        return [each for each in ids if each not in off]

    def written(self, now: datetime) -> list[DomainPace]:
        """What was noted is committed; says which domains are held by now."""
        self.known = {
            name: pace
            for name, pace in (self.known | self._written).items()
            if pace.pace is not None or pace.limit_connections is not None
        }
        self._asked, self._went, self._written = {}, set(), {}
        return self._held(now)

    def not_written(self) -> None:
        """What was noted is still to be written: the transaction failed."""
        self._written = {}

    def _held(self, now: datetime) -> list[DomainPace]:
        return [pace for pace in self.known.values() if pace.held(now)]

    def _learned(self, pace: DomainPace, now: datetime) -> DomainPace:
        asked = self._asked.get(pace.domain)
        if asked is not None:
            return slower(pace, pace.domain, asked, now)
        return faster(pace, now) if pace.domain in self._went else pace

    async def _slowed_among(self, db: Db, ids: list[UUID]) -> dict[str, list[UUID]]:
        """Return which of these customers are at a domain that goes slower."""
        slowed = [name for name, pace in self.known.items() if pace.pace or pace.held(db.now)]
        paced = {*slowed, *self._asked}
        if not paced or not ids:
            return {}
        typed = {customers.in_letters(name): name for name in paced}
        theirs: dict[str, list[UUID]] = {}
        for each in await db.many(
            sql.customers_at, _At, customer_ids=ids, domains=sorted({*paced, *typed})
        ):
            theirs.setdefault(typed.get(each.domain, each.domain), []).append(each.customer_id)
        return theirs

    def limits(self, recipient: str) -> bool:
        """Say whether connections to this domain are counted."""
        if not self.known:
            return False
        pace = self.known.get(domain_of(recipient))
        return pace is not None and pace.limit_connections is not None

    def may_go(self, recipient: str) -> bool:
        """Say whether one more connection may be busy with this domain."""
        pace = self.known.get(domain_of(recipient))
        if pace is None or pace.limit_connections is None:
            return True
        return self._on_the_way[pace.domain] < pace.limit_connections

    def went(self, recipient: str) -> None:
        """One more connection is busy with this domain."""
        if self.known and (domain := domain_of(recipient)) in self.known:
            self._on_the_way[domain] += 1

    def ended(self, recipient: str) -> None:
        """It is over for one that went."""
        if self._on_the_way:
            domain = domain_of(recipient)
            if self._on_the_way[domain] > 0:
                self._on_the_way[domain] -= 1


async def claim(
    db: Db, campaign: Campaign, ids: list[UUID], last: datetime, *, kept: Kept, change: Change
) -> list[Claimed]:
    """Claim who may be mailed now; whom her rhythm keeps it from waits, at most until `last`.

    `change` is what else the transaction changes of the range: it and the claims are counted at
    once. `kept` is what of each mail's values is kept with its delivery.
    """
    return await db.many(
        sql.claim_deliveries,
        Claimed,
        purpose_id=campaign.purpose_id,
        customer_ids=ids,
        last=last,
        **kept,
        **asdict(change),
    )


async def count(db: Db, change: Change) -> None:
    """Count what a transaction changes of a range, where it claims nobody."""
    await db.run(sql.count_lease, **asdict(change))


async def expire(
    db: Db, campaign: Campaign, ids: list[UUID], kept_off: Mapping[UUID, str]
) -> list[Ended]:
    """End what is too late to be delivered: failed, or left out where her rhythm kept it off."""
    return await db.many(
        sql.expire_deliveries,
        Ended,
        campaign_id=campaign.id,
        customer_ids=ids,
        kept_off=[kept_off.get(each, "") for each in ids],
    )


async def hold(db: Db, campaign_id: UUID, lease: Lease, lasts: timedelta) -> Held | None:
    """Hold a range for this transaction and lease it for longer; None where another took it."""
    return await db.maybe(
        sql.hold_lease,
        Held,
        campaign_id=campaign_id,
        number=lease.number,
        epoch=lease.epoch,
        expires_at=db.now + lasts,
    )


async def leave(
    db: Db,
    campaign_id: UUID,
    lease: Lease,
    rest_until: datetime | None,
    waits_for: str,
    *,
    relays_as_of: datetime | None = None,
) -> None:
    """Let a range go; where it rests as a whole, until then and for that.

    One that rests for the caps of relays is due at once where one was changed after `relays_as_of`.
    """
    await db.maybe(
        sql.leave_lease,
        bool,
        campaign_id=campaign_id,
        number=lease.number,
        epoch=lease.epoch,
        rest_until=rest_until,
        waits_for=waits_for,
        relays_as_of=relays_as_of,
    )


async def merge_values(
    db: Db, message: Compiled, claimed: list[Claimed]
) -> dict[UUID, dict[str, str]]:
    """Return what merge fields need besides the customer's row; a claim brings what is kept."""
    names = message.attributes
    values: dict[UUID, dict[str, str]] = {}
    if not names:
        return values
    for each in claimed:
        if each.merged is not None:
            values[each.customer_id] = {
                name.removeprefix(ATTRIBUTE): value
                for name, value in each.merged.items()
                if name.startswith(ATTRIBUTE)
            }
    ids = [each.customer_id for each in claimed if each.merged is None]
    if ids:
        for row in await db.many(sql.merge_values, MergeValue, customer_ids=ids, names=names):
            values.setdefault(row.customer_id, {})[row.name] = row.value
    return values


def domain_of(recipient: str) -> str:
    """The domain of an address as it is on the wire."""
    return recipient.rpartition("@")[2].lower()
