"""The way to the relay: `open_lanes` for many messages, `send_one` for a single one."""

import asyncio
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from typing import Protocol

from crm.mail import outcome
from crm.mail.outcome import Outcome, Whose
from crm.mail.pipeline import Parcel
from crm.mail.session import Door, Limits, Relay, Session, Unreachable

__all__ = [
    "Feed",
    "Lanes",
    "Limits",
    "Parcel",
    "Relay",
    "Unreachable",
    "open_lanes",
    "send_by",
    "send_one",
]

# After this many sessions in a row that ended while its own command waited for an answer, a
# parcel is the likely cause, and giving it back once more would keep it turning for ever.
SUSPECT_AFTER = 3

OnOutcome = Callable[[Parcel, Outcome], None]
OnParcel = Callable[[Parcel], None]


class Feed(Protocol):
    """Where parcels come from."""

    def take(self) -> Parcel | None:
        """The next parcel, or None for "idle now"; a connection asks when it can take one."""


async def open_lanes(
    relay: Relay,
    connections: int,
    *,
    limits: Limits | None = None,
    hello: str = "",
    tls: ssl.SSLContext | None = None,
) -> "Lanes":
    """Open up to so many sessions: returns with the first, raises Unreachable if all fail."""
    lanes = Lanes(Door(relay, limits or Limits(), hello or socket.gethostname(), tls), connections)
    try:
        await lanes.opened()
    except BaseException:
        await lanes.close(grace=0)
        raise
    return lanes


async def send_one(
    relay: Relay,
    parcel: Parcel,
    *,
    limits: Limits | None = None,
    hello: str = "",
    tls: ssl.SSLContext | None = None,
) -> Outcome:
    """One message over a session of its own; a relay that cannot be reached means `later`."""
    try:
        return await _send(relay, parcel, limits=limits, hello=hello, tls=tls)
    except Unreachable as no:
        return no.trouble


async def send_by(
    relays: Sequence[tuple[Relay, str]],
    parcel: Parcel,
    *,
    limits: Limits | None = None,
    begin: Callable[[], Awaitable[None]] | None = None,
    within: float | None = None,
) -> Outcome:
    """One message by the first of these relays, each with its greeting, that can be reached.

    `begin` is waited for once, when one is, before it hears of the message; what it raises ends
    all. After `within` seconds it is cut off: `uncertain` where the content had left by then.
    """
    until = None if within is None else asyncio.get_running_loop().time() + within
    once = None if begin is None else _Once(begin)
    trouble = outcome.unreachable("no_relay", Whose.ours)
    for relay, hello in relays:
        try:
            return await _send(relay, parcel, limits=limits, hello=hello, begin=once, until=until)
        except Unreachable as no:
            trouble = no.trouble
    return trouble


async def _send(
    relay: Relay,
    parcel: Parcel,
    *,
    limits: Limits | None,
    hello: str,
    tls: ssl.SSLContext | None = None,
    begin: "_Once | None" = None,
    until: float | None = None,
) -> Outcome:
    try:
        async with asyncio.timeout_at(until):
            lanes = await open_lanes(relay, 1, limits=limits, hello=hello, tls=tls)
    except TimeoutError:
        raise Unreachable(outcome.unreachable("no_answer")) from None
    one, bound = _One(parcel), asyncio.timeout_at(until)
    try:
        async with bound:
            if begin is not None:
                await begin()
            lanes.deliver(one, one.outcome, one.given_back)
            await lanes.until(lambda: one.result is not None)
    except TimeoutError:
        if not bound.expired():
            raise
    finally:
        # What is still in flight learns from this whether its content had left.
        await lanes.close(grace=0)
    return one.result or outcome.lost(content_left=False, timeout=True)


