"""Works through one range of a campaign: claim, hand over, record, in micro-batches.

One transaction records the outcomes of one micro-batch and claims the next. It locks the range
first, which fences off a worker presumed dead and puts claims and withdrawals in one order. What
is claimed and has no recorded outcome is at most 2 x batch + connections deliveries.

Senders share rows, and hold them in one order, so that no two wait for each other: the range, then
what went wrong by domain, then what relays took, then the pace of domains; within a table by key.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from crm.campaigns import breaker
from crm.campaigns.ahead import Ahead
from crm.campaigns.by_clock import latest, reached_now
from crm.campaigns.claiming import (
    Change,
    Claimed,
    Lease,
    claim,
    count,
    expire,
    hold,
    leave,
    merge_values,
)
from crm.campaigns.deferring import give_places, limited
from crm.campaigns.hand import Hand
from crm.campaigns.issue import Issue
from crm.campaigns.model import DeliveryState, State
from crm.campaigns.pace import Pace
from crm.campaigns.recording import Books, Result, write
from crm.campaigns.walking import Candidates, Walk
from crm.db import BROKEN, Database, Db, Statements
from crm.log import logger
from crm.mail import relays
from crm.mail.allowing import allow, settle, take_back
from crm.mail.outcome import Outcome
from crm.mail.pacing import next_day
from crm.mail.routes import Routes, Way
from crm.mail.wire import Parcel
from crm.settings import Sending

sql = Statements("campaigns")
_log = logger(__name__)

# After its time is over, a sender waits so long for answers, then so long for lanes to close.
_LINGER = 15.0
_GRACE = 2.0
_AGAIN = 0.5  # how long to wait before what is known is offered to PostgreSQL once more
# A range of which some are due so soon is not left meanwhile.
_SOON = timedelta(seconds=1)
# What holds no place of a week any more.
_FREE = frozenset({DeliveryState.failed, DeliveryState.excluded})
# The circuit breaker looks so often at most.
_JUDGE_EVERY = 1.0


class RangeSender:
    """Sends one range through routes shared with nobody else."""

    def __init__(
        self, database: Database, issue: Issue, lease: Lease, routes: Routes, settings: Sending
    ) -> None:
        """Begin at the cursor of the lease."""
        self._database = database
        self._issue = issue
        self._lease = lease
        self._routes = routes
        self._settings = settings
        self._walk = Walk(issue.campaign.id, lease)
        self._hand = Hand(lease.blocked)
        self._state = State.sending
        # Why the present transaction leaves customers out.
        self._left_out: list[str] = []
        # Whose place of the week the present transaction gives back.
        self._freed: list[UUID] = []
        self._pace = Pace(settings)
        self._ahead = Ahead(issue, self._hand, self._pace, database.clock)
        self._counted = 0
        self._judged_at = 0.0
        # Until when the range rests as a whole, and for what.
        self._rest: tuple[datetime | None, str] = (None, "")
        started = issue.campaign.started_at
        hours = timedelta(hours=issue.expires_hours or settings.give_up_hours)
        self._last = None if started is None else latest(issue.campaign.local_at, started + hours)

    async def run(self, until: float) -> None:
        """Send until the range is done, the campaign stops, or the loop's clock shows `until`.

        Then, or when cancelled, it claims no more, waits for what is on its way, records it and
        lets the range go.
        """
        clock = asyncio.get_running_loop().time
        grace = _GRACE
        self._routes.deliver(self, self._on_outcome, self._hand.given_back)
        try:
            # What came back since the last range was sent counts too.
            await self._judge()
            while clock() < until + _LINGER and await self._turn(claiming=clock() < until):
                await self._wait()
        except Exception:
            # A turn that failed is no reason to cut off a slow relay, while the range is held.
            left = min(until + _LINGER - clock(), self._settings.lease_seconds / 2)
            grace = max(grace, left)
            raise
        finally:
            await asyncio.shield(asyncio.ensure_future(self._let_go(grace)))

    # The feed of the lanes ----------------------------------------------------------------------

    def take(self) -> Parcel | None:
        """Hand the next claimed mail to a lane; None where there is none, or the pace says so."""
        # A turn may wait long for a lock, and the whole process may have slept.
        self._hand.give_back_stale()
        parcel = self._ahead.next()
        if self._hand.queued <= self._pace.batch // 2 and self._hungry():
            self._hand.stirred.set()
        return parcel

    def _hungry(self) -> bool:
        """Say whether another claim could bring something now."""
        return self._state is State.sending and not self._walk.exhausted and self._room() > 0

    def _room(self) -> int:
        """How many more may be claimed without a recorded outcome."""
        return self._pace.most + self._routes.connections - len(self._hand)

    def _on_outcome(self, parcel: Parcel, outcome: Outcome) -> None:
        self._hand.outcome(parcel, outcome)
        self._pace.count()

    # One turn -----------------------------------------------------------------------------------

    async def _turn(self, *, claiming: bool) -> bool:
        """Record and claim once; False when there is nothing left to do here now."""
        hand = self._hand
        hand.stirred.clear()
        hand.give_back_stale()
        unreachable = self._routes.open == 0 and self._routes.trouble is not None
        claimed: list[Claimed] = []
        results, cursor = hand.results, self._walk.cursor
        allowed: list[tuple[Way, int]] = []
        soon = False
        try:
            async with self._database.write(self._issue.business.id) as db:
                if not await self._hold(db):
                    return False
                tally = await self._record(db, unreachable=unreachable)
                claiming = claiming and self._state is State.sending and not unreachable
                ids: list[UUID] = []
                if claiming:
                    zone = self._issue.business.time_zone
                    allowed = await allow(db, self._routes, self._pace.most, zone)
                    ids = await self._next(db, tally)
                ids = await self._turns(db, ids)
                claimed = await self._claim(db, ids, tally)
                soon = claiming and await self._due_soon(db)
                values = await merge_values(db, self._issue.compiled, claimed)
        except BaseException:
            self._take_back(results, cursor, claimed)
            take_back(allowed)
            raise
        self._written(db.now)
        for each in claimed:
            hand.add(each, values.get(each.customer_id, {}))
        await self._give_places()
        if not claiming:
            hand.give_back_all()
        await self._judge()
        more = claiming and not self._walk.exhausted and not self._rest[0]
        return not unreachable and (len(hand) > 0 or more or soon)

    def _written(self, now: datetime) -> None:
        """Forget what is committed; what waits for a domain that is held by now goes back."""
        self._counted = 0
        for pace in self._hand.domains.written(now):
            self._hand.give_back_held(pace)

    async def _give_places(self) -> None:
        """Let other campaigns have the places of what does not go any more."""
        freed, self._freed = self._freed, []
        if freed:
            await give_places(self._database, self._issue.business.id, freed)

    async def _judge(self) -> None:
        """Let the circuit breaker look, every second: mails come back whatever the relay says."""
        now = asyncio.get_running_loop().time()
        # Blocked for good it is at once, and not a second later.
        blocked = self._hand.news and self._hand.blocked >= breaker.BLOCKED
        if blocked or now >= self._judged_at + _JUDGE_EVERY:
            self._judged_at, self._hand.news = now, False
            if await breaker.judge(
                self._database, self._issue.business.id, self._issue.campaign.id
            ):
                self._hand.blocked = 0

    async def _due_soon(self, db: Db) -> bool:
        """Whether a range that is walked through has somebody whose turn comes at once."""
        if not self._walk.exhausted or not self._hand.domains.known:
            return False
        due = await db.maybe(
            sql.next_due,
            datetime,
            campaign_id=self._issue.campaign.id,
            low=self._lease.low,
            high=self._lease.high,
        )
        return due is not None and due <= db.now + _SOON

    def _take_back(self, results: list[Result], cursor: UUID, claimed: list[Claimed]) -> None:
        """Know again what a failed transaction was to write; a later one writes it.

        Whether it was committed after all nobody said, so what it claimed is given back.
        """
        hand = self._hand
        hand.domains.not_written()
        hand.hard, self._counted = hand.hard + self._counted, 0
        if hand.results is not results:
            hand.results = results + hand.results
        known = {result.customer_id for result in hand.results}
        hand.results += [
            Result(each.customer_id, each.attempt, None)
            for each in claimed
            if each.customer_id not in known
        ]
        self._walk.back(cursor)

    async def _wait(self) -> None:
        self._routes.nudge()
        try:
            async with asyncio.timeout(self._pace.nap(self._hand.queued)):
                await self._hand.stirred.wait()
        except TimeoutError:
            return

    async def _let_go(self, grace: float) -> None:
        """Wait for what the lanes hold, give back what they have not taken, and leave the range."""
        self._hand.give_back_all()
        await self._routes.close(grace=grace)
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
        results = self._hand.results
        try:
            async with self._database.write(self._issue.business.id) as db:
                if not await self._hold(db):
                    return
                tally = await self._record(db, unreachable=self._routes.trouble is not None)
                await count(db, self._change(tally))
                await settle(db, self._routes)
                await self._turns(db, [])
                known = [way.relay for way in self._routes.ways]
                as_of = relays.as_of(known) if self._rest[0] else None
                await leave(
                    db, self._issue.campaign.id, self._lease, *self._rest, relays_as_of=as_of
                )
        except BaseException:
            self._take_back(results, self._walk.cursor, [])
            raise
        await self._give_places()

    async def _hold(self, db: Db) -> bool:
        lasts = timedelta(seconds=self._settings.lease_seconds)
        held = await hold(db, self._issue.campaign.id, self._lease, lasts)
        if held is None:
            _log.warning("range_lost", campaign=str(self._issue.campaign.id))
            return False
        self._state = held.state
        for pace in await self._hand.domains.look(db, held.paced_at):
            self._hand.give_back_held(pace)
        return True

    async def _record(self, db: Db, *, unreachable: bool) -> dict[DeliveryState, int]:
        """Write what became of deliveries; return by how much each state's count changed."""
        results, self._hand.results = self._hand.results, []
        self._left_out, self._freed = [], []
        tally = dict.fromkeys(DeliveryState, 0)
        if not results:
            return tally
        books = Books(
            self._issue.campaign,
            self._settings,
            self._state,
            unreachable=unreachable,
            expires_hours=self._issue.expires_hours,
        )
        rows = [books.row(result, db.now) for result in results]
        recorded = await write(db, self._issue.campaign.id, rows)
        for each in recorded:
            tally[each.state] += 1
        tally[DeliveryState.sending] -= len(recorded)
        self._left_out += ["cancelled"] * tally[DeliveryState.excluded]
        free = [each.customer_id for each in recorded if each.state in _FREE]
        self._freed = await limited(db, free)
        return tally

    async def _next(self, db: Db, tally: dict[DeliveryState, int]) -> list[UUID]:
        """Walk on, and return whom to claim but for the pace of her domain."""
        size = self._size(db)
        if size <= 0 or self._hand.queued > self._pace.batch // 2:
            return []
        found = await self._walk.further(db, size)
        last = self._until(db)
        if found.ids and last <= db.now:
            await self._expire(db, found, tally)
            return []
        issue = self._issue
        return await reached_now(db, issue.business, issue.campaign, found.ids, last)

    async def _turns(self, db: Db, ids: list[UUID]) -> list[UUID]:
        return await self._hand.domains.turns(db, self._issue.campaign, ids, self._until(db))

    def _until(self, db: Db) -> datetime:
        """Until when a delivery of this campaign is worth trying."""
        return self._last or db.now + timedelta(hours=self._settings.give_up_hours)

    async def _claim(
        self, db: Db, ids: list[UUID], tally: dict[DeliveryState, int]
    ) -> list[Claimed]:
        """Claim whom to mail, and count all that the transaction has changed."""
        campaign, last, change = self._issue.campaign, self._until(db), self._change(tally)
        if not ids:
            await count(db, change)
            return []
        looked = await claim(db, campaign, ids, last, kept=self._issue.kept, change=change)
        # Who was put off and may be mailed no more had a place until now.
        tried = [each.customer_id for each in looked if each.reason and each.attempt > 1]
        self._freed += await limited(db, tried)
        return [each for each in looked if each.state is DeliveryState.sending]

    def _size(self, db: Db) -> int:
        """How many to look at: what the relays may take; a range rests when all are at a cap."""
        size, last = min(self._pace.batch, self._room()), self._until(db)
        if last <= db.now:
            # What is late only ends, and no relay is needed for that.
            return size
        full = self._routes.full
        if full is not None:
            tomorrow = next_day(db.now, self._issue.business.time_zone)
            self._rest = (min(tomorrow, last), f"cap {full.name}")
            return 0
        room = self._routes.room
        return size if room is None else min(size, room - self._hand.queued)

    async def _expire(self, db: Db, late: Candidates, tally: dict[DeliveryState, int]) -> None:
        """What is late ends, instead of being delivered stale."""
        ended = await expire(db, self._issue.campaign, late.ids, late.kept_off)
        self._freed += await limited(db, [each.customer_id for each in ended])
        for each in ended:
            tally[each.state] += 1
            tally[DeliveryState.waiting] -= 1
            self._left_out += [each.reason] if each.reason else []

    def _change(self, tally: dict[DeliveryState, int]) -> Change:
        """Take all that the transaction changes of the range; `_take_back` knows it again."""
        self._counted, self._hand.hard = self._counted + self._hand.hard, 0
        states: dict[str, Any] = {state.value: change for state, change in tally.items()}
        return Change(
            **self._key(),
            cursor=self._walk.cursor,
            reasons=self._left_out,
            hard=self._counted,
            blocked=self._hand.blocked,
            **states,
        )

    def _key(self) -> dict[str, Any]:
        return {
            "campaign_id": self._issue.campaign.id,
            "number": self._lease.number,
            "epoch": self._lease.epoch,
        }
