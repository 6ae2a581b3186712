"""Ids made many at once are those that are made one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from crm import ids

MANY = 500


def test_many_in_order_say_when_they_were_made() -> None:
    before = datetime.now(UTC)
    made = ids.many_time_ordered(MANY)
    assert len(set(made)) == MANY
    assert made == sorted(made)
    assert {(each.version, each.variant) for each in made} == {(7, RFC_4122)}
    assert before - timedelta(milliseconds=1) <= ids.instant_of(made[0])
    assert ids.instant_of(made[-1]) <= datetime.now(UTC)
    assert ids.time_ordered() > made[-1]


def test_many_opaque_ones_say_nothing() -> None:
    made = ids.many_opaque(MANY)
    assert len(set(made)) == MANY
    assert {(each.version, each.variant) for each in made} == {(4, RFC_4122)}
    # No bit that is free is the same in all of them.
    free = ((1 << 128) - 1) ^ (0xF << 76) ^ (3 << 62)
    assert _ever(made) == free | (4 << 76) | (2 << 62)


def _ever(made: list[UUID]) -> int:
    found = 0
    for each in made:
        found |= each.int
    return found


def test_many_secrets_are_as_long_as_one() -> None:
    made = ids.many_secrets(MANY)
    assert len(set(made)) == MANY
    assert {len(each) for each in made} == {len(ids.secret())}
    assert ids.many_secrets(0) == ids.many_opaque(0) == ids.many_time_ordered(0) == []
