"""docs/segments.md says what the language is: every test and field, and examples that read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest

from crm.customers import AttributeType
from crm.db import SQL
from crm.segments import building
from crm.segments.building import Names, said
from crm.segments.compiling import counting
from crm.segments.days import Instant
from crm.segments.model import Field, Vocabulary
from crm.segments.reading import COMPARED, campaigns_named, questions, read
from crm.segments.rule import DEEPEST, MOST, Allowing, Is, Outcome, Rule

DOCS = (SQL.parent / "docs" / "segments.md").read_text()
TESTS: list[type[Any]] = list(get_args(Rule))
EXAMPLES = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
LETTER = UUID("0190f3a2-0000-7000-8000-000000000001")
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", DOCS, re.MULTILINE))

KNOWN = Vocabulary(
    attributes={
        "points": Field("points", "Points", AttributeType.number, None),
        "birthday": Field("birthday", "Birthday", AttributeType.date, None),
    },
    tags={"bakes_at_home": Field("bakes_at_home", "Bakes at home", None, None)},
    kinds={"purchase": Field("purchase", "Purchase", None, None)},
    purposes={LETTER: "Letter"},
)
TAG = {"test": "tag", "name": "bakes_at_home"}
CREATED = {"test": "created", "since": "2026-01-01"}


@pytest.mark.parametrize("test", TESTS, ids=lambda each: each.__name__)
def test_every_test_is_described_with_its_fields(test: type[Any]) -> None:
    described = ROWS[test.__struct_config__.tag]
    fields = {each.encode_name for each in msgspec.structs.fields(test)}
    assert set(re.findall(r"`(\w+)`", described)) - set(Allowing) - set(Outcome) == fields


def test_nothing_is_described_that_there_is_not() -> None:
    assert set(ROWS) == {test.__struct_config__.tag for test in TESTS}
    for state in (*Allowing, *Outcome, *Is):
        assert f"`{state}`" in DOCS
    for kind, compared in COMPARED.items():
        (row,) = re.findall(rf"^\| {kind} \| (.*) \|$", DOCS, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) == set(compared)
    assert f"at most {DEEPEST} tests deep and has at most {MOST}" in DOCS.replace(
        "stands at most", "at most"
    )


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_reads_and_can_be_said(text: str) -> None:
    given = msgspec.json.decode(text)
    rule = read(given, KNOWN, frozenset(campaigns_named([given])))
    at = Instant(datetime(2026, 6, 4, 7, tzinfo=UTC), "UTC")

    assert counting(rule, KNOWN, at).statement.params[0] == "business_id"
    assert said(rule, Names(KNOWN, {}))


@pytest.mark.parametrize("text", EXAMPLES)
@pytest.mark.parametrize("around", ["not", "any"])
def test_below_any_and_not_nobody_is_sought_in_a_list(text: str, around: str) -> None:
    """One too long for a hash would be gone through for each customer: minutes among 100,000."""
    inner = msgspec.json.decode(text)
    given = {"test": "not", "of": inner} if around == "not" else {"test": "any", "of": [inner]}
    rule = read(given, KNOWN, frozenset(campaigns_named([given])))
    at = Instant(datetime(2026, 6, 4, 7, tzinfo=UTC), "UTC")
    assert "c.customer_id IN" not in counting(rule, KNOWN, at).statement.sql


@pytest.mark.parametrize(
    ("rule", "reads"),
    [
        (TAG, False),
        ({"test": "all", "of": [{"test": "not", "of": TAG}, TAG]}, False),
        ({"test": "not", "of": TAG}, True),
        ({"test": "all", "of": [TAG, {"test": "language", "code": "de"}]}, True),
        ({"test": "all", "of": [TAG, {"test": "not", "of": CREATED}]}, True),
        ({"test": "any", "of": [TAG, TAG]}, False),
        ({"test": "any", "of": [TAG, {"test": "language", "code": "de"}]}, True),
        ({"test": "all", "of": [TAG, {"test": "any", "of": [TAG, CREATED]}]}, True),
        ({"test": "any", "of": []}, True),
        # A delivery outlives the row of whom it was to.
        ({"test": "delivery", "campaign_id": str(LETTER), "state": "sent"}, True),
        ({"test": "all", "of": []}, True),
    ],
)
def test_their_own_rows_are_read_where_a_test_asks_for_them(
    rule: dict[str, Any], *, reads: bool
) -> None:
    """They are wide; who passes a test of what she has is counted by that."""
    at = Instant(datetime(2026, 6, 4, 7, tzinfo=UTC), "UTC")
    sql = counting(read(rule, KNOWN, frozenset({LETTER})), KNOWN, at).statement.sql

    assert ("FROM crm.customer c " in sql) is reads


def test_everything_has_words() -> None:
    for test in TESTS:
        assert building.said.dispatch(test) is not building.said.dispatch(object)
    rule = read({"test": "not", "of": {"test": "mailed"}}, KNOWN, frozenset())
    assert [type(each).__name__ for each in questions(rule)] == ["Not", "Mailed"]
    assert said(rule, Names(KNOWN, {})) == "not (mailed ever)"
