"""Several relays as one way out: shares by weight, and whoever can stands in for who cannot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from datetime import date

from crm.mail.outcome import Outcome
from crm.mail.pipeline import Parcel
from crm.mail.relays import Relay
from crm.mail.session import Door, Limits, Unreachable
from crm.mail.wire import Feed, Lanes, OnOutcome, OnParcel

# How far ahead of its share a relay may run, in mails of a weight of one.
_SLACK = 4.0
# The others do not wait for one that has answered nothing for so many seconds.
_STALL = 5.0
# Whoever opens first waits so many seconds for the others, or it would take what is theirs.
_TOGETHER = 0.25


class Way:
    """One relay with its lanes; `allowed` is what it may still take, None without bound.

    `day` is the one whose cap that counts against.
    """

    def __init__(self, relay: Relay, lanes: Lanes) -> None:
        self.relay = relay
        self.lanes = lanes
        self.allowed: int | None = 0 if relay.counted else None
        self.day: date | None = None
        # Its cap of today is reached.
        self.full = False
        self.taken = 0.0
        self.refused = False
        self._clock = asyncio.get_running_loop().time
        self._heard = self._clock()

    @property
    def up(self) -> bool:
        """Whether it is there, answers, and has not reached its cap of today."""
        if self.lanes.in_flight == 0:
            self._heard = self._clock()
        return self.lanes.open > 0 and not self.full and self._clock() - self._heard < _STALL

    @property
    def able(self) -> bool:
        """Whether it could take a parcel at this moment."""
        return self.allowed != 0 and self.up

    def heard(self) -> None:
        """It answered."""
        self._heard = self._clock()


class Routes:
    """Lanes to one or several relays that share one feed.

    Weights are kept while all relays can take; a relay that is away, at its rate or at its cap is
    left out of the comparison, so that its share goes to the others. Weight 0 stands in only while
    all others are away or at their caps: not for one that is at its rate.
    """

    def __init__(self, relays: Sequence[Relay], limits: Limits, *, others: bool = False) -> None:
        """Open lanes to these; `others` rest for now, and will take mail again."""
        self.others = others
        self.ways = [
            Way(
                relay,
                Lanes(
                    Door(relay, limits, relay.hello or socket.gethostname(), None),
                    relay.connections,
                ),
            )
            for relay in relays
        ]
        self.connections = sum(relay.connections for relay in relays)
        self._feed: Feed | None = None

    @property
    def open(self) -> int:
        """How many sessions stand."""
        return sum(way.lanes.open for way in self.ways)

    @property
    def trouble(self) -> Outcome | None:
        """Why none stands, when every relay has said so."""
        found = [way.lanes.trouble for way in self.ways]
        return found[0] if found and all(found) else None

    @property
    def room(self) -> int | None:
        """How many parcels may be taken now; None without bound."""
        there = [way for way in self.ways if way.up]
        taking = [way for way in there if way.relay.weight] or there
        allowed = [way.allowed for way in taking]
        return None if None in allowed else sum(each or 0 for each in allowed)

    @property
    def full(self) -> Relay | None:
        """A relay that has reached its cap of today, when all have, and none only rests."""
        all_full = not self.others and all(way.full for way in self.ways)
        return self.ways[0].relay if all_full else None

    async def opened(self) -> None:
        """Wait for the first session of any; Unreachable when all relays have failed."""
        waiting = {asyncio.ensure_future(way.lanes.opened()) for way in self.ways}
        trouble: Unreachable | None = None
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    wrong = task.exception()
                    if wrong is None:
                        if waiting:
                            _, waiting = await asyncio.wait(waiting, timeout=_TOGETHER)
                        return
                    if not isinstance(wrong, Unreachable):
                        raise wrong
                    trouble = wrong
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert trouble is not None  # noqa: S101  (there is a relay, and it failed)
        raise trouble

    def deliver(self, feed: Feed, on_outcome: OnOutcome, on_given_back: OnParcel) -> None:
        """Begin to take from the feed."""
        self._feed = feed
        for way in self.ways:
            way.lanes.deliver(
                _Share(self, way), _heard_by(way, on_outcome), _back_by(way, on_given_back)
            )

    def nudge(self) -> None:
        """The feed has more."""
        for way in self.ways:
            way.refused = False
            way.lanes.nudge()

    async def close(self, grace: float | None = None) -> None:
        """Take nothing more, wait for what is in flight, and leave all relays."""
        self._feed = None
        await asyncio.gather(*(way.lanes.close(grace) for way in self.ways))

    def take_for(self, way: Way) -> Parcel | None:
        """The next parcel for one relay; None where it is another's turn, or none is allowed."""
        if self._feed is None or way.allowed == 0:
            return None
        parcel = self._feed.take() if len(self.ways) == 1 else self._shared(way, self._feed)
        if parcel is not None and way.allowed is not None:
            way.allowed -= 1
        return parcel

    def _shared(self, way: Way, feed: Feed) -> Parcel | None:
        if not self._turn(way):
            way.refused = True
            return None
        parcel = feed.take()
        if parcel is None:
            return None
        if way.relay.weight:
            way.taken += 1 / way.relay.weight
        for other in self.ways:
            if other is not way and other.refused and self._turn(other):
                other.refused = False
                asyncio.get_running_loop().call_soon(other.lanes.nudge)
        return parcel

    def _turn(self, way: Way) -> bool:
        others = [each for each in self.ways if each is not way and each.relay.weight]
        if not way.relay.weight:
            return not any(each.up for each in others)
        shares = [each.taken for each in others if each.able]
        if not shares:
            return True
        # One that comes back does not catch up on what others took for it. Twice the slack is more
        # than anybody can be ahead of one that was there all the time.
        way.taken = max(way.taken, min(shares) - 2 * _SLACK)
        return way.taken <= min(shares) + _SLACK / way.relay.weight


class _Share:
    """The feed as one relay sees it."""

    def __init__(self, routes: Routes, way: Way) -> None:
        self._routes = routes
        self._way = way

    def take(self) -> Parcel | None:
        """The next parcel for this relay."""
        return self._routes.take_for(self._way)


def _heard_by(way: Way, on_outcome: OnOutcome) -> OnOutcome:
    def outcome(parcel: Parcel, result: Outcome) -> None:
        way.heard()
        on_outcome(parcel, result)

    return outcome


def _back_by(way: Way, on_given_back: OnParcel) -> OnParcel:
    def given_back(parcel: Parcel) -> None:
        if way.allowed is not None:
            way.allowed += 1
        on_given_back(parcel)

    return given_back


async def open_routes(relays: Sequence[Relay], limits: Limits, *, others: bool = False) -> Routes:
    """Open sessions with all of them: returns with the first, raises Unreachable if all fail.

    `others` says that more relays rest for now, and will take mail again.
    """
    routes = Routes(relays, limits, others=others)
    try:
        await routes.opened()
    except BaseException:
        await routes.close(grace=0)
        raise
    return routes
