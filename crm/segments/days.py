"""Days as rules speak of them: by the calendar of the business, and as far as there are any."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct


class Instant(Struct, frozen=True):
    """When a rule is asked, and by which calendar: `today` is a day of the business's zone."""

    now: datetime
    zone: str

    @property
    def today(self) -> date:
        """The day it is where the business is."""
        return self.now.astimezone(ZoneInfo(self.zone)).date()

    def begins(self, day: date) -> datetime:
        """Say when a day begins where the business is."""
        return datetime.combine(day, time(), ZoneInfo(self.zone))


def anniversaries(today: date, within_days: int) -> set[int]:
    """Return the days of a year from today on, as month times 100 plus day.

    In a year without one, what was on 29 February comes round on the 28th.
    """
    days = set()
    for distance in range(within_days + 1):
        day = shifted(today, distance)
        days.add(day.month * 100 + day.day)
        leap = day.year % 4 == 0 and (day.year % 100 != 0 or day.year % 400 == 0)
        if (day.month, day.day) == (2, 28) and not leap:
            days.add(229)
    return days


def shifted(day: date, days: int) -> date:
    """Return a day so many days away, or the last that there is in that direction."""
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.min if days < 0 else date.max
