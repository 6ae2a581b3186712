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


def test_one_pass_after_the_other_and_how_far_it_is() -> None:
    lists = opened(LIST.encode(), now=NOW, purpose="letter")
    read = [(row.line, lists.share) for row in lists.rows(PROVEN)]
    lines, shares = zip(*read, strict=True)

    assert lines == (4, 6, 3, 2, 7)
    assert list(shares) == sorted(shares)
    # Small files are read at once, so that each pass ends with what it begins with.
    assert set(shares) == {1 / 3, 2 / 3, 1.0}
    assert lists.share == 1.0
