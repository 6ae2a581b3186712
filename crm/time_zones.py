"""The time zones that there are."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones


@cache
def named() -> frozenset[str]:
    """Return every name by IANA, as it was when this process first asked.

    The library looks through hundreds of files each time: longer than most requests take.
    """
    return frozenset(available_timezones())
