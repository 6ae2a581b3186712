"""What a row says about the decision: from where it came, and when it was."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from crm.consent import Network, Status
from crm.imports.judged import decided_at, network
from crm.imports.lines import read
from crm.imports.model import Row, RowStatus

ASKED = datetime(2025, 5, 4, 9, 10, tzinfo=UTC)
LATER = datetime(2025, 5, 4, 9, 12, tzinfo=UTC)
OLDER = datetime(2012, 1, 2, 3, 4, tzinfo=UTC)
HERS, OTHERS = "192.0.2.7", "198.51.100.9"


@pytest.mark.parametrize(
    ("asked", "confirmed", "at", "came_from"),
    [
        (ASKED, LATER, LATER, Network(address=OTHERS, asked_from=HERS)),
        (ASKED, OLDER, ASKED, Network(address=HERS, asked_from="")),
        (ASKED, None, ASKED, Network(address=HERS, asked_from="")),
        (None, LATER, None, Network(address=HERS, asked_from="")),
    ],
)
def test_a_confirmation_counts_only_where_it_proves_something(
    asked: datetime | None, confirmed: datetime | None, at: datetime | None, came_from: Network
) -> None:
    row = Row(
        2,
        "nora@example.com",
        status=RowStatus.subscribed,
        opted_in_at=asked,
        opted_in_ip=HERS,
        confirmed_at=confirmed,
        confirmed_ip=OTHERS,
    )

    assert decided_at(row, Status.given, None) == at
    assert network(row) == came_from


def test_no_address_is_kept_of_a_confirmation_alone() -> None:
    row = Row(2, "nora@example.com", confirmed_at=LATER, confirmed_ip=OTHERS)

    assert network(row) is None


@pytest.mark.parametrize(("zone", "later"), [("", 12), ("Z", 0)])
def test_a_line_of_json_says_too_until_when_she_may_have_left(zone: str, later: int) -> None:
    decided = {"status": "withdrawn", "at": f"2025-05-04T09:10:00{zone}"}
    said = {"address": "nora@example.com", "consents": {"letter": decided}}
    file = io.BytesIO(json.dumps(said).encode() + b"\n")
    now = datetime(2026, 6, 4, tzinfo=UTC)

    [row] = read(file, purpose="letter", now=now, size_limit=10**6).rows()

    assert isinstance(row, Row)
    assert (row.status, row.left_by) == (RowStatus.unsubscribed, ASKED + timedelta(hours=later))
