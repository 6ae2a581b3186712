"""What a segment can ask of a customer: a closed language, as plain values.

docs/segments.md describes it for those who write it. `reading.py` makes a rule of JSON,
`compiling.py` SQL of a rule; a test answers the same questions in plain Python.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, TypeAlias
from uuid import UUID

from msgspec import Meta, Struct, field

from crm.customers import Given
from crm.customers.text import Word

# How deep tests stand in tests, and how many a rule has.
DEEPEST = 8
MOST = 50
# What a rule may have as JSON.
LONGEST = 64 * 1024

Days = Annotated[int, Meta(ge=0, le=36525)]
Distance = Annotated[int, Meta(ge=-36525, le=36525)]


class Is(StrEnum):
    """How the value of an attribute is compared; a bound stands in its name."""

    known = "known"
    equals = "equals"
    begins_with = "begins_with"
    contains = "contains"
    less_than = "less_than"
    at_most = "at_most"
    at_least = "at_least"
    more_than = "more_than"
    before = "before"
    after = "after"


class Allowing(StrEnum):
    """How a customer stands to a purpose: always exactly one of these."""

    # Allows it now.
    allowed = "allowed"
    # Was asked, and has not said yes or no.
    asked = "asked"
    # Said no, took it back, or it has ended.
    ended = "ended"
    never_asked = "never_asked"


class Outcome(StrEnum):
    """What became of a campaign to her."""

    waiting = "waiting"
    sending = "sending"
    sent = "sent"
    failed = "failed"
    excluded = "excluded"
    uncertain = "uncertain"


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="test"):
    """One question; which it is stands in `test`."""


class All(Question, frozen=True, tag="all"):
    """Every one of these; of none it is true."""

    of: list[Rule]


class Any(Question, frozen=True, tag="any"):
    """At least one of these; of none it is false."""

    of: list[Rule]


class Not(Question, frozen=True, tag="not"):
    """Not this."""

    of: Rule


class Attribute(Question, frozen=True, tag="attribute"):
    """The value of a declared attribute, compared by its type."""

    name: Word
    # `known`: there is a value, whichever; then none is given here.
    is_: Is = field(name="is")
    value: Given | None = None


class DateNear(Question, frozen=True, tag="date_near"):
    """A date lies within some days of today, which is 0 itself; days past are negative."""

    name: Word
    from_days: Distance
    to_days: Distance


class Anniversary(Question, frozen=True, tag="anniversary"):
    """The day of a date comes round within so many days, today included; for birthdays."""

    name: Word
    within_days: Annotated[int, Meta(ge=0, le=365)] = 0


class Tag(Question, frozen=True, tag="tag"):
    """She has a tag."""

    name: Word


class Interaction(Question, frozen=True, tag="interaction"):
    """Something of a kind happened so often, ever or since a day."""

    kind: Word
    at_least: Annotated[int, Meta(ge=1, le=1000)] = 1
    since: date | None = None
    within_days: Days | None = None


class Consent(Question, frozen=True, tag="consent"):
    """How she stands to a purpose."""

    purpose_id: UUID
    state: Allowing = Allowing.allowed


class Delivery(Question, frozen=True, tag="delivery"):
    """What became of one campaign to her."""

    campaign_id: UUID
    state: Outcome = Outcome.sent


class Mailed(Question, frozen=True, tag="mailed"):
    """Some campaign was sent to her, ever or since a day."""

    since: date | None = None
    within_days: Days | None = None


class Created(Question, frozen=True, tag="created"):
    """Her record began since a day, before one, or both."""

    since: date | None = None
    before: date | None = None
    within_days: Days | None = None


class Language(Question, frozen=True, tag="language"):
    """The language she chose, with or without its region: `de` is `de-AT` too."""

    code: Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*(?!\n)$", max_length=35)]


Rule: TypeAlias = (
    All
    | Any
    | Not
    | Attribute
    | DateNear
    | Anniversary
    | Tag
    | Interaction
    | Consent
    | Delivery
    | Mailed
    | Created
    | Language
)

# Who passes such a test has one row for it that refers to her own, and so can be counted by it.
_ONCE = (Attribute, DateNear, Anniversary, Tag, Consent)
# What stands in her own row.
_HERS = (Created, Language)


def leads(rule: Rule) -> bool:
    """Say whether those whom a rule selects are found by rows that each of them has once."""
    if isinstance(rule, Any):
        return bool(rule.of) and all(map(leads, rule.of))
    never = isinstance(rule, Consent) and rule.state is Allowing.never_asked
    return isinstance(rule, _ONCE) and not never


def asks_for_her_row(rule: Rule) -> bool:
    """Say whether a rule asks for what stands in a customer's own row."""
    if isinstance(rule, All | Any):
        return any(map(asks_for_her_row, rule.of))
    return asks_for_her_row(rule.of) if isinstance(rule, Not) else isinstance(rule, _HERS)