class Lanes:
    """Sessions with one relay that share a feed; a lane that dies is opened again, with pauses.

    Every parcel taken ends in exactly one of `on_outcome` and `on_given_back`. The callbacks run
    inside the event loop and must neither block nor raise.
    """

    def __init__(self, door: Door, connections: int) -> None:
        self.trouble: Outcome | None = None
        self._door = door
        self._wanted = asyncio.Event()  # cleared when the feed says None, set by nudge
        self._changed = asyncio.Event()
        self._closing = False
        self._feed: Feed | None = None
        self._on_outcome: OnOutcome = _nothing
        self._on_given_back: OnParcel = _nothing
        self._on_handed: OnParcel = _nothing
        self._suspects: dict[Hashable, int] = {}
        self._sessions: set[Session] = set()
        self._failures = 0  # to open a session, since the last success
        self._tasks = [asyncio.create_task(self._keep()) for _ in range(connections)]

    @property
    def open(self) -> int:
        """How many sessions stand."""
        return len(self._sessions)

    @property
    def in_flight(self) -> int:
        """Parcels taken from the feed and not yet ended."""
        return sum(session.talk.in_flight for session in self._sessions)

    @property
    def unanswered(self) -> int:
        """Contents handed over without an answer: what a crash now would leave in doubt."""
        return sum(session.talk.unanswered for session in self._sessions)

    async def opened(self) -> None:
        """Wait for the first session; Unreachable when every lane has failed to open one."""
        await self.until(lambda: bool(self._sessions))

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until this is so; Unreachable when every lane has failed to open a session."""
        while not done():
            self._check_reachable()
            await self._change()

    def deliver(
        self,
        feed: Feed,
        on_outcome: OnOutcome,
        on_given_back: OnParcel,
        on_handed: OnParcel | None = None,
    ) -> None:
        """Begin to take from the feed; `on_handed` hears of a content just before it is written."""
        self._on_outcome, self._on_given_back = on_outcome, on_given_back
        self._on_handed = on_handed or _nothing
        self._feed = feed
        self.nudge()

    def nudge(self) -> None:
        """The feed has more."""
        self._wanted.set()
        for session in tuple(self._sessions):
            session.talk.fill()

    async def settled(self) -> None:
        """Wait until the feed has said None and nothing is in flight; Unreachable if no lane opens.

        After Unreachable the lanes keep trying; the caller chooses to wait again or to close.
        """
        await self.until(lambda: not self.in_flight and not self._wanted.is_set())

    async def close(self, grace: float | None = None) -> None:
        """Take nothing more, wait for what is in flight, QUIT; after `grace` seconds cut it off."""
        self._closing = True
        self._feed = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self._door.limits.dot if grace is None else grace):
                while self.in_flight:
                    await self._change()
        await asyncio.gather(*(session.leave() for session in tuple(self._sessions)))
        for task in self._tasks:
            task.cancel()
        for found in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(found, Exception):
                raise found

    # For its sessions ---------------------------------------------------------------------------

    def take(self) -> Parcel | None:
        """The feed's next parcel; none while closing."""
        parcel = None if self._feed is None else self._feed.take()
        if parcel is None:
            self._wanted.clear()
            self._changed.set()
        return parcel

    def handed(self, parcel: Parcel) -> None:
        """Pass it on."""
        self._on_handed(parcel)

    def outcome(self, parcel: Parcel, result: Outcome) -> None:
        """Pass it on, and forget any suspicion."""
        if self._suspects:
            self._suspects.pop(parcel.key, None)
        self._changed.set()
        self._on_outcome(parcel, result)

    def given_back(self, parcel: Parcel, *, suspect: bool) -> None:
        """Pass it on, unless this parcel ends every session it is tried in."""
        times = self._suspects.get(parcel.key, 0) + suspect
        if times >= SUSPECT_AFTER:
            self.outcome(parcel, outcome.lost(content_left=False))
            return
        if suspect:
            self._suspects[parcel.key] = times
        self._changed.set()
        self._on_given_back(parcel)
        if not self._closing:
            # It may be in the feed again, and the other lanes may be idle. Whoever waits until all
            # is settled runs before they are told.
            self._wanted.set()
            asyncio.get_running_loop().call_soon(self.nudge)

    def _check_reachable(self) -> None:
        """Raise when no session stands and as many tries as there are lanes failed in a row."""
        trouble = None if self._sessions else self.trouble
        if trouble is not None and self._failures >= len(self._tasks):
            raise Unreachable(trouble)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _keep(self) -> None:
        """One lane: open, talk until it ends, pause, again."""
        limits = self._door.limits
        pause = limits.first_pause
        while not self._closing:
            session = await self._talk()
            if self._closing:
                return
            if session is not None and session.served:
                pause = limits.first_pause
            if session is not None and session.idle_at_end:
                # Servers end idle sessions: come back when there is something to send.
                await self._wanted.wait()
                continue
            # Without spread all lanes of all workers would knock at the same instant.
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  (spread, not a secret)
            pause = min(pause * 2, limits.longest_pause)

    async def _talk(self) -> Session | None:
        """One session from its opening to its end; None if it could not be opened."""
        try:
            opened = await self._door.open()
        except Unreachable as no:
            self._failures += 1
            if not self._sessions:
                self.trouble = no.trouble
            self._changed.set()
            return None
        if self._closing:
            # wait_for inside aiosmtplib can lose a cancellation that comes as it finishes.
            opened.transport.abort()
            return None
        session = Session(self, opened, self._door.limits)
        self._sessions.add(session)
        self._failures, self.trouble = 0, None
        self._changed.set()
        try:
            session.begin()
            await session.gone.wait()
        finally:
            session.cut()
            self._sessions.discard(session)
            self._changed.set()
        return session


class _One:
    """A feed of a single parcel and a place for its outcome."""

    def __init__(self, parcel: Parcel) -> None:
        self.result: Outcome | None = None
        self._parcel: Parcel | None = parcel

    def take(self) -> Parcel | None:
        """The parcel, once."""
        parcel, self._parcel = self._parcel, None
        return parcel

    def outcome(self, _parcel: Parcel, result: Outcome) -> None:
        """Keep it."""
        self.result = self.result or result

    def given_back(self, parcel: Parcel) -> None:
        """One session, one try."""
        self.outcome(parcel, outcome.lost(content_left=False))


class _Once:
    """What is done before the first relay that is reached hears of a message, and not again."""

    def __init__(self, begin: Callable[[], Awaitable[None]]) -> None:
        self._begin = begin
        self._begun = False

    async def __call__(self) -> None:
        """Do it, unless it was done."""
        if not self._begun:
            await self._begin()
            self._begun = True


def _nothing(*_: object) -> None:
    """Nobody listens yet."""
