"""The SQL of a rule selects exactly whom plain Python does, whatever the rule and whoever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crm import segments
from crm.db import Database
from crm.segments.compiling import choosing, counting, sampling
from crm.segments.days import anniversaries
from crm.segments.model import BadRule
from tests import make
from tests.conftest import Cluster
from tests.segments.people import (
    KINDS,
    NUMBERS,
    STATES,
    TAGS,
    TEXTS,
    TYPES,
    People,
    people,
)
from tests.segments.plain import Facts, selects

# Every table that a rule could be made to harm.
_ROWS = "SELECT count(*) FROM crm.customer WHERE business_id = $1"


@pytest.fixture(scope="module")
async def met(database: Database, shared_cluster: Cluster) -> AsyncIterator[People]:
    """Everybody, written once."""
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    try:
        yield await people(database, conn)
    finally:
        await conn.close()


_Rules = st.SearchStrategy[dict[str, Any]]

_DAYS = st.integers(0, 400)
_DAY = st.dates().filter(lambda each: 1900 <= each.year <= 2900).map(str)
_NEAR = st.sampled_from([-8, -3, 0, 3, 8])
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from([*TEXTS, "zzz"]) | st.text("ab%_'\\;\"", min_size=1, max_size=4),
    "number": st.sampled_from([*NUMBERS, 2, 1e6]),
    "date": _DAY,
    "boolean": st.booleans(),
}
_COMPARED = {
    "text": ["equals", "begins_with", "contains"],
    "number": ["equals", "less_than", "at_most", "at_least", "more_than"],
    "date": ["equals", "before", "after"],
    "boolean": ["equals"],
}


_CITY = {"test": "attribute", "name": "city", "is": "known"}


def _of(test: str, **fields: Any) -> _Rules:
    return st.fixed_dictionaries({"test": st.just(test), **fields})


def _since(test: str, **fields: Any) -> _Rules:
    whenever = _of(test, **fields)
    return whenever | _of(test, within_days=_DAYS, **fields) | _of(test, since=_DAY, **fields)


def _of_attributes() -> _Rules:
    known = _of("attribute", name=st.sampled_from(list(TYPES)), **{"is": st.just("known")})
    compared = [
        _of(
            "attribute",
            name=st.just(name),
            **{"is": st.sampled_from(_COMPARED[kind]), "value": _VALUES[kind]},
        )
        for name, kind in TYPES.items()
    ]
    return st.one_of(known, *compared)


def _of_her_birthday() -> _Rules:
    name = st.just("birthday")
    near = st.tuples(_NEAR, _NEAR).flatmap(
        lambda two: _of(
            "date_near", name=name, from_days=st.just(min(two)), to_days=st.just(max(two))
        )
    )
    return near | _of("anniversary", name=name, within_days=st.integers(0, 365))


def _rules() -> _Rules:
    """Every rule there is, over the names that `people` declares; purposes by their number."""
    states = ["allowed", "asked", "ended", "never_asked"]
    leaves = st.one_of(
        _of_attributes(),
        _of_her_birthday(),
        _of("tag", name=st.sampled_from(TAGS)),
        _since("interaction", kind=st.sampled_from(KINDS), at_least=st.integers(1, 3)),
        _of("consent", purpose_id=st.sampled_from([0, 1, 2]), state=st.sampled_from(states)),
        _of("delivery", campaign_id=st.sampled_from([0, 1]), state=st.sampled_from(STATES)),
        _since("mailed"),
        _of("created", before=_DAY) | _since("created", before=_DAY),
        _of("created", within_days=_DAYS),
        _of("language", code=st.sampled_from(["de", "de-AT", "en", "fr"])),
    )
    return st.recursive(
        leaves,
        lambda inner: (
            _of("not", of=inner)
            | _of("all", of=st.lists(inner, max_size=3))
            | _of("any", of=st.lists(inner, max_size=3))
        ),
        max_leaves=6,
    )


def _named(rule: Any, met: People) -> Any:
    """Put the ids of this business where the rule has numbers."""
    if isinstance(rule, list):
        return [_named(each, met) for each in rule]
    if not isinstance(rule, dict):
        return rule
    found = {name: _named(value, met) for name, value in rule.items()}
    if "purpose_id" in found:
        found["purpose_id"] = str(met.purposes[found["purpose_id"]])
    if "campaign_id" in found:
        found["campaign_id"] = str(met.campaigns[found["campaign_id"]])
    return found


def _expected(rule: dict[str, Any], met: People, among: list[Facts]) -> list[UUID]:
    return [each.id for each in among if selects(rule, each, met.world)]


def _deep(rule: Any) -> int:
    of = rule.get("of", [])
    inner = of if isinstance(of, list) else [of]
    return 1 + max((_deep(each) for each in inner), default=0)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rule=_rules())
@example(rule={"test": "any", "of": []})
@example(rule={"test": "any", "of": [_CITY, {"test": "tag", "name": "bakes"}, _CITY]})
@example(
    rule={
        "test": "all",
        "of": [
            {"test": "any", "of": [_CITY, {"test": "tag", "name": "bakes"}]},
            {"test": "not", "of": {"test": "any", "of": [_CITY]}},
        ],
    }
)
@example(rule={"test": "not", "of": {"test": "attribute", "name": "size", "is": "known"}})
async def test_sql_and_python_agree(database: Database, met: People, rule: dict[str, Any]) -> None:
    if _deep(rule) > 8:
        return
    rule = _named(rule, met)
    some = met.facts[::3]
    async with database.read(met.business.id) as db:
        read = await segments.checked(db, rule)
        known = await segments.vocabulary(db)
        at = segments.Instant(met.world.now, met.world.zone)
        counted = counting(read, known, at)
        found = await db.one(counted.statement, int, **counted.values)
        few = sampling(read, known, at, 40, 2)
        sample = await db.many(few.statement, UUID, **few.values)
        asked = choosing(read, known, at, [each.id for each in some])
        chosen = await db.many(asked.statement, UUID, **asked.values)

    expected = _expected(rule, met, met.facts)
    assert found == len(expected)
    assert sample == [each for each in expected if each.int <= 2**128 // 40 * 12][:2]
    assert sorted(chosen, key=str) == _expected(rule, met, some)


@pytest.mark.parametrize("words", TEXTS[4:])
@pytest.mark.parametrize("compared", ["equals", "begins_with", "contains"])
async def test_words_are_values_and_never_sql(
    database: Database, met: People, shared_cluster: Cluster, words: str, compared: str
) -> None:
    """Each text that somebody could try stays what it is compared with."""
    rule = {"test": "attribute", "name": "city", "is": compared, "value": words}
    async with database.read(met.business.id) as db:
        found = await segments.count(db, rule, sample=1000)
        read = await segments.checked(db, rule)
        at = await segments.instant(db)
        sql = counting(read, await segments.vocabulary(db), at).statement.sql

    assert found.sample == _expected(rule, met, met.facts)
    assert words not in sql
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    assert await conn.fetchval(_ROWS, met.business.id) == len(met.facts)
    await conn.close()


_HOSTILE = "x'; DROP TABLE crm.customer; --"


@pytest.mark.parametrize(
    "rule",
    [
        {"test": "attribute", "name": _HOSTILE, "is": "known"},
        {"test": "attribute", "name": "city", "is": _HOSTILE, "value": "x"},
        {"test": "tag", "name": _HOSTILE},
        {"test": "interaction", "kind": _HOSTILE},
        {"test": "interaction", "kind": "call", "since": _HOSTILE},
        {"test": "consent", "purpose_id": _HOSTILE},
        {"test": "consent", "purpose_id": "{purpose}", "state": _HOSTILE},
        {"test": "delivery", "campaign_id": _HOSTILE},
        {"test": "language", "code": _HOSTILE},
        {"test": _HOSTILE},
        {"test": "all", "of": _HOSTILE},
        {"test": "tag", "name": "bakes", _HOSTILE: 1},
    ],
)
async def test_what_is_no_name_is_refused(
    database: Database, met: People, rule: dict[str, Any]
) -> None:
    if rule.get("purpose_id") == "{purpose}":
        rule = {**rule, "purpose_id": str(met.purposes[0])}
    async with database.read(met.business.id) as db:
        with pytest.raises(BadRule):
            await segments.checked(db, rule)


async def test_nothing_is_asked_by_what_is_another_business_s(
    database: Database, met: People
) -> None:
    """Ids of another business are unknown here."""
    from_elsewhere = [
        {"test": "consent", "purpose_id": str(met.purposes[0])},
        {"test": "delivery", "campaign_id": str(met.campaigns[0])},
        {"test": "tag", "name": "bakes"},
    ]
    other = (await make.business(database)).id
    async with database.read(other) as db:
        with pytest.raises(BadRule) as refused:
            await segments.checked(db, {"test": "all", "of": from_elsewhere})
    assert [each.field for each in refused.value.problems] == [
        "rule/of/0/purpose_id", "rule/of/1/campaign_id", "rule/of/2/name",
    ]  # fmt: skip


def test_a_day_that_a_year_lacks_comes_round_before_it() -> None:
    assert 229 in anniversaries(date(2026, 2, 28), 0)
    assert 229 not in anniversaries(date(2028, 2, 28), 0)
    assert anniversaries(date(2028, 2, 28), 1) == {228, 229}
    assert len(anniversaries(date(2026, 12, 31), 365)) == 366
