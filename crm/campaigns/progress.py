"""How far a campaign is, how fast it goes and how long it will still take."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from crm.campaigns.model import Campaign, Counts, State

# Two looks so far apart give a rate worth showing, in seconds.
_SHORTEST, _LONGEST = 1.0, 60.0

RUNNING = frozenset({State.starting, State.sending})


class Glance(Struct, frozen=True):
    """What an earlier look saw: when, how many had been handed over, and how many were settled."""

    at: float
    handed: int
    settled: int
    state: str


class Progress(Struct, frozen=True, kw_only=True):
    """A campaign at one instant; `per_second` and `seconds_left` are None where nobody can say."""

    counts: Counts
    state: State
    at: datetime
    per_second: float | None
    seconds_left: int | None
    glance: Glance

    @property
    def share(self) -> float:
        """How much of the audience is settled, from 0 to 1."""
        return self.glance.settled / self.counts.audience if self.counts.audience else 0.0

    @property
    def running(self) -> bool:
        """Whether the numbers may still change by themselves."""
        cancelling = self.state is State.cancelled and self.counts.waiting > 0
        return self.state in RUNNING or cancelling or self.counts.sending > 0


def progress(
    campaign: Campaign, counts: Counts, now: datetime, earlier: Glance | None = None
) -> Progress:
    """Put the numbers of this instant beside an earlier look at them, if there was one."""
    handed = counts.sent + counts.failed + counts.uncertain
    settled = handed + counts.excluded
    rate = _rate(campaign, handed, now, earlier)
    left = None
    if campaign.state is State.sending and rate:
        left = max(1, round(counts.waiting / rate))
    return Progress(
        counts=counts,
        state=campaign.state,
        at=now,
        per_second=rate,
        seconds_left=left,
        glance=Glance(now.timestamp(), handed, settled, campaign.state.value),
    )


def crossed(shown: Progress, earlier: Glance | None) -> bool:
    """Say whether another tenth of the audience is settled, which is worth saying aloud."""
    everybody = shown.counts.audience
    if earlier is None or not everybody:
        return True
    return shown.glance.settled * 10 // everybody != earlier.settled * 10 // everybody


def _rate(campaign: Campaign, handed: int, now: datetime, earlier: Glance | None) -> float | None:
    if campaign.state is State.sending and earlier is not None:
        seconds = now.timestamp() - earlier.at
        if _SHORTEST <= seconds <= _LONGEST and handed >= earlier.handed:
            return (handed - earlier.handed) / seconds
    if campaign.started_at is None or campaign.state not in {State.sending, State.done}:
        return None
    seconds = ((campaign.ended_at or now) - campaign.started_at).total_seconds()
    return handed / seconds if seconds > 0 else None
