"""Real lists of other products, read from ../shared; test_table.py has their twins."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import Struct

from crm.imports.columns import Unreadable
from crm.imports.fields import Fields
from crm.imports.gathering import Batch, gather
from crm.imports.mapping import Column, Mapping, Means, Reading
from crm.imports.model import Bad, Row, RowStatus, Tool, evidence_kind
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


def gathered(rows: list[Row]) -> Batch:
    return gather(iter(rows), 1000, str.encode, Fields([]))


def statuses(table: Table) -> dict[str, str]:
    return {row.address: row.status.value for row in good(table)}


class What(Struct, frozen=True):
    """What SOURCES.md beside the lists expects of one: whose it is, and how many of which rows."""

    tool: Tool
    # By status: m(ember), l(eft), b(ounced), and nothing said.
    rows: str
    # Reported with their line: by the reader, and because the address is none.
    broken: tuple[int, ...] = ()
    no_address: tuple[int, ...] = ()


EVERY = {
    "beehiiv-members": What(Tool.beehiiv, "5m 3l 1?"),
    "curated-subscribers": What(Tool.table, "20?", no_address=(5, 10)),
    "derived-latin1-semicolon": What(Tool.table, "201?"),
    "derived-utf16le-tab": What(Tool.table, "201?"),
    "ghost-members-duplicate-emails": What(Tool.table, "2?"),
    "ghost-members-formula-like-values": What(Tool.table, "2?"),
    "ghost-members-future-created-at": What(Tool.table, "1?"),
    "ghost-members-invalid-values": What(Tool.ghost, "3m", no_address=(3, 4)),
    "ghost-members-newsletters-step1": What(Tool.ghost, "2m 1l"),
    "ghost-members-ragged-row": What(Tool.table, "2?"),
    "ghost-valid-members-import": What(Tool.ghost, "1m 1l"),
    "keila-excel-bom-semicolon-crlf": What(Tool.table, "201?"),
    "keila-external-id-duplicates": What(Tool.table, "4?"),
    "keila-import-template": What(Tool.keila, "2?"),
    "keila-json-data": What(Tool.keila, "2?"),
    "keila-malformed-no-email": What(Tool.table, "", broken=(2,)),
    "keila-malformed-quotes": What(Tool.table, "2?", broken=(4,)),
    "keila-status": What(Tool.keila, "1m 1l 1b 1?"),
    "listmonk-domain-blocklist": What(Tool.listmonk, "4?"),
    "listmonk-import": What(Tool.listmonk, "100?"),
    "mailchimp-cleaned": What(Tool.mailchimp, "5b"),
    "mailchimp-subscribed": What(Tool.mailchimp, "5m"),
    "mailchimp-unsubscribed": What(Tool.mailchimp, "5l"),
    "malformed-extra-field": What(Tool.table, "", broken=(2,)),
    "mautic-10contacts-padded": What(Tool.table, "10?"),
    "substack-email-list": What(Tool.substack, "2l 19?"),
    "substack-invalid": What(Tool.table, "3?"),
    "substack-subscribers": What(Tool.substack, "2l 15?"),
    "tinynews-v1": What(Tool.table, "3?"),
    "tinynews-v2": What(Tool.table, "1m 1l"),
}
# No list of customers: refused with what to do.
NO_LIST = {"headers.tsv": "No column is called", "medium-members.txt": "holds an address instead"}
_LETTERS = {
    RowStatus.subscribed: "m",
    RowStatus.unsubscribed: "l",
    RowStatus.cleaned: "b",
    RowStatus.unknown: "?",
}


def test_nothing_that_lies_there_is_passed_over() -> None:
    there = {path.name for path in SHARED.iterdir() if path.is_file()}
    assert there == {f"{name}.csv" for name in EVERY} | set(NO_LIST)


@pytest.mark.parametrize("name", EVERY)
def test_every_shared_list_is_read_as_its_source_says(name: str) -> None:
    table, what = opened(SHARED / f"{name}.csv"), EVERY[name]
    counts = Counter(row.status for row in good(table))
    read = [f"{counts[each]}{letter}" for each, letter in _LETTERS.items() if counts[each]]
    assert (table.tool, " ".join(read)) == (what.tool, what.rows)
    assert tuple(row.line for row in bad(table)) == what.broken
    wrong = gathered(good(table)).bad
    assert tuple(row.line for row in wrong) == what.no_address


@pytest.mark.parametrize("name", NO_LIST)
def test_what_is_no_list_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(Unreadable, match=NO_LIST[name]):
        opened(SHARED / name)


def test_csv_is_read_as_its_json_says() -> None:
    """Lists of anything: with a mapping any column is that of the addresses."""
    found = sorted((SHARED / "csv-spectrum").glob("*.csv"))
    assert len(found) == len(list((SHARED / "csv-spectrum/json").iterdir())) == 12
    for path in found:
        said = json.loads((path.parent / f"json/{path.stem}.json").read_text())
        expected = said if isinstance(said, list) else [said]
        if path.stem == "location_coordinates":
            # Somebody put another number into the JSON and not into the list.
            expected[0]["Contact Phone Number"] = "2095257564"
        columns = [
            Column(name, Means.attribute if number else Means.address, name)
            for number, name in enumerate(expected[0])
        ]
        content = path.read_bytes()
        if path.stem.endswith("_crlf"):
            # As its name says; on the way here the lines lost half of their ends.
            content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        by = Reading(mappings=[Mapping(name="any", columns=columns)])
        first, *_ = expected[0]
        rows = [
            {first: row.address, **row.other}
            for row in read(content, now=NOW, reading=by).rows()
            if isinstance(row, Row)
        ]
        kept = [
            {name: value.strip() for name, value in each.items() if value.strip()}
            for each in expected
        ]
        assert rows == [each for each in kept if each], path


def test_values_are_kept_as_they_stand() -> None:
    latin = {row.name for row in good(opened(SHARED / "derived-latin1-semicolon.csv"))}
    assert not any("\ufffd" in name or "Ã" in name for name in latin)
    assert "Joël Müller-Schultheiß" in latin
    formulas = good(opened(SHARED / "ghost-members-formula-like-values.csv"))
    assert [row.name for row in formulas] == ["-5", "=SUM(A1)"]
    assert [row.other["note"] for row in formulas] == ["+44 123", "@handle"]
    [future] = good(opened(SHARED / "ghost-members-future-created-at.csv"))
    assert (future.listed_at, evidence_kind(future)) == (None, None)
    assert good(opened(SHARED / "keila-json-data.csv"))[0].other == {"foo": "bar"}
    assert all(row.other for row in good(opened(SHARED / "listmonk-import.csv")))
    padded = good(opened(SHARED / "mautic-10contacts-padded.csv"))
    assert all(row.address == row.address.strip() for row in padded)
    twice = good(opened(SHARED / "ghost-members-duplicate-emails.csv"))
    assert len(gathered(twice).groups) == 1


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
