"""Merge expressions: a field put through filters, or words under a condition, as text (minijinja).

What comes out is text and nothing else. It is escaped and encoded like any value, so that neither
staff nor customers write markup with it; and it holds no address, for one made for a single
customer is tracking (promise 4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from minijinja import Environment, TemplateError

ATTRIBUTE = "attribute."
PLAIN_NAMES = frozenset({"name", "first_name", "address", "business"})
FILTERS = frozenset({
    "abs", "capitalize", "d", "default", "first", "float", "int", "join", "last", "length",
    "lower", "replace", "round", "split", "string", "title", "trim", "upper",
})  # fmt: skip

# Instructions, which loops and growing texts use up: a sentence takes about twenty.
_FUEL = 20_000
_LONGEST = 10_000  # characters that one expression may come to
_STRING = re.compile(r"""("|')(?:\\.|(?!\1)[^\\])*\1""")
_FILTER = re.compile(r"\|\s*([A-Za-z_]\w*)")
_TAG = re.compile(r"\{%-?\s*(\w*)")
_INSIDE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_NO_WORDS = re.compile(r"[*`<>\[\]\\~|]|(?<!\w)_|&\w+;|&#")
_ADDRESS = re.compile(r"://|www\.|mailto:", re.IGNORECASE)
_EMPTY_DEFAULT = re.compile(r"\b(?:default|d)\s*\(\s*(?:\"\"|'')\s*\)")


class NoExpression(ValueError):
    """This is no merge expression; the message says why, or is empty where it is none at all."""


class Expression:
    """One expression, compiled once; equal to another that is written the same."""

    def __init__(self, source: str) -> None:
        """Compile, or raise NoExpression with a sentence for its author."""
        _look_at(source)
        self.source = source
        self._blank = False
        self._may_be_blank = _EMPTY_DEFAULT.search(source) is not None
        self._environment = self._made()
        self.names = self._asked()
        self._tried()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def text(self, values: Mapping[str, str]) -> str:
        """Work it out for one customer; a ValueError where that goes wrong or grows too long."""
        self._blank = False
        try:
            text = self._environment.render_template("it", **self._known(values))
        except TemplateError as wrong:
            raise ValueError(f"{self.source}: {_reason(wrong)}") from None
        if len(text) > _LONGEST:
            raise ValueError(f"{self.source}: it comes to more than {_LONGEST} characters")
        return text

    def lacks(self, values: Mapping[str, str]) -> bool:
        """Say whether a {{ … }} of it comes to nothing for this customer; ValueError as `text`."""
        self.text(values)
        return self._blank and not self._may_be_blank

    def _made(self) -> Environment:
        environment = Environment(
            fuel=_FUEL,
            undefined_behavior="strict",
            # Text: what is filled into HTML is escaped there, once.
            auto_escape_callback=lambda _: False,
            finalizer=self._seen,
            debug=False,
            pycompat=False,
        )
        for name in list(environment.globals):
            environment.remove_global(name)
        for name in ("default", "d"):
            environment.add_filter(name, _default)
        try:
            environment.add_template("it", self.source)
        except TemplateError as wrong:
            raise NoExpression(f"It is not complete: {_reason(wrong)}.") from None
        return environment

    def _seen(self, value: Any) -> Any:
        if not str(value).strip():
            self._blank = True
        return value

    def _asked(self) -> tuple[str, ...]:
        found = self._environment.undeclared_variables_in_template("it", nested=True)
        attributes = {name for name in found if name.startswith(ATTRIBUTE)}
        plain = found - attributes - ({"attribute"} if attributes else set())
        if plain - PLAIN_NAMES or any(name.count(".") > 1 for name in attributes) or not found:
            raise NoExpression("")
        return tuple(sorted(plain | attributes))

    def _tried(self) -> None:
        """Find unknown filters and the like before any customer does."""
        try:
            self.text(dict.fromkeys(self.names, "7"))
        except ValueError as wrong:
            sentence = str(wrong).removeprefix(f"{self.source}: ")
            raise NoExpression(f"It cannot be worked out: {sentence}.") from None

    def _known(self, values: Mapping[str, str]) -> dict[str, Any]:
        context: dict[str, Any] = {}
        attributes: dict[str, str] = {}
        for name in self.names:
            value = values.get(name, "")
            if name.startswith(ATTRIBUTE):
                attributes[name.removeprefix(ATTRIBUTE)] = value
            else:
                context[name] = value
        return context | {"attribute": attributes}


def _look_at(source: str) -> None:
    bare = _STRING.sub('""', source)
    strange = [name for name in _FILTER.findall(bare) if name not in FILTERS]
    if strange:
        raise NoExpression(
            f"There is no filter {strange[0]}. There are {', '.join(sorted(FILTERS - {'d'}))}."
        )
    if any(tag not in {"if", "elif", "else", "endif"} for tag in _TAG.findall(bare)):
        raise NoExpression("Of conditions there are if, elif, else and endif only.")
    # What stands in them cannot be told from outside, so what a text asks for would not be known.
    if any("[" in inside for inside in _INSIDE.findall(bare)):
        raise NoExpression(
            "Brackets are not understood here. There are the filters first, last and replace."
        )
    if _ADDRESS.search(source):
        raise NoExpression(
            "An address in it would be different from customer to customer, which is tracking. "
            "Write the link beside it, the same for everybody."
        )
    if _NO_WORDS.search(_INSIDE.sub("", source)):
        raise NoExpression(
            "Between {% if … %} and {% endif %} there can be plain words and fields only. Put "
            "what is bold, a link or a picture before or after it."
        )


def _default(value: Any, other: Any = "", _: Any = None) -> Any:
    """Give `other` also for what is there and blank: nobody reads a difference."""
    return value if str(value).strip() else other


def _reason(wrong: TemplateError) -> str:
    return wrong.message.split(" (in ", 1)[0].removeprefix("syntax error: ")
