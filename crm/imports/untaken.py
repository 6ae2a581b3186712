"""What a list has that nothing is taken of: counted by its title, and named once in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from crm.imports import presets
from crm.imports.columns import word
from crm.imports.model import Bad
from crm.imports.showing import LONGEST, shown

# How many names the report has of each kind; of others it says only that they are there.
NAMED = 50
# So many letters of titles are kept until they are counted.
_HELD = 1_000_000
DECLARE = "Declare {} and import the list again: that only adds what is missing."
_OBSERVED = "a tool observed or numbered that, and nobody gave it."


class Untaken:
    """Titles of columns or fields, with how many rows have a value under each.

    Those are counted that are `missing`; of what a tool `watched` none is for anybody to declare.
    """

    def __init__(self, missing: Callable[[str], bool], *, watched: bool = False) -> None:
        self._missing = missing
        self._watched = watched
        # The rows of a list have the same few titles, so these are counted together at first.
        self._alike: dict[tuple[str, ...], int] = {}
        self._length = 0
        self._rows: dict[str, int] = {}
        self._others = 0

    def add(self, titles: tuple[str, ...]) -> None:
        """Count one row for each of its titles."""
        count = self._alike.get(titles, 0)
        self._alike[titles] = count + 1
        if not count:
            self._length += sum(map(len, titles)) + len(titles)
            if self._length > _HELD:
                self._settle()

    def _settle(self) -> None:
        """Count title by title; beyond some, for all others together."""
        for titles, count in self._alike.items():
            others = False
            for title in filter(self._missing, titles):
                kept = title[:LONGEST]
                if kept in self._rows or len(self._rows) < NAMED:
                    self._rows[kept] = self._rows.get(kept, 0) + count
                else:
                    others = True
            self._others += count * others
        self._alike.clear()
        self._length = 0

    def remarks(self) -> Iterator[Bad]:
        """A sentence for each title, and one for all others."""
        self._settle()
        for title, rows in self._rows.items():
            said = f"The values under {shown(title)} in {counted(rows)} were left"
            if self._watched or presets.left_behind(word(title)):
                yield Bad(1, f"{said} behind: {_OBSERVED}")
            else:
                yield Bad(1, f"{said} out: no such attribute is declared. {DECLARE.format('it')}")
        if self._others:
            said = f"The values under other titles in {counted(self._others)} were left"
            them = DECLARE.format("those that you want to keep")
            yield Bad(1, f"{said} behind: {_OBSERVED}" if self._watched else f"{said} out. {them}")


def counted(rows: int) -> str:
    """So many rows, in words."""
    return "1 row" if rows == 1 else f"{rows:,} rows"
