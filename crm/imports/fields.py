"""Which columns of a list are attributes that the business has declared, and values that fit."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec.structs import replace

from crm.customers import Attribute, written
from crm.errors import Refused
from crm.imports.model import Row

_SIGNS = re.compile(r"[\W_]+")


class Fields:
    """Finds the declared attribute of a column by its name or label: “ZIP Code” is `zip_code`."""

    def __init__(self, declared: Iterable[Attribute]) -> None:
        # A customer's name is no attribute, whatever is declared.
        mine = [each for each in declared if each.name != "name"]
        self._types = {each.name: each.type for each in mine}
        self._named = {_plain(each.label): each.name for each in mine}
        self._named |= {_plain(each.name): each.name for each in mine}
        self.names = frozenset(self._types)
        self._known: dict[str, str | None] = {}

    def of(self, row: Row) -> Row:
        """The row with values by attribute; what is not declared or does not fit is left out."""
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
        return replace(row, other=kept, notes=(*row.notes, *notes))


def _plain(title: str) -> str:
    return _SIGNS.sub("", title.casefold())
