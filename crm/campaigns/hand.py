"""What a sender has claimed and not yet recorded: who is in line, and what became of others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from itertools import islice
from uuid import UUID

from msgspec import Struct

from crm.campaigns.claiming import Claimed, Domains, domain_of
from crm.campaigns.recording import Result
from crm.customers import NotAnAddress, parse
from crm.mail.outcome import Kind, Outcome, Whose, refused_here
from crm.mail.pacing import DomainPace
from crm.mail.wire import Parcel

# Consent is never older than this at hand-over.
OLDEST_CLAIM = 1.0
UNWRITABLE = refused_here("unwritable", Whose.ours)


class Waiting(Struct, eq=False):
    """Claimed, and in line: her mail is written shortly before it is her turn.

    `recipient` is her address as it goes on the wire, `since` when her claim was committed.
    """

    claimed: Claimed
    recipient: str
    values: Mapping[str, str]
    since: float
    parcel: Parcel | None = None


class Hand:
    """Every delivery claimed is in here until its outcome is written."""

    def __init__(self, blocked: int) -> None:
        """Hold nothing yet; `blocked` refusals for reasons of policy came in a row before."""
        self.results: list[Result] = []
        self.domains = Domains()
        # Rung when there is something to record that the next turn should not wait for.
        self.stirred = asyncio.Event()
        # Refusals that count against the campaign and are not yet written; whether there were new
        # ones for reasons of policy.
        self.hard = 0
        self.blocked = blocked
        self.news = False
        self._queue: deque[Waiting] = deque()
        self._attempts: dict[UUID, int] = {}
        self._clock = asyncio.get_running_loop().time
        # Nobody in line was claimed so long ago that it is too old before then.
        self._stale_from = 0.0

    def __len__(self) -> int:
        """How many have no recorded outcome."""
        return len(self._attempts) + len(self.results)

    @property
    def queued(self) -> int:
        """How many wait for a lane."""
        return len(self._queue)

    def add(self, claimed: Claimed, values: Mapping[str, str]) -> None:
        """One more was claimed: she waits for a lane, unless nothing can go to her address."""
        self._attempts[claimed.customer_id] = claimed.attempt
        try:
            # On the wire a domain is in ASCII (RFC 5890 §2.3.2.1), however it was typed.
            recipient = parse(claimed.address).deliverable
        except (ValueError, NotAnAddress):
            self.settle(claimed.customer_id, UNWRITABLE)
        else:
            self._queue.append(Waiting(claimed, recipient, values, self._clock()))

    def first(self) -> Waiting | None:
        """The next whose domain takes one more at this moment; she stays in line."""
        if not self._queue or not self.domains.known:
            return self._queue[0] if self._queue else None
        for number, waiting in enumerate(self._queue):
            if self.domains.may_go(waiting.recipient):
                del self._queue[number]
                self._queue.appendleft(waiting)
                return waiting
        return None

    def unwritten(self, most: int) -> list[Waiting]:
        """Of so many at the head of the line those whose mail is not written, with the first.

        Without others whose domain takes few at once: who knows when it is their turn.
        """
        limits = self.domains.limits
        return [
            waiting
            for number, waiting in enumerate(islice(self._queue, most))
            if waiting.parcel is None and not (number and limits(waiting.recipient))
        ]

    def take(self) -> Waiting:
        """Take the first out of the line, on her way."""
        waiting = self._queue.popleft()
        self.domains.went(waiting.recipient)
        return waiting

    def unwritable(self, waiting: Waiting) -> None:
        """No mail can be written to one taken: hers fails, nobody else's."""
        self.domains.ended(waiting.recipient)
        self.settle(waiting.claimed.customer_id, UNWRITABLE)

    def outcome(self, parcel: Parcel, outcome: Outcome) -> None:
        """Note what became of one on its way."""
        self.domains.ended(parcel.recipient)
        self.domains.heard(parcel.recipient, outcome)
        if outcome.kind is Kind.sent:
            self.blocked = 0
        elif outcome.kind is Kind.failed:
            self.hard += outcome.hard
            self.blocked += outcome.whose is Whose.policy
            self.news = self.news or outcome.whose is Whose.policy
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
        now = self._clock()
        if now <= self._stale_from:
            return
        # Not only at the head: one whose domain takes no more lets younger ones pass.
        for waiting in [each for each in self._queue if each.since < now - OLDEST_CLAIM]:
            self._queue.remove(waiting)
            self.settle(waiting.claimed.customer_id, None)
        self._stale_from = min((each.since for each in self._queue), default=now) + OLDEST_CLAIM

    def give_back_held(self, pace: DomainPace) -> None:
        """What waits here for a domain that is held goes back until it is not."""
        for waiting in list(self._queue):
            if domain_of(waiting.recipient) == pace.domain:
                self._queue.remove(waiting)
                self.settle(waiting.claimed.customer_id, None, pace)

    def give_back_all(self) -> None:
        """Nothing more is handed over."""
        while self._queue:
            self.settle(self._queue.popleft().claimed.customer_id, None)
