"""A rule put together in a form, one test after the other, and said in words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from uuid import UUID

from msgspec import Struct

from crm.customers import Given, written
from crm.customers.value import read as plain
from crm.errors import Invalid, Problem
from crm.segments.model import Vocabulary, Written
from crm.segments.rule import (
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


class Part(Struct, frozen=True, kw_only=True):
    """One test as a form asks for it: what it is about, how it compares, and with what."""

    # What it is about, and which of these: `tag:vip`, `attribute:city`, `mailed:`.
    about: str
    compared: str = ""
    value: str = ""
    days: int | None = None
    negated: bool = False


def added(rule: Written, part: Part, vocabulary: Vocabulary) -> Written:
    """Add a test to those that must all be true; refuses with what is missing for it."""
    test = _built(part, vocabulary)
    if part.negated:
        test = {"test": "not", "of": test}
    if not rule:
        return {"test": "all", "of": [test]}
    if rule.get("test") == "all" and isinstance(rule.get("of"), list):
        return {**rule, "of": [*rule["of"], test]}
    return {"test": "all", "of": [rule, test]}


def _built(part: Part, vocabulary: Vocabulary) -> Written:
    kind, _, which = part.about.partition(":")
    if kind == "attribute":
        return _attribute(part, which, vocabulary)
    days = {} if part.days is None else {"within_days": part.days}
    fields: dict[str, Written] = {
        "anniversary": {"name": which, **days},
        "tag": {"name": which},
        "interaction": {"kind": which, **_often(part.value), **days},
        "consent": {"purpose_id": which, "state": part.compared or "allowed"},
        "delivery": {"campaign_id": which, "state": part.compared or "sent"},
        "language": {"code": part.value},
    }
    return {"test": kind, **fields.get(kind, days)}


def _often(text: str) -> Written:
    """Read how often at least; of what does not ask that, whatever it is stays unread."""
    return {"at_least": int(text[:6])} if text.isascii() and text.isdigit() else {}


def _attribute(part: Part, name: str, vocabulary: Vocabulary) -> Written:
    compared = part.compared or (Is.equals if part.value else Is.known)
    test: Written = {"test": "attribute", "name": name, "is": compared}
    declared = vocabulary.attributes[name].type
    if compared != Is.known and declared is not None:
        try:
            test["value"] = plain(declared, written(declared, part.value).text)
        except Invalid as wrong:
            raise Invalid(wrong.message, [Problem("value", wrong.message)]) from None
    return test


class Names(Struct, frozen=True):
    """What things are called in words about a rule."""

    vocabulary: Vocabulary
    campaigns: Mapping[UUID, str]


@singledispatch
def said(test: Question, _names: Names) -> str:
    """Say a rule in words, for staff."""
    message = f"{type(test).__name__} has no words"
    raise NotImplementedError(message)


@said.register
def _(test: All, names: Names) -> str:
    return _joined(test.of, " and ", "everybody", names)


@said.register
def _(test: Any, names: Names) -> str:
    return _joined(test.of, " or ", "nobody", names)


def _joined(tests: list[Rule], word: str, nothing: str, names: Names) -> str:
    parts = [
        f"({said(each, names)})" if isinstance(each, All | Any) else said(each, names)
        for each in tests
    ]
    return word.join(parts) or nothing


@said.register
def _(test: Not, names: Names) -> str:
    return f"not ({said(test.of, names)})"


@said.register
def _(test: Attribute, names: Names) -> str:
    label = names.vocabulary.attributes[test.name].label
    if test.is_ is Is.known:
        return f"{label} is known"
    words = test.is_.value.replace("_", " ")
    bare = {Is.equals: "is", Is.begins_with: words, Is.contains: words}
    return f"{label} {bare.get(test.is_, f'is {words}')} {_shown(test.value)}"


@said.register
def _(test: DateNear, names: Names) -> str:
    label = names.vocabulary.attributes[test.name].label
    return f"{label} is from {test.from_days:+} to {test.to_days:+} days from today"


@said.register
def _(test: Anniversary, names: Names) -> str:
    label = names.vocabulary.attributes[test.name].label
    when = f"within {test.within_days} days" if test.within_days else "today"
    return f"{label} comes round {when}"


@said.register
def _(test: Tag, names: Names) -> str:
    return f"tag {names.vocabulary.tags[test.name].label}"


@said.register
def _(test: Interaction, names: Names) -> str:
    often = "" if test.at_least == 1 else f"{test.at_least} times "
    return f"{names.vocabulary.kinds[test.kind].label} {often}{_since(test)}"


@said.register
def _(test: Consent, names: Names) -> str:
    state = test.state.value.replace("_", " ")
    return f"{names.vocabulary.purposes[test.purpose_id]}: {state}"


@said.register
def _(test: Delivery, names: Names) -> str:
    return f"“{names.campaigns.get(test.campaign_id, test.campaign_id)}” is {test.state.value}"


@said.register
def _(test: Mailed, _names: Names) -> str:
    return f"mailed {_since(test)}"


@said.register
def _(test: Created, _names: Names) -> str:
    before = f"before {test.before}" if test.before else ""
    since = "" if test.since is None and test.within_days is None else _since(test)
    return f"record begun {' and '.join(filter(None, (since, before)))}"


@said.register
def _(test: Language, _names: Names) -> str:
    return f"language {test.code}"


def _since(test: Interaction | Mailed | Created) -> str:
    if test.within_days is not None:
        return f"within {test.within_days} days"
    return "ever" if test.since is None else f"since {test.since}"


def _shown(value: Given | None) -> str:
    return f"“{value}”" if isinstance(value, str) else str(value).lower()


# What a form offers to compare by, in words.
COMPARISONS = [(each.value, each.value.replace("_", " ")) for each in Is]
