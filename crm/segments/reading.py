"""JSON as a rule, or everything that is wrong with it at once, each with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import singledispatch
from uuid import UUID

import msgspec

from crm.customers import AttributeType, WrongType, written
from crm.errors import Invalid, Problem
from crm.segments.model import BadRule, Vocabulary
from crm.segments.model import Written as Json
from crm.segments.rule import (
    DEEPEST,
    MOST,
    All,
    Anniversary,
    Any,
    Attribute,
    Consent,
    Created,
    DateNear,
    Delivery,
    Interaction,
    Is,
    Language,
    Mailed,
    Not,
    Question,
    Rule,
    Tag,
)
from crm.time_zones import FIRST_YEAR, LAST_YEAR

_LEAVES: dict[str, type[Rule]] = {
    "attribute": Attribute,
    "date_near": DateNear,
    "anniversary": Anniversary,
    "tag": Tag,
    "interaction": Interaction,
    "consent": Consent,
    "delivery": Delivery,
    "mailed": Mailed,
    "created": Created,
    "language": Language,
}
_JOINED: dict[str, Callable[[list[Rule]], Rule]] = {
    "all": lambda of: All(of=of),
    "any": lambda of: Any(of=of),
}
_TESTS = (*_JOINED, "not", *_LEAVES)

# By the type of an attribute, how its value may be compared.
COMPARED: dict[AttributeType, frozenset[Is]] = {
    AttributeType.text: frozenset({Is.known, Is.equals, Is.begins_with, Is.contains}),
    AttributeType.number: frozenset(
        {Is.known, Is.equals, Is.less_than, Is.at_most, Is.at_least, Is.more_than}
    ),
    AttributeType.date: frozenset({Is.known, Is.equals, Is.before, Is.after}),
    AttributeType.boolean: frozenset({Is.known, Is.equals}),
}
_AT = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


def read(given: Json, vocabulary: Vocabulary, campaigns: frozenset[UUID], at: str = "rule") -> Rule:
    """Make a rule of JSON that stands at this place, or refuse with BadRule and every problem.

    `campaigns` are those of this business among the ones it names (`campaigns_named`).
    """
    reading = _Reading(vocabulary, campaigns)
    rule = reading.test(given, at, 1)
    if reading.problems or rule is None:
        raise BadRule(problems=reading.problems)
    return rule


def campaigns_named(given: Iterable[object]) -> set[UUID]:
    """Collect the campaigns that JSON names, right or wrong as it is."""
    found: set[UUID] = set()
    waiting = list(given)
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            found |= set(_uuids(each.get("campaign_id")))
    return found


def questions(rule: Rule) -> Iterator[Rule]:
    """Yield every test in a rule, itself first."""
    yield rule
    inner = rule.of if isinstance(rule, All | Any | Not) else []
    for each in inner if isinstance(inner, list) else [inner]:
        yield from questions(each)


def _uuids(value: object) -> Iterator[UUID]:
    if isinstance(value, str):
        try:
            yield UUID(value)
        except ValueError:
            return


class _Reading:
    """One walk through JSON, which goes on after what is wrong."""

    def __init__(self, vocabulary: Vocabulary, campaigns: frozenset[UUID]) -> None:
        self.problems: list[Problem] = []
        self._vocabulary = vocabulary
        self._campaigns = campaigns
        self._left = MOST

    def test(self, given: object, at: str, depth: int) -> Rule | None:
        """Read one test and what stands in it; None where something is wrong with it."""
        self._left -= 1
        if depth > DEEPEST:
            return self._wrong(at, f"Tests stand in one another {DEEPEST} deep at most.")
        if self._left < 0:
            # Once is enough.
            once = self._left == -1
            return self._wrong(at, f"A rule has {MOST} tests at most.") if once else None
        if not isinstance(given, dict):
            return self._wrong(at, 'A test is an object, such as {"test": "tag", "name": "vip"}.')
        return self._object(given, at, depth)

    def _object(self, given: Json, at: str, depth: int) -> Rule | None:
        which = given.get("test")
        if not isinstance(which, str) or which not in _TESTS:
            return self._wrong(f"{at}/test", f"A test is one of: {', '.join(_TESTS)}.")
        if which in _JOINED:
            return self._joined(which, given, at, depth)
        if which == "not":
            inner = self.test(given.get("of"), f"{at}/of", depth + 1)
            return Not(of=inner) if self._only(given, at) and inner else None
        return self._leaf(_LEAVES[which], given, at)

    def _joined(self, which: str, given: Json, at: str, depth: int) -> Rule | None:
        inner = given.get("of")
        if not isinstance(inner, list):
            return self._wrong(f"{at}/of", "This is a list of tests.")
        read = [self.test(each, f"{at}/of/{n}", depth + 1) for n, each in enumerate(inner[:MOST])]
        if len(inner) > MOST:
            self._wrong(f"{at}/of", f"A rule has {MOST} tests at most.")
        fine = self._only(given, at)
        good = [each for each in read if each is not None]
        return _JOINED[which](good) if fine and len(good) == len(inner) else None

    def _only(self, given: Json, at: str) -> bool:
        unknown = sorted(set(given) - {"test", "of"})
        for name in unknown:
            self._wrong(f"{at}/{_pointed(name)}", "There is no such field here.")
        return not unknown

    def _leaf(self, kind: type[Rule], given: Json, at: str) -> Rule | None:
        try:
            leaf: Rule = msgspec.convert(given, kind)
        except msgspec.ValidationError as wrong:
            message, place = _told(wrong)
            return self._wrong(f"{at}{place}", message)
        before = len(self.problems)
        for field, message in _problems(leaf, self._vocabulary):
            self._wrong(f"{at}/{field}", message)
        if isinstance(leaf, Delivery) and leaf.campaign_id not in self._campaigns:
            self._wrong(f"{at}/campaign_id", "There is no such campaign.")
        return leaf if len(self.problems) == before else None

    def _wrong(self, at: str, message: str) -> Rule | None:
        self.problems.append(Problem(at, message))
        return None


def _told(wrong: msgspec.ValidationError) -> tuple[str, str]:
    """Cut what msgspec says into its sentence and the place, as a pointer."""
    match = _AT.match(str(wrong))
    sentence, place = (match[1], match[2] or "") if match else (str(wrong), "")
    steps = [name or number for name, number in _STEP.findall(place)]
    return f"{sentence.rstrip('.')}.", "".join(f"/{step}" for step in steps)


def _pointed(name: str) -> str:
    # RFC 6901 §3: the two characters that mean something in a pointer.
    return name[:63].replace("~", "~0").replace("/", "~1")


Found = Iterator[tuple[str, str]]


@singledispatch
def _problems(_test: Question, _vocabulary: Vocabulary) -> Found:
    """Yield what is wrong with one test beyond its form: the field, and a sentence."""
    return iter(())


@_problems.register
def _(test: Attribute, vocabulary: Vocabulary) -> Found:
    declared = vocabulary.attributes.get(test.name)
    if declared is None or declared.type is None:
        yield "name", "There is no attribute of this name."
    elif test.is_ not in COMPARED[declared.type]:
        may = ", ".join(sorted(COMPARED[declared.type]))
        yield "is", f"A {declared.type} is compared by one of: {may}."
    elif test.is_ is Is.known:
        if test.value is not None:
            yield "value", "To ask whether it is known, leave this out."
    elif test.value is None:
        yield "value", "Give the value to compare with."
    else:
        try:
            written(declared.type, test.value)
        except (Invalid, WrongType) as wrong:
            yield "value", wrong.message


@_problems.register(DateNear)
@_problems.register(Anniversary)
def _(test: DateNear | Anniversary, vocabulary: Vocabulary) -> Found:
    declared = vocabulary.attributes.get(test.name)
    if declared is None:
        yield "name", "There is no attribute of this name."
    elif declared.type is not AttributeType.date:
        yield "name", "This attribute is no date."
    if isinstance(test, DateNear) and test.from_days > test.to_days:
        yield "to_days", "This is not before `from_days`."


@_problems.register
def _(test: Tag, vocabulary: Vocabulary) -> Found:
    if test.name not in vocabulary.tags:
        yield "name", "There is no tag of this name."


@_problems.register
def _(test: Interaction, vocabulary: Vocabulary) -> Found:
    if test.kind not in vocabulary.kinds:
        yield "kind", "There is no kind of interaction of this name."
    yield from _one_beginning(test)


@_problems.register
def _(test: Consent, vocabulary: Vocabulary) -> Found:
    if test.purpose_id not in vocabulary.purposes:
        yield "purpose_id", "There is no such purpose."


@_problems.register
def _(test: Mailed, _vocabulary: Vocabulary) -> Found:
    yield from _one_beginning(test)


@_problems.register
def _(test: Created, _vocabulary: Vocabulary) -> Found:
    if test.since is None and test.before is None and test.within_days is None:
        yield "since", "Give a day: since, before, or within_days."
    yield from _one_beginning(test)


def _one_beginning(test: Interaction | Mailed | Created) -> Found:
    if test.since is not None and test.within_days is not None:
        yield "within_days", "Give either since or within_days."
    for name in ("since", "before"):
        day = getattr(test, name, None)
        if day is not None and not FIRST_YEAR <= day.year <= LAST_YEAR:
            yield name, f"This is a day of the years {FIRST_YEAR} to {LAST_YEAR}."
