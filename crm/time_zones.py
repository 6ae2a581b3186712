"""The time zones that there are, and the years in which a day may be named."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

# Far from where a change of zone leaves the calendar.
FIRST_YEAR, LAST_YEAR = 1900, 2999


@cache
def named() -> frozenset[str]:
    """Return every name by IANA, as it was when this process first asked.

    The library looks through hundreds of files each time: longer than most requests take.
    """
    return frozenset(available_timezones())
