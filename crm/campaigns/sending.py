"""Works through one range of a campaign: claim, hand over, record, in micro-batches.

One transaction records the outcomes of one micro-batch and claims the next. It locks the range
first, which fences off a worker presumed dead and puts claims and withdrawals in one order. What
is claimed and has no recorded outcome is at most 2 x batch + connections deliveries.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm.businesses import Business
from crm.campaigns.composing import Envelope, MergeValue, values_of
from crm.campaigns.model import Campaign, DeliveryState, State
from crm.campaigns.pace import Pace
from crm.campaigns.recording import Books, Result, Row
from crm.campaigns.render import Compiled
from crm.customers import NotAnAddress, parse
from crm.db import BROKEN, Database, Db, Statements
from crm.log import logger
from crm.mail.dkim import Signer
from crm.mail.mime import needs_smtputf8
from crm.mail.outcome import Outcome, Whose, refused_here
from crm.mail.wire import Lanes, Parcel
from crm.settings import Sending

sql = Statements("campaigns")
_log = logger(__name__)

# Consent is never older than this at hand-over.
OLDEST_CLAIM = 1.0
# After its time is over, a sender waits so long for answers, then so long for lanes to close.
_LINGER = 15.0
_GRACE = 2.0
# How long to wait before what is known is offered to PostgreSQL once more.
_AGAIN = 0.5


class Lease(Struct, frozen=True):
    """A range as it was taken; `sending` is what an earlier holder left behind."""

    number: int
    low: UUID
    high: UUID
    cursor: UUID
    epoch: int
    sending: int


class Claimed(Struct, frozen=True):
    """A delivery that the claiming statement looked at."""

    customer_id: UUID
    state: DeliveryState
    reason: str | None
    attempt: int
    address: str
    name: str
    address_hash: bytes
    # Whether her consent ends soon, and the mail asks if it goes on.
    asked: bool


class Issue(Struct, frozen=True):
    """All that is the same for every delivery of a campaign."""

    business: Business
    campaign: Campaign
    compiled: Compiled
    # The same with the question whether a consent that ends soon goes on.
    asking: Compiled
    envelope: Envelope
    # Signs each message; None where the relay does.
    signer: Signer | None = None

    def parcel(self, claimed: Claimed, attributes: Mapping[str, str], at: datetime) -> Parcel:
        """Write one customer's message; a ValueError where her address or a value forbids it."""
        # On the wire a domain is in ASCII (RFC 5890 §2.3.2.1), however it was typed.
        address = parse(claimed.address).deliverable
        values = values_of(claimed.name, claimed.address, attributes)
        slots = self.envelope.slots(address, claimed.address_hash)
        content = (self.asking if claimed.asked else self.compiled).bytes_for(values, slots)
        return Parcel(
            claimed.customer_id,
            self.business.sender_address,
            address,
            self.signer.signed(content, at) if self.signer else content,
            smtputf8=needs_smtputf8(address),
        )


class _Queued(Struct, frozen=True):
    parcel: Parcel
    since: float


