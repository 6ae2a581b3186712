"""Which columns and tags of a list the business has declared, and which values fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain

from msgspec.structs import replace

from crm.customers import Attribute, Tag, written
from crm.errors import Refused
from crm.imports.model import OUT, Bad, Row
from crm.imports.showing import LONGEST, shown
from crm.imports.untaken import DECLARE, NAMED, Untaken, counted

_SIGNS = re.compile(r"[\W_]+")
_GAPS = re.compile(r"[\s_-]+")
_REMEMBERED = 1000


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
        self._untaken = Untaken(lambda title: self._name(title) is None)
        self._watched = Untaken(lambda _: True, watched=True)

    def of(self, row: Row) -> Row:
        """The row with values and tags by name, without what is not declared or does not fit."""
        kept: dict[str, str] = {}
        notes: list[str] = []
        for title, value in row.other.items():
            name = self._name(title)
            if name is None or name in kept or not value:
                continue
            try:
                kept[name] = written(self._types[name], value).text
            except Refused:
                notes.append(f"The value of {name} was left out: it is no {self._types[name]}.")
        tags = dict.fromkeys(name for said in row.tags if (name := self._tag(said)) is not None)
        return replace(row, other=kept, notes=(*row.notes, *notes), tags=tuple(tags))

    def count(self, row: Row) -> None:
        """Count a row for each of its tags, and each title with a value, of which nothing is taken.

        Once for each row of the list; of who left there none would be taken anyway.
        """
        if row.status in OUT:
            return
        missing = [said for said in row.tags if self._tag(said) is None]
        if missing:
            self._undeclared.add(missing)
        if values := row.other:
            whole = "" not in values.values()
            self._untaken.add(tuple(values if whole else filter(values.get, values)))
        if row.watched:
            self._watched.add(row.watched)

    def undeclared(self) -> Iterator[Bad]:
        """What is to be said of what no row was given, once the list is through."""
        return chain(self._watched.remarks(), self._untaken.remarks(), self._undeclared.remarks())

    def _name(self, title: str) -> str | None:
        known = self._known
        if title not in known:
            if len(title) > LONGEST:
                return None
            if len(known) >= _REMEMBERED:
                # JSON may have other titles in every line.
                known.clear()
            known[title] = self._named.get(_plain(title))
        return known[title]

    def _tag(self, said: str) -> str | None:
        return self._found(said) if len(said) <= LONGEST else None


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
            elif word and len(self._rows) < NAMED:
                self._rows[word], self._called[word] = 1, shown(said)
            else:
                others = others or bool(word)
        self._others += others

    def remarks(self) -> Iterator[Bad]:
        """A sentence for each, and one for all others; nothing where all are declared."""
        for word, rows in self._rows.items():
            said = f"The tag {self._called[word]} of {counted(rows)} was left out:"
            yield Bad(1, f"{said} it is not declared. {DECLARE.format('it')}")
        if self._others:
            said = f"Other tags of {counted(self._others)} were left out:"
            yield Bad(1, f"{said} they are not declared. {DECLARE.format('them')}")


def _plain(title: str) -> str:
    return _SIGNS.sub("", title.casefold())


def _word(tag: str) -> str:
    """A tag as it is compared: “C++” is not “C”, as “18+” is not “18”; a blank one is nothing."""
    return (_GAPS.sub("", tag.casefold()) or tag.strip())[:LONGEST]
