"""How long something is kept: an ISO 8601 duration of years, months and days, such as `P24M`."""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta
from functools import lru_cache

from msgspec import Struct

from crm.errors import Invalid, Problem
from crm.languages import listed, ngettext

_DURATION = re.compile(r"P(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,6})D)?", re.ASCII)
# Nobody keeps a detail longer, and every date stays one that can be computed.
_LONGEST_DAYS = 36525
_LONGEST_MONTHS = 1200
_MONTHS = 12


class NoRetention(Invalid):
    """A retention is years, months and days such as P2Y, P24M or P30D, at most 100 years."""


class Retention(Struct, frozen=True):
    """A time to keep something, by the calendar: a month is a month, whatever its length."""

    months: int
    days: int

    def words(self) -> str:
        """Say it as the customer reads it: `2 years`, `18 months and 3 days`."""
        years, months = divmod(self.months, _MONTHS)
        if years and months:
            years, months = 0, self.months
        parts = [
            ngettext("%(number)s year", "%(number)s years", years) if years else "",
            ngettext("%(number)s month", "%(number)s months", months) if months else "",
            ngettext("%(number)s day", "%(number)s days", self.days) if self.days else "",
        ]
        return listed(part for part in parts if part)


@lru_cache(maxsize=256)
def retention(text: str) -> Retention:
    """Read a duration, or refuse with NoRetention."""
    match = _DURATION.fullmatch(text)
    years, months, days = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    months += years * _MONTHS
    if not (months or days) or months > _LONGEST_MONTHS or days > _LONGEST_DAYS:
        wrong = NoRetention()
        raise NoRetention(problems=[Problem("retention", wrong.message)])
    return Retention(months, days)


def ends(set_at: datetime, text: str) -> datetime:
    """Compute when what was set at `set_at` is to be deleted; as PostgreSQL adds intervals.

    First the months (the last day of a shorter month stands for a missing one), then the days.
    """
    kept = retention(text)
    month = set_at.year * _MONTHS + set_at.month - 1 + kept.months
    year, month = divmod(month, _MONTHS)
    day = min(set_at.day, calendar.monthrange(year, month + 1)[1])
    return set_at.replace(year=year, month=month + 1, day=day) + timedelta(days=kept.days)
