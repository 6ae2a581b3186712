"""What the trust page shows, and from how many readers on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from crm.consent import Notice, Purpose
from crm.ledger import SignedHead

# Rates and lags are of this time.
WINDOW = timedelta(days=90)
# Of fewer readers a rate says something about single people.
ENOUGH = 100


class Month(Struct, frozen=True):
    """How many mails went out in a month, such as `2026-11`."""

    month: str
    mails: int


class Figures(Struct, frozen=True, kw_only=True):
    """What was counted, when; the lags are seconds from a withdrawal to silence."""

    counted_at: datetime
    months: list[Month]
    campaigns: int
    readers: int
    mails: int
    withdrawals: int
    complaints: int
    lag_median: float
    lag_p99: float
    # Withdrawals at whose moment a mail was being handed over.
    on_the_way: int

    @property
    def enough(self) -> bool:
        """Whether there were so many readers that a rate names none of them."""
        return self.readers >= ENOUGH

    @property
    def most(self) -> int:
        """Mails of the busiest month."""
        return max((each.mails for each in self.months), default=0)

    def of_thousand(self, count: int) -> float:
        """Return how many that is of a thousand mails of the window, with one decimal."""
        return round(1000 * count / self.mails, 1) if self.mails else 0.0


class Words(Struct, frozen=True):
    """A purpose with every version of its words, the newest of each language first."""

    purpose: Purpose
    notices: list[Notice]

    @property
    def current(self) -> list[Notice]:
        """What is shown now to whoever is asked: the newest in each language."""
        newest: dict[str, Notice] = {}
        for each in self.notices:
            newest.setdefault(each.locale, each)
        return list(newest.values())

    @property
    def earlier(self) -> list[Notice]:
        """What was shown before."""
        current = {each.id for each in self.current}
        return [each for each in self.notices if each.id not in current]


class Shown(Struct, frozen=True):
    """All of the page; without figures before they were counted first."""

    words: list[Words]
    figures: Figures | None
    head: SignedHead | None


def newest_first(notices: Sequence[Notice]) -> list[Notice]:
    """Order versions by when they were published."""
    return sorted(notices, key=lambda each: (each.published_at, each.version), reverse=True)
