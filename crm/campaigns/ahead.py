"""Writes mails a few at once, shortly before the lanes ask for them.

What the writing of one has brought near the processor serves the next, their signatures are made
side by side, and the relay wakes once for all of them. In what order they go, and whether one goes
at all, is decided for each when a lane asks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from crm.campaigns.hand import Hand
from crm.campaigns.issue import Issue
from crm.campaigns.pace import Pace
from crm.log import logger
from crm.mail.wire import Parcel

_log = logger(__name__)

# So many are written at once: the answers of relays and of PostgreSQL wait meanwhile, which costs
# more than it brings where nothing is signed.
_PLAIN = 8
_SIGNED = 32
# So many bytes of mails are written ahead at most.
_BYTES = 1024 * 1024


class Ahead:
    """The mails of those in line, each when it is her turn."""

    def __init__(self, issue: Issue, hand: Hand, pace: Pace, clock: Callable[[], datetime]) -> None:
        """Begin with one, whose size says how many may be written at once."""
        self._issue = issue
        self._hand = hand
        self._pace = pace
        self._clock = clock
        self._most = _SIGNED if issue.signer else _PLAIN
        self._fit = 1
        # Our own code could not write a mail; said once.
        self._failed = False

    def next(self) -> Parcel | None:
        """Take the next claimed mail; None where there is none, or the pace says so."""
        hand = self._hand
        while (waiting := hand.first()) is not None and self._pace.may_go():
            if waiting.parcel is None:
                self._write(min(self._most, self._fit, self._pace.ahead))
                # That may have taken long, and consent is as new as it was before.
                hand.give_back_stale()
                if hand.first() is not waiting:
                    continue
            hand.take()
            if waiting.parcel is not None:
                self._pace.went()
                return waiting.parcel
            hand.unwritable(waiting)
        return None

    def _write(self, most: int) -> None:
        """Write so many mails; where one of them cannot be, only the first, if that can."""
        line = self._hand.unwritten(most)
        try:
            size = self._issue.write(line, self._clock())
        except ValueError:
            pass
        except Exception:  # noqa: BLE001  (a lane cannot raise, and others' mails are on it)
            if not self._failed:
                _log.exception("mail_not_written", campaign=str(self._issue.campaign.id))
            self._failed = True
        else:
            self._fit = max(_BYTES * len(line) // size, 1)
            return
        if most > 1:
            self._write(1)