class RangeSender:
    """Sends one range through lanes shared with nobody else."""

    def __init__(
        self, database: Database, issue: Issue, lease: Lease, lanes: Lanes, settings: Sending
    ) -> None:
        """Begin at the cursor of the lease."""
        self._database = database
        self._issue = issue
        self._lease = lease
        self._lanes = lanes
        self._settings = settings
        self._cursor = lease.cursor
        self._queue: deque[_Queued] = deque()
        self._attempts: dict[UUID, int] = {}
        self._results: list[Result] = []
        self._stirred = asyncio.Event()
        self._state = State.sending
        self._exhausted = False
        # Why the present transaction leaves customers out.
        self._left_out: list[str] = []
        self._pace = Pace(settings)

    async def run(self, until: float) -> None:
        """Send until the range is done, the campaign stops, or the loop's clock shows `until`.

        Then, or when cancelled, it claims no more, waits for what is on its way, records it and
        lets the range go.
        """
        clock = asyncio.get_running_loop().time
        self._lanes.deliver(self, self._on_outcome, self._on_given_back)
        try:
            while clock() < until + _LINGER and await self._turn(claiming=clock() < until):
                await self._wait()
        finally:
            await asyncio.shield(asyncio.ensure_future(self._let_go()))

    # The feed of the lanes ----------------------------------------------------------------------

    def take(self) -> Parcel | None:
        """Hand the next claimed parcel to a lane; None where there is none, or the pace says so."""
        if len(self._queue) <= self._pace.batch // 2 and self._hungry():
            self._stirred.set()
        # A turn may wait long for a lock, and the whole process may have slept.
        self._give_back_stale()
        if not self._queue or not self._pace.may_go():
            return None
        return self._queue.popleft().parcel

    def _hungry(self) -> bool:
        """Say whether another claim could bring something now."""
        return self._state is State.sending and not self._exhausted and self._room() > 0

    def _room(self) -> int:
        """How many more may be claimed without a recorded outcome."""
        allowed = 2 * self._settings.batch + self._settings.connections
        return allowed - len(self._attempts) - len(self._results)

    def _on_outcome(self, parcel: Parcel, outcome: Outcome) -> None:
        self._settle(parcel, outcome)
        self._pace.count()

    def _on_given_back(self, parcel: Parcel) -> None:
        self._settle(parcel, None)

    def _settle(self, parcel: Parcel, outcome: Outcome | None) -> None:
        customer_id = parcel.key
        assert isinstance(customer_id, UUID)  # noqa: S101  (we made the key)
        self._results.append(Result(customer_id, self._attempts.pop(customer_id), outcome))
        if not self._attempts:
            self._stirred.set()

    # One turn -----------------------------------------------------------------------------------

    async def _turn(self, *, claiming: bool) -> bool:
        """Record and claim once; False when there is nothing left to do here now."""
        self._stirred.clear()
        self._give_back_stale()
        unreachable = self._lanes.open == 0 and self._lanes.trouble is not None
        claimed: list[Claimed] = []
        results, cursor = self._results, self._cursor
        try:
            async with self._database.write(self._issue.business.id) as db:
                if not await self._hold(db):
                    return False
                tally = await self._record(db, unreachable=unreachable)
                claiming = claiming and self._state is State.sending and not unreachable
                if claiming:
                    claimed = await self._claim(db, tally)
                await self._count(db, tally)
                values = await self._merge_values(db, claimed)
        except BaseException:
            self._take_back(results, cursor, claimed)
            raise
        self._enqueue(claimed, values)
        if not claiming:
            self._give_back_all()
        on_the_way = bool(self._attempts) or bool(self._results)
        return not unreachable and (on_the_way or (claiming and not self._exhausted))

    def _take_back(self, results: list[Result], cursor: UUID, claimed: list[Claimed]) -> None:
        """Know again what a failed transaction was to write; a later one writes it.

        Whether it was committed after all nobody said, so what it claimed is given back.
        """
        if self._results is not results:
            self._results = results + self._results
        known = {result.customer_id for result in self._results}
        self._results += [
            Result(each.customer_id, each.attempt, None)
            for each in claimed
            if each.customer_id not in known
        ]
        self._cursor = cursor

    async def _wait(self) -> None:
        self._lanes.nudge()
        try:
            async with asyncio.timeout(self._pace.nap(len(self._queue))):
                await self._stirred.wait()
        except TimeoutError:
            return

    async def _let_go(self) -> None:
        """Wait for what the lanes hold, give back what they have not taken, and leave the range."""
        self._give_back_all()
        await self._lanes.close(grace=_GRACE)
        clock = asyncio.get_running_loop().time
        until = clock() + self._settings.lease_seconds
        while True:
            try:
                await self._leave()
            except BROKEN as wrong:
                if clock() >= until:
                    raise
                _log.warning("outcomes_kept", error=type(wrong).__name__)
                await asyncio.sleep(_AGAIN)
            else:
                return

    async def _leave(self) -> None:
        results = self._results
        try:
            async with self._database.write(self._issue.business.id) as db:
                if not await self._hold(db):
                    return
                tally = await self._record(db, unreachable=self._lanes.trouble is not None)
                await self._count(db, tally)
                await db.maybe(sql.leave_lease, bool, **self._key())
                await db.run(sql.finish_campaign, campaign_id=self._issue.campaign.id)
        except BaseException:
            self._take_back(results, self._cursor, [])
            raise

    async def _hold(self, db: Db) -> bool:
        state = await db.maybe(
            sql.hold_lease,
            str,
            **self._key(),
            expires_at=db.now + timedelta(seconds=self._settings.lease_seconds),
        )
        if state is None:
            _log.warning("range_lost", campaign=str(self._issue.campaign.id))
            return False
        self._state = State(state)
        return True

    async def _record(self, db: Db, *, unreachable: bool) -> dict[DeliveryState, int]:
        """Write what became of deliveries; return by how much each state's count changed."""
        results, self._results = self._results, []
        self._left_out = []
        tally = dict.fromkeys(DeliveryState, 0)
        if not results:
            return tally
        books = Books(self._issue.campaign, self._settings, self._state, unreachable=unreachable)
        rows = [books.row(result, db.now) for result in results]
        recorded = await db.many(
            sql.record_outcomes,
            DeliveryState,
            campaign_id=self._issue.campaign.id,
            customer_ids=[row.customer_id for row in rows],
            states=[row.state.value for row in rows],
            codes=[row.code for row in rows],
            replies=[row.reply for row in rows],
            untried=[row.untried for row in rows],
        )
        for state in recorded:
            tally[state] += 1
        tally[DeliveryState.sending] -= len(recorded)
        self._left_out += ["cancelled"] * tally[DeliveryState.excluded]
        await self._retry(db, rows)
        return tally

    async def _retry(self, db: Db, rows: list[Row]) -> None:
        later = [row for row in rows if row.due_at is not None]
        if later:
            await db.run(
                sql.retry_later,
                campaign_id=self._issue.campaign.id,
                customer_ids=[row.customer_id for row in later],
                due_ats=[row.due_at for row in later],
            )

    async def _claim(self, db: Db, tally: dict[DeliveryState, int]) -> list[Claimed]:
        size = min(self._pace.batch, self._room())
        if size <= 0 or len(self._queue) > self._pace.batch // 2:
            return []
        ids = await self._candidates(db, size)
        if not ids:
            return []
        looked = await db.many(
            sql.claim_deliveries,
            Claimed,
            campaign_id=self._issue.campaign.id,
            purpose_id=self._issue.campaign.purpose_id,
            customer_ids=ids,
        )
        for each in looked:
            tally[each.state] += 1
            tally[DeliveryState.waiting] -= 1
        self._left_out += [each.reason for each in looked if each.reason]
        return [each for each in looked if each.state is DeliveryState.sending]

    async def _candidates(self, db: Db, size: int) -> list[UUID]:
        """Look at retries that are due, then along the key; moves the cursor."""
        keys = {"campaign_id": self._issue.campaign.id}
        due = await db.many(
            sql.take_retries, UUID, **keys, low=self._lease.low, high=self._lease.high, size=size
        )
        found = await db.many(
            sql.next_waiting,
            UUID,
            **keys,
            cursor=self._cursor,
            high=self._lease.high,
            size=size - len(due),
        )
        if found:
            self._cursor = found[-1]
        elif len(due) < size:
            self._cursor = self._lease.high
        self._exhausted = not due and not found
        return due + found

    async def _merge_values(self, db: Db, claimed: list[Claimed]) -> dict[UUID, dict[str, str]]:
        names = self._issue.compiled.attributes
        values: dict[UUID, dict[str, str]] = {}
        if names and claimed:
            ids = [each.customer_id for each in claimed]
            for row in await db.many(sql.merge_values, MergeValue, customer_ids=ids, names=names):
                values.setdefault(row.customer_id, {})[row.name] = row.value
        return values

    async def _count(self, db: Db, tally: dict[DeliveryState, int]) -> None:
        await db.run(
            sql.count_lease,
            **self._key(),
            cursor=self._cursor,
            reasons=self._left_out,
            **{state.value: change for state, change in tally.items()},
        )

    def _enqueue(self, claimed: list[Claimed], values: dict[UUID, dict[str, str]]) -> None:
        since = asyncio.get_running_loop().time()
        at = self._database.clock()
        for each in claimed:
            self._attempts[each.customer_id] = each.attempt
            try:
                parcel = self._issue.parcel(each, values.get(each.customer_id, {}), at)
            except (ValueError, NotAnAddress):
                # One customer's address or value cannot be written: theirs fails, nobody else's.
                unwritable = refused_here("unwritable", Whose.ours)
                self._results.append(Result(each.customer_id, each.attempt, unwritable))
                del self._attempts[each.customer_id]
                continue
            self._queue.append(_Queued(parcel, since))

    def _give_back_stale(self) -> None:
        oldest = asyncio.get_running_loop().time() - OLDEST_CLAIM
        while self._queue and self._queue[0].since < oldest:
            self._settle(self._queue.popleft().parcel, None)

    def _give_back_all(self) -> None:
        while self._queue:
            self._settle(self._queue.popleft().parcel, None)

    def _key(self) -> dict[str, UUID | int]:
        return {
            "campaign_id": self._issue.campaign.id,
            "number": self._lease.number,
            "epoch": self._lease.epoch,
        }
