"""What a sender has claimed and not yet recorded: parcels in line, and what became of others."""

from __future__ import annotations

import asyncio
from collections import deque
from uuid import UUID

from msgspec import Struct

from crm.campaigns.claiming import Domains, domain_of
from crm.campaigns.recording import Result
from crm.mail.outcome import Kind, Outcome, Whose
from crm.mail.pacing import DomainPace
from crm.mail.wire import Parcel

# Consent is never older than this at hand-over.
OLDEST_CLAIM = 1.0


class _Queued(Struct, frozen=True):
    parcel: Parcel
    since: float


class Hand:
    """Every delivery claimed is in here until its outcome is written."""

    def __init__(self, blocked: int) -> None:
        """Hold nothing yet; `blocked` refusals for reasons of policy came in a row before."""
        self.results: list[Result] = []
        self.domains = Domains()
        # Rung when there is something to record that the next turn should not wait for.
        self.stirred = asyncio.Event()
        # Refusals that count against the campaign and are not yet written; whether there were new.
        self.hard = 0
        self.blocked = blocked
        self.news = False
        self._queue: deque[_Queued] = deque()
        self._attempts: dict[UUID, int] = {}
        self._clock = asyncio.get_running_loop().time

    def __len__(self) -> int:
        """How many have no recorded outcome."""
        return len(self._attempts) + len(self.results)

    @property
    def queued(self) -> int:
        """How many wait for a lane."""
        return len(self._queue)

    def expect(self, customer_id: UUID, attempt: int) -> None:
        """One more was claimed."""
        self._attempts[customer_id] = attempt

    def add(self, parcel: Parcel, since: float) -> None:
        """Its message is written: it waits for a lane."""
        self._queue.append(_Queued(parcel, since))

    def first(self) -> Parcel | None:
        """The next parcel whose domain takes one more at this moment; it stays in line."""
        if not self._queue or not self.domains.known:
            return self._queue[0].parcel if self._queue else None
        for number, queued in enumerate(self._queue):
            if self.domains.may_go(queued.parcel.recipient):
                del self._queue[number]
                self._queue.appendleft(queued)
                return queued.parcel
        return None

    def take(self) -> Parcel:
        """Take the first out of the line, on its way."""
        parcel = self._queue.popleft().parcel
        self.domains.went(parcel.recipient)
        return parcel

    def outcome(self, parcel: Parcel, outcome: Outcome) -> None:
        """Note what became of one on its way."""
        self.domains.ended(parcel.recipient)
        self.domains.heard(parcel.recipient, outcome)
        if outcome.kind is Kind.sent:
            self.blocked = 0
        elif outcome.kind is Kind.failed:
            self.hard += outcome.hard
            self.blocked += outcome.whose is Whose.policy
            self.news = self.news or outcome.hard or outcome.whose is Whose.policy
        self.settle(parcel.key, outcome)

    def given_back(self, parcel: Parcel) -> None:
        """Note that one on its way was not tried."""
        self.domains.ended(parcel.recipient)
        self.settle(parcel.key, None)

    def settle(self, key: object, outcome: Outcome | None, pace: DomainPace | None = None) -> None:
        """It is over for one; held back by its domain where a pace is given."""
        assert isinstance(key, UUID)  # noqa: S101  (we made the key)
        attempt = self._attempts.pop(key)
        if pace is None:
            self.results.append(Result(key, attempt, outcome))
        else:
            why = f"domain {pace.domain}"
            self.results.append(Result(key, attempt, None, pace.held_until, why))
        if not self._attempts:
            self.stirred.set()

    def give_back_stale(self) -> None:
        """What was claimed too long ago is claimed anew."""
        oldest = self._clock() - OLDEST_CLAIM
        # Not only at the head: one whose domain takes no more lets younger ones pass.
        for queued in [each for each in self._queue if each.since < oldest]:
            self._queue.remove(queued)
            self.settle(queued.parcel.key, None)

    def give_back_held(self, pace: DomainPace) -> None:
        """What waits here for a domain that is held goes back until it is not."""
        for queued in list(self._queue):
            if domain_of(queued.parcel.recipient) == pace.domain:
                self._queue.remove(queued)
                self.settle(queued.parcel.key, None, pace)

    def give_back_all(self) -> None:
        """Nothing more is handed over."""
        while self._queue:
            self.settle(self._queue.popleft().parcel.key, None)
