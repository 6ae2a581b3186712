"""Who leaves comes first, then who is proven, then the rest: each row in one pass."""

from datetime import UTC, datetime

from crm.consent import EvidenceKind
from crm.imports.lists import opened
from crm.imports.model import Bad, Row

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PROVEN = frozenset({EvidenceKind.former_double_opt_in})
LIST = (
    "Email Address,OPTIN_TIME,CONFIRM_TIME,UNSUB_TIME,CLEAN_TIME\n"
    "unproven@example.com,,,,\n"
    "proven@example.com,2020-01-01 10:00:00,2020-01-02 10:00:00,,\n"
    ",2020-01-01 10:00:00,,,\n"
    "\n"
    "left@example.com,,,2021-01-01 10:00:00,\n"
    "once@example.com,2020-01-01 10:00:00,,,\n"
)


def _passes(content: str) -> list[list[Row | Bad]]:
    lists = opened(content.encode(), now=NOW, purpose="letter")
    return [list(rows) for rows in lists.passes(PROVEN)]


def _names(rows: list[Row | Bad]) -> list[str]:
    return [row.reason if isinstance(row, Bad) else row.address.split("@")[0] for row in rows]


def test_each_row_has_its_turn_in_one_pass() -> None:
    leaving, proven, others = _passes(LIST)
    assert _names(leaving) == ["The row has no e-mail address.", "left"]
    assert _names(proven) == ["proven"]
    assert _names(others) == ["unproven", "once"]
    assert [row.line for row in others] == [2, 7]


def test_of_objects_too() -> None:
    leaving, proven, others = _passes(
        '{"email":"unproven@example.com"}\n'
        '{"email":"proven@example.com","subscribed":"yes","optin_time":"2020-01-01 10:00:00",'
        '"confirm_time":"2020-01-02 10:00:00"}\n'
        "[]\n"
        '{"email":"left@example.com","unsubscribed":"yes"}\n'
    )
    assert [row.line for row in leaving] == [3, 4]
    assert _names(proven) == ["proven"]
    assert _names(others) == ["unproven"]
