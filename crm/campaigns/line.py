"""Whose turn it is in one worker: businesses in a circle, and the campaigns of each in a circle."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from crm.mail.relays import Relay, rest_after


class Line:
    """Campaigns that a worker has been woken for, each once.

    A business with many campaigns, or a very large one, gets one turn as all others do.
    """

    def __init__(self) -> None:
        self._waiting: dict[UUID, deque[UUID]] = {}
        self._circle: deque[UUID] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, business_id: UUID, campaign_id: UUID) -> None:
        """Stand at the end of its business's line, if it does not yet."""
        theirs = self._waiting.get(business_id)
        if theirs is None:
            self._circle.append(business_id)
            theirs = self._waiting[business_id] = deque()
        if campaign_id not in theirs:
            theirs.append(campaign_id)

    def next(self) -> tuple[UUID, UUID] | None:
        """Take whose turn it is out of the line; who has more to do stands in it again."""
        if not self._circle:
            return None
        business_id = self._circle.popleft()
        theirs = self._waiting[business_id]
        campaign_id = theirs.popleft()
        if theirs:
            self._circle.append(business_id)
        else:
            del self._waiting[business_id]
        return business_id, campaign_id


class _Rest(Struct):
    failures: int
    until: float


class Rests:
    """Relays that could not be reached, as one worker knows them: left alone, longer each time."""

    def __init__(self) -> None:
        self._resting: dict[tuple[UUID, UUID], _Rest] = {}

    def awake(self, business_id: UUID, relays: list[Relay], now: float) -> list[Relay]:
        """Return those that may be tried now."""
        return [
            relay
            for relay in relays
            if (rest := self._resting.get((business_id, relay.id))) is None or rest.until <= now
        ]

    def failed(self, business_id: UUID, relay: Relay, now: float) -> timedelta:
        """Let it rest, twice as long as the last time."""
        rest = self._resting.setdefault((business_id, relay.id), _Rest(0, 0.0))
        rest.failures += 1
        pause = rest_after(rest.failures)
        rest.until = now + pause.total_seconds()
        return pause

    def reached(self, business_id: UUID, relay: Relay) -> bool:
        """Forget that it was away; says whether it was."""
        return self._resting.pop((business_id, relay.id), None) is not None
