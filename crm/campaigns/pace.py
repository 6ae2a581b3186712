"""How much of a campaign to claim at once, and how fast to let it go."""

from __future__ import annotations

import asyncio

from crm.settings import Sending

# Outcomes are written at least so often, and no more is claimed than goes in this time.
FLUSH_SECONDS = 0.25
# No more is written at once than goes in so short a time.
_AHEAD_SECONDS = 0.01


class Pace:
    """How much to claim: what goes in a quarter of a second, so that a claim is never old.

    At most two batches, which is what may be on its way: the lanes go on with the one while the
    other's outcomes are written and their successors claimed.
    """

    def __init__(self, settings: Sending) -> None:
        """Begin now, as if the relay took all that may be claimed."""
        self.most = 2 * settings.batch
        self._rate = settings.rate
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._taken = 0
        self._counted = 0
        self._since = self._began
        self._measured = self.most / FLUSH_SECONDS

    @property
    def batch(self) -> int:
        """The size of a micro-batch at the present rate."""
        return int(min(max(self._now * FLUSH_SECONDS, 1), self.most))

    @property
    def ahead(self) -> int:
        """How many mails may be written at once at the present rate."""
        return int(max(self._now * _AHEAD_SECONDS, 1))

    @property
    def _now(self) -> float:
        """Mails a second, as measured and as configured."""
        return min(self._measured, self._rate or self._measured)

    def may_go(self) -> bool:
        """Say whether another message keeps to the configured rate."""
        return not self._rate or self._taken < (self._clock() - self._began) * self._rate + 1

    def went(self) -> None:
        """Count a message handed to a lane."""
        self._taken += 1

    def count(self) -> None:
        """Count an outcome; the rate is measured over whole quarters of a second."""
        self._counted += 1
        now = self._clock()
        if now - self._since >= FLUSH_SECONDS:
            rate = self._counted / (now - self._since)
            self._measured = max((self._measured + rate) / 2, rate)
            self._counted, self._since = 0, now

    def nap(self, queued: int) -> float:
        """How long to wait at most before looking again."""
        return min(1 / self._rate, FLUSH_SECONDS) if self._rate and queued else FLUSH_SECONDS
