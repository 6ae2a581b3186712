"""Which columns and tags of a list the business has declared, and which values fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from msgspec.structs import replace

from crm.customers import Attribute, Tag, written
from crm.errors import Refused
from crm.imports.model import OUT, Bad, Row
from crm.imports.objects import shown

_SIGNS = re.compile(r"[\W_]+")
_GAPS = re.compile(r"[\s_-]+")
# No label is longer, in small letters; and whatever a list holds, no more of it is kept.
_LONGEST = 600
_REMEMBERED = 1000
# How many tags that are not declared the report names.
_NAMED = 50
_DECLARE = "Declare {} and import the list again: that only adds what is missing."


class Fields:
    """Finds what is declared by its name or label: of a column “ZIP Code” that is `zip_code`."""

    def __init__(self, declared: Iterable[Attribute], tags: Iterable[Tag] = ()) -> None:
        # A customer's name is no attribute, whatever is declared.
        mine = [each for each in declared if each.name != "name"]
        self._types = {each.name: each.type for each in mine}
        self._named = {_plain(each.label): each.name for each in mine}
        self._named |= {_plain(each.name): each.name for each in mine}
        self.names = frozenset(self._types)
        self._known: dict[str, str | None] = {}
        tags = list(tags)
        self._tags = {_word(each.label): each.name for each in tags}
        self._tags |= {_word(each.name): each.name for each in tags}
        self.tags = frozenset(each.name for each in tags)
        # Those that are for a purpose, which a customer may not allow.
        self.bound = frozenset(each.name for each in tags if each.purpose_id is not None)
        self._found = lru_cache(_REMEMBERED)(lambda said: self._tags.get(_word(said)))
        self._undeclared = Undeclared()

    def of(self, row: Row) -> Row:
        """The row with values and tags by name, without what is not declared or does not fit."""
        kept: dict[str, str] = {}
        notes: list[str] = []
        for title, value in row.other.items():
            if title not in self._known:
                self._known[title] = self._named.get(_plain(title))
            name = self._known[title]
            if name is None or name in kept or not value:
                continue
            try:
                kept[name] = written(self._types[name], value).text
            except Refused:
                notes.append(f"The value of {name} was left out: it is no {self._types[name]}.")
        tags = dict.fromkeys(name for said in row.tags if (name := self._tag(said)) is not None)
        return replace(row, other=kept, notes=(*row.notes, *notes), tags=tuple(tags))

    def count(self, row: Row) -> None:
        """Count a row for each of its tags that is not declared; once for each row of the list.

        Of who left there none would be taken anyway.
        """
        if row.status not in OUT:
            missing = [said for said in row.tags if self._tag(said) is None]
            if missing:
                self._undeclared.add(missing)

    def undeclared(self) -> Iterator[Bad]:
        """What is to be said of the tags that no row was given, once the list is through."""
        return self._undeclared.remarks()

    def _tag(self, said: str) -> str | None:
        return self._found(said) if len(said) <= _LONGEST else None


class Undeclared:
    """The tags of a list that are not declared, with how many rows have each."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._called: dict[str, str] = {}
        self._others = 0

    def add(self, tags: list[str]) -> None:
        """Count one row for each of its tags; beyond some names, for all others together."""
        others = False
        for word, said in {_word(said): said for said in tags}.items():
            if word in self._rows:
                self._rows[word] += 1
            elif word and len(self._rows) < _NAMED:
                self._rows[word], self._called[word] = 1, shown(said)
            else:
                others = others or bool(word)
        self._others += others

    def remarks(self) -> Iterator[Bad]:
        """A sentence for each, and one for all others; nothing where all are declared."""
        for word, rows in self._rows.items():
            said = f"The tag {self._called[word]} of {_counted(rows)} was left out:"
            yield Bad(1, f"{said} it is not declared. {_DECLARE.format('it')}")
        if self._others:
            said = f"Other tags of {_counted(self._others)} were left out:"
            yield Bad(1, f"{said} they are not declared. {_DECLARE.format('them')}")


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _plain(title: str) -> str:
    return _SIGNS.sub("", title.casefold())


def _word(tag: str) -> str:
    """A tag as it is compared: “C++” is not “C”, as “18+” is not “18”; a blank one is nothing."""
    return (_GAPS.sub("", tag.casefold()) or tag.strip())[:_LONGEST]
