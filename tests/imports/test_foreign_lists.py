"""Real lists of other products, read from ../shared; test_table.py has their twins."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from crm.imports.columns import Unreadable
from crm.imports.model import Bad, Row
from crm.imports.table import Table, read

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SHARED = Path(__file__).resolve().parents[3] / "shared/data/contact-lists"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/contact-lists")


def opened(path: Path) -> Table:
    return read(path.read_bytes(), now=NOW)


def good(table: Table) -> list[Row]:
    return [row for row in table.rows() if isinstance(row, Row)]


def bad(table: Table) -> list[Bad]:
    return [row for row in table.rows() if isinstance(row, Bad)]


def statuses(table: Table) -> dict[str, str]:
    return {row.address: row.status.value for row in good(table)}


def test_every_shared_list_is_read_or_refused() -> None:
    files = [path for path in SHARED.rglob("*") if path.suffix in (".csv", ".tsv", ".txt")]
    assert len(files) > 30
    refused = set()
    for path in files:
        try:
            assert list(opened(path).rows()), path
        except Unreadable:
            refused.add(path.relative_to(SHARED))
    ours = {path.name for path in refused if path.parent == Path()}
    assert ours == {"headers.tsv", "medium-members.txt"}, "csv-spectrum has no addresses"


@pytest.mark.parametrize(
    ("name", "rows", "broken"),
    [
        ("mailchimp-subscribed.csv", 5, 0),
        ("mailchimp-unsubscribed.csv", 5, 0),
        ("mailchimp-cleaned.csv", 5, 0),
        ("listmonk-import.csv", 100, 0),
        ("keila-excel-bom-semicolon-crlf.csv", 201, 0),
        ("derived-utf16le-tab.csv", 201, 0),
        ("derived-latin1-semicolon.csv", 201, 0),
        ("mautic-10contacts-padded.csv", 10, 0),
        ("keila-malformed-quotes.csv", 2, 1),
        ("keila-malformed-no-email.csv", 0, 1),
        ("malformed-extra-field.csv", 0, 1),
        ("ghost-members-ragged-row.csv", 2, 0),
        ("ghost-members-duplicate-emails.csv", 2, 0),
        ("keila-external-id-duplicates.csv", 4, 0),
    ],
)
def test_counts_of_shared_lists(name: str, rows: int, broken: int) -> None:
    table = opened(SHARED / name)
    assert (len(good(table)), len(bad(table))) == (rows, broken)


def test_statuses_of_shared_lists() -> None:
    expected = {
        "mailchimp-subscribed.csv": {"subscribed"},
        "mailchimp-unsubscribed.csv": {"unsubscribed"},
        "mailchimp-cleaned.csv": {"cleaned"},
        "ghost-members-future-created-at.csv": {"unknown"},
    }
    for name, said in expected.items():
        assert set(statuses(opened(SHARED / name)).values()) == said
    assert list(statuses(opened(SHARED / "keila-status.csv")).values()) == [
        "subscribed",
        "unsubscribed",
        "cleaned",
        "unknown",
    ]
    assert statuses(opened(SHARED / "ghost-valid-members-import.csv"))["test@example.com"] == (
        "unsubscribed"
    )
    first = good(opened(SHARED / "keila-excel-bom-semicolon-crlf.csv"))[1]
    assert first.name == "Eliška Þorláksson"
    assert first == good(opened(SHARED / "derived-utf16le-tab.csv"))[1]
