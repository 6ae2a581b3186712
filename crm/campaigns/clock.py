"""When a campaign may reach a customer, by her own clock.

A time that a clock leaves out (in spring) is taken at the first instant after the gap, and one that
it shows twice (in autumn) at its first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

# From the first place on earth where a clock shows a time to the last.
AROUND_THE_WORLD = timedelta(hours=26)


class Hours(Struct, frozen=True):
    """The hours of a day in which mail goes out; `since` is before `until`, from 0 to 24."""

    since: int = 0
    until: int = 24

    @property
    def always(self) -> bool:
        """Whether they leave nothing out."""
        return (self.since, self.until) == (0, 24)

    @property
    def closed(self) -> int:
        """How many hours of a day they leave out."""
        return 24 - (self.until - self.since)


def instant(local: datetime, zone: str) -> datetime:
    """Return when a clock in this zone shows a time; an unknown zone counts as UTC."""
    return _instant(local, zone)


def ends(local: datetime, zones: Iterable[str]) -> tuple[datetime, datetime]:
    """Return when the first and when the last of these clocks shows a time."""
    instants = [instant(local, zone) for zone in zones]
    return min(instants), max(instants)


def next_open(now: datetime, hours: Hours, zone: str) -> datetime:
    """Return now where a customer's day is open, or when it opens again."""
    if hours.always:
        return now
    here = now.astimezone(_zone(zone)).replace(tzinfo=None)
    if hours.since <= here.hour < hours.until:
        return now
    day = here.date() + timedelta(days=here.hour >= hours.until)
    return instant(datetime(day.year, day.month, day.day, hours.since), zone)  # noqa: DTZ001


def may_go(now: datetime, local: datetime | None, hours: Hours, zone: str) -> datetime:
    """Return the first instant from now on at which a campaign may go to a customer."""
    due = max(now, instant(local, zone)) if local else now
    return next_open(due, hours, zone)


@lru_cache(maxsize=4096)
def _instant(local: datetime, zone: str) -> datetime:
    where = _zone(zone)
    # The first of two; of a time that is left out, as far after the gap as it is inside of it.
    late = local.replace(tzinfo=where).astimezone(UTC)
    if late.astimezone(where).replace(tzinfo=None) == local:
        return late
    early = local.replace(tzinfo=where, fold=1).astimezone(UTC)
    before = early.astimezone(where).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(where).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
