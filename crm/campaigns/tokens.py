"""HTML cut into units that are compared one by one, and their differences in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from crm.campaigns.markup import Token, tokens
from crm.campaigns.skeleton import Piece, Slot
from crm.languages import gettext, marked

# Stands for a slot while HTML is cut; a message never holds these (they are no characters).
_FIRST, _LAST = 0xE000, 0xF8FF
_BLANK = re.compile(r"\s+")
# Of markup only these are blanks: any other is a letter of a name, an address or a condition.
_BLANKS = " \t\n\f\r"
_HTML_BLANK = re.compile(f"[{_BLANKS}]+")
_TELLING = {"a": "href", "area": "href", "img": "src"}

_REWRITTEN = marked("A link was rewritten.")
_EXCHANGED = marked("An image was exchanged.")
_MARKUP = marked("Markup was changed.")
_TEXT = marked("Text was changed.")


class Unit(Struct, frozen=True):
    """One tag, text, comment or line: its pieces, and how it is shown."""

    pieces: tuple[Piece, ...]
    shown: str
    name: str = ""
    address: str = ""

    @property
    def tag(self) -> bool:
        """Whether it is a tag, and no text, comment or style."""
        return self.name not in {"", "!", "="}

    @classmethod
    def of(cls, pieces: Sequence[Piece], name: str = "", address: str = "") -> Unit:
        """Make a unit; slots are shown in braces."""
        shown = "".join(p if isinstance(p, str) else f"{{{p.slot}}}" for p in pieces)
        return cls(tuple(pieces), shown, name, address)

    @property
    def slotted(self) -> bool:
        """Whether it has a slot."""
        return any(isinstance(each, Slot) for each in self.pieces)

    @property
    def text(self) -> str:
        """What is written in it, where it has no slots."""
        return self.shown


def of_html(pieces: Sequence[Piece]) -> list[Unit]:
    """Cut HTML into units: blanks folded, attributes in order of their names, entities read."""
    slots: dict[str, Slot] = {}
    taken = {char for each in pieces if isinstance(each, str) for char in each}
    free = (chr(at) for at in range(_FIRST, _LAST) if chr(at) not in taken)
    html = ""
    for each in pieces:
        if isinstance(each, str):
            html += each
        else:
            mark = next((mark for mark, slot in slots.items() if slot == each), None) or next(free)
            slots[mark] = each
            html += mark
    return list(_units(html, slots))


def _units(html: str, slots: Mapping[str, Slot]) -> Iterator[Unit]:
    text = ""
    for token in tokens(html):
        if token.aside:
            continue  # it stands whole in the comment before
        if token.name == "":
            text += token.text
            continue
        # Also where it is empty: a value may be, between two tags.
        yield Unit.of(_loose(text, slots))
        text = ""
        address = token.get(_TELLING.get(token.name, ""))
        yield Unit.of(_beside(_written(token), slots), token.name, _named(address, slots))
    yield Unit.of(_loose(text, slots))


def _written(token: Token) -> str:
    if token.name in {"!", "="}:
        return _HTML_BLANK.sub(" ", token.text).strip(_BLANKS)
    # Of two attributes of one name the first counts, so they keep their order.
    inside = sorted(token.attributes, key=lambda each: each[0])
    written = "".join(f' {name}="{_value(name, value)}"' for name, value in inside)
    return f"<{token.name}{written}>"


def _value(name: str, value: str) -> str:
    """Write what an attribute says, so that a raw quotation mark is always its end."""
    bare = value.strip(_BLANKS)
    # In an address a line end is nothing, and a blank is something.
    folded = bare if name in _TELLING.values() else _HTML_BLANK.sub(" ", bare)
    return folded.replace("&", "&amp;").replace('"', "&quot;")


def _loose(text: str, slots: Mapping[str, Slot]) -> list[Piece]:
    return _beside(_BLANK.sub(" ", text).strip(), slots)


def _beside(text: str, slots: Mapping[str, Slot]) -> list[Piece]:
    """Take out blanks beside a merge value, which belong to it: it may be empty."""
    marks = "".join(re.escape(mark) for mark, s in slots.items() if not s.slot.startswith("link."))
    return _cut(re.sub(rf" ?([{marks}]) ?", r"\1", text) if marks else text, slots)


def _cut(text: str, slots: Mapping[str, Slot]) -> list[Piece]:
    out: list[Piece] = []
    words = ""
    for char in text:
        if char in slots:
            out += [words, slots[char]] if words else [slots[char]]
            words = ""
        else:
            words += char
    return [*out, words] if words else out


def _named(text: str, slots: Mapping[str, Slot]) -> str:
    return "".join(f"{{{slots[char].slot}}}" if char in slots else char for char in text)


def told(expected: Sequence[Unit], received: Sequence[Unit]) -> Iterator[tuple[str, str, str]]:
    """Say what became of these units: first what was changed, then what is missing or put in."""
    left = [each for each in expected if each.shown]
    put_in: list[Unit] = []
    for unit in received:
        if not unit.shown:
            continue
        twin = next(
            (each for each in left if each.name == unit.name and unit.name[:1] != "/"), None
        )
        if twin is None:
            put_in.append(unit)
            continue
        left.remove(twin)
        if twin.address != unit.address:
            what = _REWRITTEN if unit.name != "img" else _EXCHANGED
            yield gettext(what), twin.address, unit.address
        else:
            what = _MARKUP if unit.name else _TEXT
            yield gettext(what), twin.shown, unit.shown
    only_ends = all(each.name.startswith("/") for each in (*left, *put_in))
    for units, missing in ((put_in, False), (left, True)):
        for each in units:
            if each.name.startswith("/") and not only_ends:
                continue
            shown = each.address or each.shown
            was, now = (shown, "") if missing else ("", shown)
            yield (_missing(each) if missing else _put_in(each)), was, now


def _put_in(unit: Unit) -> str:
    known = {
        "": gettext("Text was put in."),
        "a": gettext("A link was put in."),
        "img": gettext("An image was put in."),
        "!": gettext("A comment was put in."),
        "=": gettext("A style was put in."),
    }
    return known.get(unit.name) or gettext("Markup (%(name)s) was put in.", name=f"<{unit.name}>")


def _missing(unit: Unit) -> str:
    known = {
        "": gettext("Text is missing."),
        "a": gettext("A link is missing."),
        "img": gettext("An image is missing."),
        "!": gettext("A comment is missing."),
        "=": gettext("A style is missing."),
    }
    return known.get(unit.name) or gettext("Markup (%(name)s) is missing.", name=f"<{unit.name}>")
