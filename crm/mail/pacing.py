"""How fast a relay and a recipient domain may go, as rules: no clock, no database.

A rate is kept by speaking for time: whoever takes n moves `next_at` by n / rate, in a row that all
workers share.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from crm.mail.outcome import CLOSING, Kind, Outcome, Whose

# Spoken for in advance, and forgiven to one who comes late: both shorter than a claim may age.
AHEAD = timedelta(seconds=0.25)
CREDIT = timedelta(seconds=0.5)

# A domain that asks for less gets this much at most, in mails a second, and never less than that.
FIRST_RATE, LOWEST_RATE = 10.0, 0.1
# Above this it is one that needs no rule any more.
_RECOVERED = 100.0
_STEP = 1.0
_STEP_EVERY = timedelta(seconds=10)
_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 30, 60))
# What is put off comes back within this time, because the rate may have risen meanwhile.
_LONGEST = timedelta(minutes=10)


class RelayUse(Struct, frozen=True):
    """What a relay has taken today, and up to when its rate is spoken for."""

    relay_id: UUID
    day: date
    taken: int
    next_at: datetime | None


class DomainPace(Struct, frozen=True, kw_only=True):
    """A domain that goes slower than the rest; rates in mails a second over all workers."""

    domain: str
    limit_rate: float | None = None
    limit_connections: int | None = None
    rate: float | None = None
    strikes: int = 0
    held_until: datetime | None = None
    reason: str = ""
    next_at: datetime | None = None
    line_at: datetime | None = None
    changed_at: datetime

    @property
    def pace(self) -> float | None:
        """The rate that holds: the lower of what staff set and what was learned."""
        known = [rate for rate in (self.limit_rate, self.rate) if rate is not None]
        return min(known, default=None)

    def held(self, now: datetime) -> bool:
        """Say whether nothing at all goes there now."""
        return self.held_until is not None and self.held_until > now


def spoken_for(
    rate: float, next_at: datetime | None, wanted: int, now: datetime
) -> tuple[int, datetime]:
    """Say how many of `wanted` may go now, and up to when that speaks for the rate."""
    start = max(next_at or now, now - CREDIT)
    room = int((now + AHEAD - start).total_seconds() * rate)
    if start <= now:
        room = max(room, 1)
    number = max(min(room, wanted), 0)
    return number, start + timedelta(seconds=number / rate)


def day_of(now: datetime, time_zone: str) -> date:
    """The calendar day of a business."""
    return now.astimezone(ZoneInfo(time_zone)).date()


def next_day(now: datetime, time_zone: str) -> datetime:
    """When the next calendar day of a business begins."""
    zone = ZoneInfo(time_zone)
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone).astimezone(now.tzinfo)


def cap_on(day: date, daily_cap: int, warm_up: list[int], began: date | None) -> int:
    """The most a relay takes on a day; 0 is no cap. While it warms up, its plan says so."""
    if began is not None and warm_up:
        number = max((day - began).days, 0)
        if number < len(warm_up):
            return min(warm_up[number], daily_cap) if daily_cap else warm_up[number]
    return daily_cap


def asks_for_less(outcome: Outcome) -> bool:
    """Say whether the servers of a domain ask for a slower pace: 421 and 4.7.x."""
    return outcome.kind is Kind.later and outcome.code > 0 and (
        outcome.code == CLOSING or outcome.enhanced.startswith("4.7.")
        or outcome.whose is Whose.policy
    )  # fmt: skip


def slower(known: DomainPace | None, domain: str, outcome: Outcome, now: datetime) -> DomainPace:
    """Hold a domain for a while and halve its rate; once for all that was on its way by then."""
    known = known or DomainPace(domain=domain, changed_at=now)
    if known.held(now):
        return known
    rate = FIRST_RATE if known.rate is None else max(known.rate / 2, LOWEST_RATE)
    held_until = now + _PAUSES[min(known.strikes, len(_PAUSES) - 1)]
    said = f"{outcome.code} {outcome.enhanced} {outcome.text}".replace("  ", " ").strip()
    return msgspec.structs.replace(
        known, rate=rate, strikes=known.strikes + 1, held_until=held_until, reason=said[:300],
        next_at=held_until, line_at=held_until, changed_at=now,
    )  # fmt: skip


def faster(known: DomainPace, now: datetime) -> DomainPace:
    """Raise a learned rate by a step after each stretch of time that went well."""
    if known.rate is None or known.held(now) or now < known.changed_at + _STEP_EVERY:
        return known
    if known.held_until is not None and now < known.held_until + _STEP_EVERY:
        return known
    rate = known.rate + _STEP
    if rate < _RECOVERED:
        return msgspec.structs.replace(known, rate=rate, changed_at=now)
    return msgspec.structs.replace(
        known, rate=None, strikes=0, held_until=None, reason="", changed_at=now
    )


class Turns(Struct):
    """How many of one domain's deliveries go now, and when the others come back."""

    go: int
    due_ats: list[datetime]
    pace: DomainPace


def turns(pace: DomainPace, wanted: int, now: datetime) -> Turns:
    """Give a domain's deliveries their turns: some now, the others one after the other."""
    rate = pace.pace
    if rate is None:
        return Turns(wanted, [], pace)
    go, next_at = (0, pace.next_at) if pace.held(now) else spoken_for(
        rate, pace.next_at, wanted, now
    )  # fmt: skip
    line = max(pace.line_at or now, pace.held_until or now, next_at or now, now)
    due_ats: list[datetime] = []
    for number in range(wanted - go):
        ahead = line + timedelta(seconds=1 / rate)
        if ahead <= max(now, pace.held_until or now) + _LONGEST:
            line = ahead
            due_ats.append(line)
        else:
            # The line is long: they ask again, spread over the second half of that time.
            spread = (number % 100) / 200
            due_ats.append(max(now, pace.held_until or now) + _LONGEST * (0.5 + spread))
    return Turns(go, due_ats, msgspec.structs.replace(pace, next_at=next_at, line_at=line))
