"""What DNS has said so far, for rules that are pure: they say what they would still like to know.

A rule asks the zone as if it knew everything. Where something was not asked of DNS yet, the zone
answers with nothing and remembers the question; whoever looks asks it and begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct


class Question(NamedTuple):
    """A name and a type of record."""

    name: str
    type: str


class Answer(Struct, frozen=True):
    """The records as text: a TXT in one piece, an MX as `10 HOST`, names without the last dot.

    Nothing is there where records are empty; `failed` says why nobody knows.
    """

    records: tuple[str, ...] = ()
    failed: str = ""


NOTHING = Answer()


class Zone:
    """Answers by their questions."""

    def __init__(self, answers: Mapping[Question, Answer]) -> None:
        self._answers = answers
        # What was asked and is not known yet, and what DNS would not say, each in order.
        self.wanted: dict[Question, None] = {}
        self.failed: dict[Question, str] = {}

    def ask(self, name: str, kind: str) -> Answer:
        """Return what is known; nothing where it is still wanted."""
        question = Question(name.lower().rstrip("."), kind)
        answer = self._answers.get(question)
        if answer is None:
            self.wanted[question] = None
            return NOTHING
        if answer.failed:
            self.failed[question] = answer.failed
        return answer

    def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a host, of both families."""
        return self.ask(name, "A").records + self.ask(name, "AAAA").records


def tags(record: str) -> dict[str, str]:
    """Read a list of `name=value;` (RFC 6376 §3.2); what is none is left out."""
    found = {}
    for part in record.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found[name.strip().lower()] = value.strip()
    return found
