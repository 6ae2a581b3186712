"""What the columns of a list may hold, by their names and first cells: offered to whoever says it.

Nothing is guessed that counts as evidence: for that somebody has to answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from crm.imports.columns import (
    ADDRESS,
    FIRST_NAME,
    FULL_NAME,
    LAST_NAME,
    LEFT_AT,
    STATUS,
    YES_IS_IN,
    YES_IS_OUT,
    word,
)
from crm.imports.mapping import Means, Separator

_KNOWN = (
    (ADDRESS, Means.address),
    (FULL_NAME, Means.name),
    (FIRST_NAME, Means.first_name),
    (LAST_NAME, Means.last_name),
    (STATUS, Means.status),
    (YES_IS_IN, Means.subscribed),
    (YES_IS_OUT, Means.unsubscribed),
    (LEFT_AT, Means.left_at),
    (frozenset({"tags"}), Means.tags),
)


class Heading(Struct, frozen=True):
    """A column by its name, and a few of the first cells in it that are not empty."""

    name: str
    cells: tuple[str, ...]


class Head(Struct, frozen=True):
    """How a list begins, and how it was read; `guessed` where its bytes allow another encoding."""

    encoding: str
    guessed: bool
    separator: Separator
    headings: list[Heading]


def guess(headings: Sequence[Heading], attributes: Mapping[str, str]) -> list[tuple[Means, str]]:
    """Say of each column what it may hold, and which attribute; each meaning comes once.

    `attributes` are those declared, by name, with their labels.
    """
    taken: set[tuple[Means, str]] = set()
    guesses = []
    without = not any(word(each.name) in ADDRESS for each in headings)
    for heading in headings:
        found = (Means.leave, "")
        for each in _guesses(heading, attributes, by_cells=without):
            if each not in taken:
                found = each
                taken.add(each)
                break
        guesses.append(found)
    return guesses


def _guesses(
    heading: Heading, attributes: Mapping[str, str], *, by_cells: bool
) -> Iterator[tuple[Means, str]]:
    named = word(heading.name)
    for words, means in _KNOWN:
        if named in words:
            yield means, ""
    for name, label in attributes.items():
        if named and named in (word(name), word(label)):
            yield Means.attribute, name
    if by_cells and heading.cells and all("@" in cell for cell in heading.cells):
        yield Means.address, ""
