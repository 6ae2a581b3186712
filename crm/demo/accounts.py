"""The accounts at the end: what the rows say, what the letterbox says, and whether they agree."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from crm.campaigns import Counts, DeliveryState, Received
from crm.demo.mailbox import Accepted


class Leaver(Struct, frozen=True):
    """One customer who left while the campaign was being sent; `then` is the state just after."""

    customer_id: UUID
    answered_at: datetime
    then: str


class Accounts(Struct, frozen=True, kw_only=True):
    """Everything the demo ends with."""

    counts: Counts
    ranges: Counts
    accepted: Accepted
    leavers: tuple[Leaver, ...]
    claimed_after: int
    peak_rss_mb: float
    seconds: float
    urls: dict[str, str]

    @property
    def in_flight(self) -> int:
        """Leavers whose mail had been claimed already when their leaving was answered."""
        return sum(leaver.then == "sending" for leaver in self.leavers)

    def problems(self) -> list[str]:
        """Say all that does not balance; an empty list is a good end."""
        counts, accepted = self.counts, self.accepted
        found = []
        if (counts.waiting, counts.sending) != (0, 0):
            found.append(f"{counts.waiting + counts.sending} deliveries did not end")
        if not counts.sent <= accepted.messages <= counts.sent + counts.uncertain:
            found.append(
                f"the rows say {counts.sent} sent and {counts.uncertain} uncertain, "
                f"the letterbox accepted {accepted.messages}"
            )
        if accepted.doubled:
            found.append(f"{accepted.doubled} messages arrived twice")
        if _sums(counts) != _sums(self.ranges):
            found.append("the counts of ranges and of rows differ")
        if not counts.reasons.get("withdrawn"):
            found.append("nobody was excluded as withdrawn")
        if self.claimed_after:
            found.append(f"{self.claimed_after} were claimed after a withdrawal was answered")
        return found

    def as_json(self) -> dict[str, Any]:
        """Give every figure under its name."""
        counts = self.counts
        return {
            "audience": counts.audience,
            "waiting": counts.waiting,
            "sending": counts.sending,
            "sent": counts.sent,
            "failed": counts.failed,
            "excluded": counts.reasons,
            "uncertain": counts.uncertain,
            "letterbox_accepted": self.accepted.messages,
            "letterbox_doubled": self.accepted.doubled,
            "withdrawn_during_send": len(self.leavers),
            "claimed_after_withdrawal": self.claimed_after,
            "in_flight_at_withdrawal": self.in_flight,
            "messages_per_second": round(self.rate, 1),
            "worker_peak_rss_mb": round(self.peak_rss_mb, 1),
            "seconds": round(self.seconds, 1),
            "balances": not self.problems(),
            "problems": self.problems(),
            "urls": self.urls,
        }

    @property
    def rate(self) -> float:
        """Messages per second from the first accepted to the last."""
        return (self.accepted.messages - 1) / self.accepted.seconds if self.accepted.seconds else 0


def _sums(counts: Counts) -> tuple[int, ...]:
    return (
        counts.waiting,
        counts.sending,
        counts.sent,
        counts.failed,
        counts.excluded,
        counts.uncertain,
    )


def claimed_after(leavers: tuple[Leaver, ...], ended: dict[UUID, Received | None]) -> int:
    """Count leavers who were claimed after their leaving had been answered.

    Either the row still waited when the answer was here, and went all the same; or the claiming
    transaction began later than the answer came.
    """
    return sum(_too_late(leaver, ended[leaver.customer_id]) for leaver in leavers)


def _too_late(leaver: Leaver, delivery: Received | None) -> bool:
    if delivery is None or delivery.state is DeliveryState.excluded or delivery.claimed_at is None:
        return False
    return leaver.then == "waiting" or delivery.claimed_at > leaver.answered_at
