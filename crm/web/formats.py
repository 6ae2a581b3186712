"""Dates, numbers and addresses as a reader wants them, in the page's language and zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_decimal, format_percent
from markupsafe import Markup
from msgspec import Struct

from crm.languages import direction, joined, listed


class Reading(Struct, frozen=True):
    """Who reads: the locale and zone to format for, and the token for the forms."""

    locale: str = "en_001"
    zone: str = "UTC"
    csrf: str = ""

    @property
    def language(self) -> str:
        """The page's `lang`."""
        return Locale.parse(self.locale).language

    @property
    def direction(self) -> str:
        """The page's `dir`."""
        return direction(self.language)


# Macros see no template context, and a page is rendered without awaiting: one variable serves.
reading: ContextVar[Reading] = ContextVar("reading", default=Reading())  # noqa: B039  (frozen)


@contextmanager
def read_by(reader: Reading) -> Iterator[None]:
    """Format for this reader until the block ends."""
    token = reading.set(reader)
    try:
        yield
    finally:
        reading.reset(token)


def full_date(value: date) -> Markup:
    """Format a day in full, `3 May 2026`; an instant becomes its day in the reader's zone."""
    if isinstance(value, datetime):
        value = _local(value).date()
    words = format_date(value, "long", locale=reading.get().locale)
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), words)


def instant(value: datetime, *, seconds: bool = True) -> Markup:
    """Format an instant as evidence: full date, time to the second, and the zone."""
    local = _local(value)
    locale = reading.get().locale
    pattern = "HH:mm:ss" if seconds else "HH:mm"
    time = f"{format_time(local, pattern, locale=locale)} {local.tzname()}"
    words = joined(format_date(local, "long", locale=locale), time, locale)
    stamp = value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}">{}</time>').format(stamp, words)


def count(value: float) -> str:
    """Format a number with its groups: `1,604`."""
    return format_decimal(value, locale=reading.get().locale)


def percent(value: float) -> str:
    """Format a share between 0 and 1: `72%`; only 1 itself is ever shown as all of it."""
    shown = min(value, 0.99) if value < 1 else value
    return format_percent(shown, "#,##0%", locale=reading.get().locale)


def masked(address: str) -> str:
    """Show enough of an address for its owner to know it: `n***@e***.com`."""
    local, _, domain = address.rpartition("@")
    name, dot, end = domain.rpartition(".")
    if not dot:
        name, end = domain, ""
    return f"{local[:1]}***@{name[:1]}***{dot}{end}"


def country(code: str) -> str:
    """Name a country by its ISO 3166 code; one that nobody knows stays the code."""
    return str(Locale.parse(reading.get().locale).territories.get(code, code))


FILTERS: dict[str, Callable[..., Any]] = {
    "date": full_date,
    "instant": instant,
    "count": count,
    "percent": percent,
    "masked": masked,
    "country": country,
    "listed": listed,
}


def _local(value: datetime) -> datetime:
    if value.tzinfo is None:
        message = "an instant without zone cannot be shown"
        raise ValueError(message)
    try:
        zone = ZoneInfo(reading.get().zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    return value.astimezone(zone)
