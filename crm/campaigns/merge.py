"""Merge fields: `{{ first_name | default("reader") }}`, each kept safe as one mark."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Mapping

from msgspec import Struct

# A mark stands for one field while Markdown, sanitiser and inliner work on the text around it: one
# private-use character of plane 16, which is a letter to none of them and is in no font.
_FIRST = 0x10E000
_MOST = 1000
_BRACES = chr(_FIRST + _MOST)  # stands for `{{` that is meant literally
MARK = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + _MOST - 1)}]")
_ANY_MARK = re.compile(f"[{chr(_FIRST)}-{_BRACES}]")

# Possessive and bounded: a megabyte of backslashes or braces is read in one pass.
_OPEN = re.compile(r"(?<!\\)(\\*+)\{\{(?:([^\r\n]{0,300}?)\}\})?")
_FIELD = re.compile(
    r"\s*(?P<name>name|first_name|address|business|attribute\.[^\W\d][\w-]*)\s*"
    r"""(?:\|\s*default\s*\(\s*(?P<quote>["'])(?P<default>.*?)(?P=quote)\s*\)\s*)?"""
)


class Field(Struct, frozen=True):
    """A value to be filled in for each customer, and what to write when there is none."""

    name: str
    default: str | None = None


class MergeProblem(Struct, frozen=True):
    """A merge field that cannot be used: where it stands, as written, and what to do."""

    line: int
    text: str
    message: str


class Marks:
    """The fields of one message over subject, preheader and body: one mark for each."""

    def __init__(self, attributes: Collection[str] | None = None) -> None:
        """Accept any attribute, or only those declared."""
        self.fields: list[Field] = []
        self.problems: list[MergeProblem] = []
        self._lines: list[tuple[int, str]] = []
        self._attributes = attributes

    def protect(self, text: str) -> str:
        r"""Put a mark for every field and every literal `\{{`; see `problems` for the rest."""
        text = _ANY_MARK.sub("\N{REPLACEMENT CHARACTER}", text)
        ends = [found.start() for found in re.finditer("\n", text)]

        def marked(found: re.Match[str]) -> str:
            slashes = found[1]
            if len(slashes) % 2:
                inside = found[0].removeprefix(slashes + "{{")
                return slashes[1:] + _BRACES + inside
            line = bisect_left(ends, found.start()) + 1
            return slashes + self._mark(line, found[0].removeprefix(slashes), found[2])

        return _OPEN.sub(marked, text)

    def mark(self, field: Field) -> str:
        """Return the mark of a field that the layout itself brings in."""
        if field not in self.fields:
            self.fields.append(field)
            self._lines.append((0, ""))
        return chr(_FIRST + self.fields.index(field))

    def written(self, text: str) -> list[MergeProblem]:
        """Say for each mark in `text` (an address of a link) that no field may stand there."""
        places = dict.fromkeys(ord(mark) - _FIRST for mark in MARK.findall(text))
        return [
            MergeProblem(
                *self._lines[place],
                "A merge field in the address of a link or image would make it different for every "
                "customer, which is tracking. Take the field out of the address.",
            )
            for place in places
        ]

    def _mark(self, line: int, text: str, inside: str | None) -> str:
        problem, field = _understood(inside)
        if field and self._undeclared(field):
            problem = f"No attribute is called {field.name.removeprefix('attribute.')!r}."
        if not problem and len(self.fields) >= _MOST:
            problem = f"A message can hold {_MOST} different merge fields at most."
        if problem or field is None:
            self.problems.append(MergeProblem(line, text, problem))
            return text
        if field not in self.fields:
            self.fields.append(field)
            self._lines.append((line, text))
        return chr(_FIRST + self.fields.index(field))

    def _undeclared(self, field: Field) -> bool:
        prefix, _, name = field.name.partition(".")
        return (
            prefix == "attribute" and self._attributes is not None and name not in self._attributes
        )


def literal(text: str) -> str:
    """Put the braces back that were written to be seen."""
    return text.replace(_BRACES, "{{")


def filled(text: str, values: Mapping[str, str]) -> str:
    """Replace marks by values; keys of `values` are marks."""
    return MARK.sub(lambda mark: values.get(mark[0], ""), text)


def pieces(text: str) -> list[str | int]:
    """Cut a marked text into constants and numbers of fields."""
    cut: list[str | int] = []
    start = 0
    for mark in MARK.finditer(text):
        cut += [text[start : mark.start()], ord(mark[0]) - _FIRST]
        start = mark.end()
    return [piece for piece in (*cut, text[start:]) if piece != ""]


def by_mark(values: Collection[str]) -> dict[str, str]:
    """Return the values, given in the order of the fields, each under its mark."""
    return {chr(_FIRST + number): value for number, value in enumerate(values)}


def escaped_unknown(text: str) -> tuple[str, list[str]]:
    r"""Write `\{{` for every `{{` that is no field of ours; return also what these were."""
    foreign: dict[str, None] = {}

    def kept(found: re.Match[str]) -> str:
        if len(found[1]) % 2 or _understood(found[2])[1]:
            return found[0]
        foreign[found[0]] = None
        return f"{found[1]}\\{found[0].removeprefix(found[1])}"

    return _OPEN.sub(kept, text), list(foreign)


def _understood(inside: str | None) -> tuple[str, Field | None]:
    if inside is None:
        return r"The field is not closed by }} on the same line. For plain braces write \{{.", None
    found = _FIELD.fullmatch(inside)
    if found is None:
        return (
            (
                "This is not a merge field. There are name, first_name, address, business and "
                'attribute.NAME, each with | default("…") if it may be missing. '
                r"For plain braces write \{{."
            ),
            None,
        )
    return "", Field(found["name"], found["default"])
