"""A cursor leads on in one list of one business, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from crm.errors import Invalid
from crm.web.paging import MAX_LIMIT, BadCursor, Cursors, capped, link
from tests.web.sample import KEYS


class After(Struct, frozen=True):
    at: datetime
    id: UUID


EVENTS = Cursors(KEYS, UUID(int=1), "events")


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_opens_as_it_was_sealed(at: datetime, identity: UUID) -> None:
    key = After(at, identity)
    assert EVENTS.open(EVENTS.seal(key), After) == key


@given(st.text(max_size=100))
def test_anything_else_is_refused(text: str) -> None:
    if text:
        with pytest.raises(BadCursor):
            EVENTS.open(text, After)


def test_a_cursor_belongs_to_its_list_and_business() -> None:
    text = EVENTS.seal(After(datetime(2026, 1, 1, tzinfo=UTC), uuid4()))
    for other in (Cursors(KEYS, UUID(int=2), "events"), Cursors(KEYS, UUID(int=1), "customers")):
        with pytest.raises(BadCursor) as refused:
            other.open(text, After)
        assert refused.value.problems[0].field == "after"
    with pytest.raises(BadCursor):
        EVENTS.open(text[:20] + ("A" if text[20] != "A" else "B") + text[21:], After)


def test_rows_are_cut_and_lead_on() -> None:
    rows = [After(datetime(2026, 1, day, tzinfo=UTC), UUID(int=day)) for day in (1, 2, 3)]
    first = EVENTS.cut(rows, 2, lambda row: row)
    assert first.rows == rows[:2]
    assert EVENTS.open(first.after, After) == rows[1]
    assert EVENTS.cut(rows[2:], 2, lambda row: row).after is None
    assert EVENTS.cut([], 2, lambda row: row).rows == []
    assert EVENTS.open(None, After) is None


@pytest.mark.parametrize(("asked", "limit"), [(None, 50), (1, 1), (200, 200), (10**9, MAX_LIMIT)])
def test_a_limit_is_capped(asked: int | None, limit: int) -> None:
    assert capped(asked) == limit


@pytest.mark.parametrize("asked", [0, -1])
def test_a_limit_is_at_least_one(asked: int) -> None:
    with pytest.raises(Invalid):
        capped(asked)


def test_the_link_leads_to_the_next_rows() -> None:
    assert link("/v1/events", "a-b", limit=5) == {
        "link": '</v1/events?limit=5&after=a-b>; rel="next"'
    }
    assert link("/v1/events", None) == {}
