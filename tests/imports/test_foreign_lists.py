"""Real lists of other products, read from ../shared; test_table.py has their twins."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from crm.imports.columns import Unreadable
from crm.imports.model import Bad, Row, Tool, evidence_kind
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


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("mailchimp-subscribed.csv", Tool.mailchimp),
        ("mailchimp-unsubscribed.csv", Tool.mailchimp),
        ("mailchimp-cleaned.csv", Tool.mailchimp),
        ("listmonk-import.csv", Tool.listmonk),
        ("keila-import-template.csv", Tool.keila),
        ("keila-status.csv", Tool.keila),
        ("ghost-valid-members-import.csv", Tool.ghost),
        ("ghost-members-newsletters-step1.csv", Tool.ghost),
        ("substack-email-list.csv", Tool.substack),
        ("substack-subscribers.csv", Tool.substack),
        ("beehiiv-members.csv", Tool.beehiiv),
        ("substack-invalid.csv", Tool.table),
        ("tinynews-v1.csv", Tool.table),
        ("tinynews-v2.csv", Tool.table),
        ("curated-subscribers.csv", Tool.table),
        ("mautic-10contacts-padded.csv", Tool.table),
    ],
)
def test_whose_export_a_shared_list_is(name: str, tool: Tool) -> None:
    assert opened(SHARED / name).tool is tool


def test_headers_of_other_products_are_recognised_or_left_to_be_mapped() -> None:
    known = {tool.value for tool in Tool}
    lines = (SHARED / "headers.tsv").read_text().splitlines()[1:]
    assert len(lines) > 30
    for line in lines:
        product, kind, header, _ = line.split("\t")
        try:
            tool = opened_text(header.replace("first line `sep=;`, then ", "")).tool
        except Unreadable:
            # No address, or nobody can tell which of two.
            assert product not in {"Mailchimp", "Substack", "Ghost", "beehiiv", "Keila", "listmonk"}
            continue
        mine = product.casefold() if product.casefold() in known else "table"
        assert tool.value == mine, (product, kind)


def opened_text(header: str) -> Table:
    return read(f"{header}\n".encode(), now=NOW)


def test_nobody_becomes_a_yes_by_being_on_a_list() -> None:
    for name in ("beehiiv-members", "substack-email-list", "ghost-valid-members-import"):
        rows = good(opened(SHARED / f"{name}.csv"))
        assert {evidence_kind(row) for row in rows} == {None}
        assert any(row.listed_at for row in rows)
    beehiiv = statuses(opened(SHARED / "beehiiv-members.csv"))
    assert beehiiv["amett@example.com"] == "unknown", "pending is no consent"
    assert beehiiv["dolor@example.com"] == "unsubscribed"
    assert beehiiv["unsublit@example.com"] == "unsubscribed"
    substack = statuses(opened(SHARED / "substack-email-list.csv"))
    assert substack["maguirec086@comm.ca"] == "unsubscribed"


def test_what_others_watched_is_left_behind() -> None:
    assert set(opened(SHARED / "tinynews-v2.csv").columns.dropped) == {"clicks", "opens"}
    dropped = opened(SHARED / "mailchimp-subscribed.csv").columns.dropped
    assert {"MEMBER_RATING", "LATITUDE", "LONGITUDE", "TIMEZONE"} <= set(dropped)
    assert "OPTIN_TIME" not in dropped
    curated = opened(SHARED / "curated-subscribers.csv").columns
    assert {title for _, title in curated.other} == {"Subscribed at"}
