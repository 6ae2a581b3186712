"""Merge fields: `{{ first_name | default("reader") }}`, each kept safe as one mark.

A plain field is looked up; only an expression (`{{ name | upper }}`, `{% if … %}`) is worked out.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Mapping

from msgspec import Struct

from crm.campaigns.expression import ATTRIBUTE, Expression, NoExpression

# A mark stands for one field while Markdown, sanitiser and inliner work on the text around it: one
# private-use character of plane 16, which is a letter to none of them and is in no font.
_FIRST = 0x10E000
_MOST = 1000
_BRACES = chr(_FIRST + _MOST)  # stands for `{{` that is meant literally
_PERCENT = chr(_FIRST + _MOST + 1)  # the same for `{%`
MARK = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + _MOST - 1)}]")
_ANY_MARK = re.compile(f"[{chr(_FIRST)}-{_PERCENT}]")

# Embeddings, overrides and isolates, and what ends them.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")

# Possessive and bounded: a megabyte of backslashes or braces is read in one pass.
_OPEN = re.compile(
    r"(?<!\\)(\\*+)(?:(?P<open>\{\{)(?:(?P<inside>[^\r\n]{0,300}?)\}\})?"
    r"|(?P<if>\{%-?[ \t]*if\b)(?P<block>[^\r\n]{0,600}?\{%-?[ \t]*endif[ \t]*-?%\})?)"
)
_FIELD = re.compile(
    r"\s*(?P<name>name|first_name|address|business|attribute\.[^\W\d][\w-]*)\s*"
    r"""(?:\|\s*default\s*\(\s*(?P<quote>["'])(?P<default>.*?)(?P=quote)\s*\)\s*)?"""
)

_IF = re.compile(r"\{%-?[ \t]*if\b")
_NAMES = "There are name, first_name, address, business and attribute.NAME"
_NO_FIELD = (
    f"This is not a merge field. {_NAMES}, each with "
    r'| default("…") if it may be missing. For plain braces write \{{.'
)
_NO_CONDITION = (
    f"This condition asks for nothing that is known of a customer. {_NAMES}. "
    r"For plain braces write \{%."
)


class Field(Struct, frozen=True):
    """A value to be filled in for each customer, and what to write when there is none."""

    name: str
    default: str | None = None
    # What is worked out for each customer; `name` is then how it is written.
    expression: Expression | None = None

    @property
    def asks(self) -> tuple[str, ...]:
        """What must be known of a customer to fill it in."""
        return self.expression.names if self.expression else (self.name,)


class MergeProblem(Struct, frozen=True):
    """A merge field that cannot be used: where it stands, as written, and what to do."""

    line: int
    text: str
    message: str


def unmarked(text: str) -> str:
    """Return a text in which nothing is a field, braces included: for mails that merge nothing."""
    return _ANY_MARK.sub("\N{REPLACEMENT CHARACTER}", _encodable(text))


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
        text = unmarked(text)
        ends = [found.start() for found in re.finditer("\n", text)]

        def marked(found: re.Match[str]) -> str:
            slashes = found[1]
            if len(slashes) % 2:
                inside = found[0].removeprefix(slashes)[2:]
                return slashes[1:] + (_BRACES if found["open"] else _PERCENT) + inside
            line = bisect_left(ends, found.start()) + 1
            return slashes + self._mark(line, found[0].removeprefix(slashes), found)

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

    def restored(self, text: str) -> str:
        """Write the fields again as they were written, where their marks stand."""
        return MARK.sub(lambda mark: self._lines[ord(mark[0]) - _FIRST][1], text)

    def _mark(self, line: int, text: str, found: re.Match[str]) -> str:
        problem, field = _understood(found)
        undeclared = self._undeclared(field) if field else ""
        if undeclared:
            problem = f"No attribute is called {undeclared!r}."
        if not problem and len(self.fields) >= _MOST:
            problem = f"A message can hold {_MOST} different merge fields at most."
        if problem or field is None:
            self.problems.append(MergeProblem(line, text, problem))
            return text
        if field not in self.fields:
            self.fields.append(field)
            self._lines.append((line, text))
        return chr(_FIRST + self.fields.index(field))

    def _undeclared(self, field: Field) -> str:
        asked = (n.removeprefix(ATTRIBUTE) for n in field.asks if n.startswith(ATTRIBUTE))
        known = self._attributes
        return next((name for name in asked if known is not None and name not in known), "")


def _encodable(text: str) -> str:
    """Half a surrogate pair is no character, and in no encoding."""
    return text.encode("utf-8", "replace").decode()


def literal(text: str) -> str:
    """Put the braces back that were written to be seen."""
    return text.replace(_BRACES, "{{").replace(_PERCENT, "{%")


def upright(value: str) -> str:
    """Take the marks out that would turn the sentence after a value around (Unicode UAX 9, §2).

    Taken out, not isolated: an isolate would be two letters more in every value, shown as boxes by
    old mail programs, and no name needs an override. Marks that only place a word stay.
    """
    return value if value.isascii() else _TURNING.sub("", value)


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
        if len(found[1]) % 2 or _understood(found)[1]:
            return found[0]
        whole = found[0].removeprefix(found[1])
        foreign[whole] = None
        # A block may hold fields of its own, which are as foreign as it is.
        inner = whole[2:].replace("{{", "\\{{") if found["if"] else whole[2:]
        return f"{found[1]}\\{whole[:2]}{inner}"

    return _OPEN.sub(kept, text), list(foreign)


def _understood(found: re.Match[str]) -> tuple[str, Field | None]:
    if found["if"]:
        return _condition(found["if"], found["block"])
    inside = found["inside"]
    if inside is None:
        return r"The field is not closed by }} on the same line. For plain braces write \{{.", None
    plain = _FIELD.fullmatch(inside)
    if plain is not None:
        return "", Field(plain["name"], plain["default"])
    return _worked_out(f"{{{{{inside}}}}}", _NO_FIELD)


def _condition(opening: str, block: str | None) -> tuple[str, Field | None]:
    if block is None:
        return (
            "The condition is not closed by {% endif %} on the same line. It chooses words within "
            r"a paragraph, not paragraphs. For plain braces write \{%."
        ), None
    if _IF.search(block):
        return "A condition cannot stand inside another. Use elif, or write two of them.", None
    return _worked_out(opening + block, _NO_CONDITION)


def _worked_out(source: str, otherwise: str) -> tuple[str, Field | None]:
    try:
        expression = Expression(source)
    except NoExpression as no:
        return str(no) or otherwise, None
    return "", Field(source, expression=expression)
