"""How a body is set: its buttons, its tables, and what runs the other way than the rest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Literal
from unicodedata import bidirectional

from crm.campaigns.merge import MARK
from crm.campaigns.tree import BLOCKS, Node, every, plain

Way = Literal["ltr", "rtl"]

_RIGHT_TO_LEFT = frozenset({"ar", "he", "fa", "ur", "ps", "sd", "ug", "yi", "ckb", "dv"})
_WAYS: dict[str, Way] = {"L": "ltr", "R": "rtl", "AL": "rtl"}
# Code runs from left to right in every mail, and rows go as their table.
_TURNED = BLOCKS - {"pre", "thead", "tbody", "tfoot", "tr"}
_BOLD_LINKS = ({"a", "strong"}, {"a", "b"})
# Pixels of an average letter of a table, of what stands around each cell, and of the column of
# letters on the narrowest phone and on a wide screen; see `letters/newsletter.html`.
_LETTER, _AROUND, _AROUND_SMALL = 8.6, 16, 8
_PHONE, _SCREEN = 264, 528


def direction(language: str) -> Way:
    """Return `rtl` for languages written from right to left, else `ltr`."""
    return "rtl" if language.replace("_", "-").split("-")[0].lower() in _RIGHT_TO_LEFT else "ltr"


def typeset(root: Node, way: Way) -> None:
    """Set a body in place, in a mail that runs this way."""
    _buttons(root)
    _turn(root, way)
    for table in every(root, "table"):
        _table(table, way)


def _buttons(node: Node) -> None:
    """A bold link that is a paragraph of its own is a button, in a cell, as Outlook needs it."""
    for place, child in enumerate(node.children):
        if not isinstance(child, Node):
            continue
        link = _only_link(child) if child.tag == "p" else None
        if link is None:
            _buttons(child)
            continue
        link.attributes["class"] = "button"
        cell = Node("td", {"class": "button"}, [link])
        holder = {"role": "presentation", "class": "button"}
        node.children[place] = Node("table", holder, [Node("tr", {}, [cell])])


def _only_link(paragraph: Node) -> Node | None:
    """Return the link of `**[…](…)**` or `[**…**](…)`, without its bold; None of anything else."""
    inside = _only(paragraph)
    if inside is None or {inside.tag, getattr(_only(inside), "tag", "")} not in _BOLD_LINKS:
        return None
    within = _only(inside)
    if within is None or any(every(within, "img")):
        return None
    if inside.tag == "a":
        return Node("a", dict(inside.attributes), within.children)
    return Node("a", dict(within.attributes), within.children)


def _only(node: Node) -> Node | None:
    held = [child for child in node.children if not isinstance(child, str) or child.strip()]
    return held[0] if len(held) == 1 and isinstance(held[0], Node) else None


def _table(table: Node, way: Way) -> None:
    table.attributes |= {"border": "0", "cellpadding": "0", "cellspacing": "0"}
    if table.attributes.get("role") == "presentation":
        return
    classes = ("data", _words(table), table.attributes.get("class", ""))
    table.attributes["class"] = " ".join(filter(None, classes))
    start = "right" if table.attributes.get("dir", way) == "rtl" else "left"
    for cell in every(table, "th"):  # else centred, away from what it is the heading of
        cell.attributes.setdefault("align", start)


def _words(table: Node) -> str:
    """Whether its words stay whole everywhere, on a wide screen, or nowhere, so that it fits."""
    rows = [
        [_longest(cell) for cell in row.children if isinstance(cell, Node)]
        for row in every(table, "tr")
    ]
    columns = [max(column) for column in zip_longest(*rows, fillvalue=0)]
    letters = sum(columns) * _LETTER
    if letters + len(columns) * _AROUND_SMALL <= _PHONE:
        return "whole"
    return "wide" if letters + len(columns) * _AROUND <= _SCREEN else ""


def _longest(cell: Node) -> int:
    # A value that is filled in may be of any length.
    if MARK.search(plain(cell)):
        return _SCREEN
    return max(map(len, plain(cell).split()), default=0)


def _turn(node: Node, way: Way) -> None:
    """Say of each block that runs the other way than what is around it that it does."""
    for child in node.children:
        if not isinstance(child, Node):
            continue
        runs: Way = way
        if child.attributes.get("dir") in ("ltr", "rtl"):
            runs = "rtl" if child.attributes["dir"] == "rtl" else "ltr"
        elif child.tag in _TURNED and child.attributes.get("role") != "presentation":
            runs = next(_ways(child), way)
        if runs != way and child.tag in BLOCKS:
            child.attributes |= {"dir": runs, "class": runs}
        _turn(child, runs)


def _ways(node: Node) -> Iterator[Way]:
    """Yield the way of each letter that has one; what is filled in is not known yet."""
    for child in node.children:
        if isinstance(child, Node):
            yield from _ways(child)
            continue
        for letter in MARK.sub("", child):
            found = _WAYS.get(bidirectional(letter))
            if found:
                yield found
