"""Lists as other tools write them, and as they really arrive."""

import io
import tracemalloc
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm.consent import EvidenceKind
from crm.errors import Refused
from crm.imports.cells import NAME_LIMIT, instant
from crm.imports.columns import MOST_COLUMNS, Unreadable
from crm.imports.encoding import ENCODINGS
from crm.imports.mapping import Reading
from crm.imports.model import Bad, Row, RowStatus, Tool, address_of, evidence, evidence_kind
from crm.imports.table import LINE_LIMIT, Table, read

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OWN = Path(__file__).resolve().parents[1] / "fixtures/contact-lists"


def opened(data: bytes | str | Path) -> Table:
    if isinstance(data, Path):
        data = data.read_bytes()
    return read(data if isinstance(data, bytes) else data.encode(), now=NOW)


def good(table: Table) -> list[Row]:
    return [row for row in table.rows() if isinstance(row, Row)]


def bad(table: Table) -> list[Bad]:
    return [row for row in table.rows() if isinstance(row, Bad)]


def statuses(table: Table) -> dict[str, str]:
    return {row.address: row.status.value for row in good(table)}


def test_it_works() -> None:
    table = opened(OWN / "mailchimp-subscribed.csv")
    assert (table.tool, table.encoding, table.delimiter) == (Tool.mailchimp, "utf-8", ",")
    assert not table.mixed
    assert not table.encoding_guessed
    ada, grace, single, nobody, uploaded = good(table)
    assert ada == Row(
        line=2,
        address="ada@example.com",
        name="Ada Lovelace",
        status=RowStatus.subscribed,
        opted_in_at=datetime(2021, 5, 4, 9, 10, 11, tzinfo=UTC),
        opted_in_ip="192.0.2.7",
        confirmed_at=datetime(2021, 5, 4, 9, 12, tzinfo=UTC),
        confirmed_ip="192.0.2.7",
        zone_assumed=True,
        tags=("Readers", "Friends"),
        other={"Company": "Engines Ltd."},
    )
    assert (grace.line, single.line) == (3, 5)
    assert grace.other == {"NOTES": 'said "hello"\nthen left'}
    assert [evidence_kind(row) for row in (ada, single, nobody, uploaded)] == [
        EvidenceKind.former_double_opt_in,
        EvidenceKind.former_single_opt_in,
        None,
        None,
    ]
    assert uploaded.notes == ("The confirmation does not follow a sign-up, so it proves nothing.",)


def test_evidence_keeps_what_the_former_tool_recorded() -> None:
    table = opened(OWN / "mailchimp-subscribed.csv")
    ada, grace, *_ = good(table)
    proof = evidence(ada, table.tool, table.sha256)
    assert "192.0.2.7" in {ada.opted_in_ip, ada.confirmed_ip}
    # From where she came is kept apart, and only where the business keeps it.
    assert b"192.0.2.7" not in msgspec.json.encode(proof)
    assert proof.zone_assumed
    assert not proof.same_second
    assert evidence(grace, table.tool, table.sha256).same_second
    assert len(proof.file_sha256) == 64


def test_mailchimp_tells_by_the_file_who_left() -> None:
    left = opened(OWN / "mailchimp-unsubscribed.csv")
    assert statuses(left) == dict.fromkeys(
        ("left@example.com", "undated@example.com"), "unsubscribed"
    )
    assert [row.unsubscribed_at for row in good(left)] == [
        datetime(2023, 6, 7, 8, 9, 10, tzinfo=UTC),
        None,
    ]
    cleaned = opened(OWN / "mailchimp-cleaned.csv")
    assert statuses(cleaned) == {"gone@example.com": "cleaned"}
    assert good(cleaned)[0].bounced
    assert not left.mixed
    assert not cleaned.mixed


def test_mailchimp_in_one_file_tells_by_the_times() -> None:
    table = opened(OWN / "mailchimp-mixed.csv")
    assert table.mixed
    assert statuses(table) == {
        "ada@example.com": "subscribed",
        "left@example.com": "unsubscribed",
        "gone@example.com": "cleaned",
        "both@example.com": "unsubscribed",
        "odd@example.com": "unsubscribed",
        "none@example.com": "subscribed",
    }
    assert {row.address for row in good(table) if row.bounced} == {
        "gone@example.com",
        "both@example.com",
    }
    assert [row.line for row in bad(table)] == [8], "cut off before the cell that says who left"


def test_a_status_column_decides_with_the_times() -> None:
    table = opened(
        "Email Address,STATUS,OPTIN_TIME,CONFIRM_TIME,UNSUB_TIME\n"
        "a@example.com,Subscribed,2021-05-04 09:10:11,2021-05-04 09:12:00,\n"
        "b@example.com,Subscribed,2021-05-04 09:10:11,2021-05-04 09:12:00,2022-05-04 09:12:00\n"
        "c@example.com,Cleaned,,,\n"
        "d@example.com,Non-Subscribed,,,\n"
        "e@example.com,,2021-05-04 09:10:11,2021-05-04 09:12:00,\n"
    )
    assert list(statuses(table).values()) == [
        "subscribed",
        "unsubscribed",
        "cleaned",
        "unknown",
        "unknown",
    ]


def test_listmonk() -> None:
    table = opened(OWN / "listmonk-export.csv")
    assert table.tool is Tool.listmonk
    ada, off, blocked = good(table)
    assert ada.other == {"city": "London", "age": "36", "home.zip": "W1", "tags": '["a","b"]'}
    assert [row.status.value for row in (ada, off, blocked)] == [
        "subscribed",
        "unknown",
        "unsubscribed",
    ]
    assert evidence_kind(ada) is None, "created_at is no consent"
    assert blocked.other == {"attributes": "{broken"}
    assert blocked.notes


def test_another_tool() -> None:
    table = opened(OWN / "other-tool.csv")
    assert (table.tool, table.delimiter, table.mixed) == (Tool.table, ";", True)
    assert good(table)[0].name == "Ada Łovelace"
    assert good(table)[0].other == {}, "clicks are not taken over"
    assert list(statuses(table).values()) == ["subscribed", "unsubscribed", "cleaned", "unknown"]


def test_troubles_are_told_by_line_and_the_rest_goes_in() -> None:
    table = opened(OWN / "troubles.csv")
    assert [(row.line, row.address) for row in good(table)] == [
        (2, "short@example.com"),
        (4, "comma@example.com"),
        (8, "formula@example.com"),
        (9, "two@example.com"),
        (13, "last@example.com"),
        (15, "after@example.com"),
    ]
    assert {row.line: row.reason for row in bad(table)} == {
        3: "The row has 4 cells, but the first line names 3 columns.",
        5: "The row has no e-mail address.",
        11: "A quotation mark stands after a blank. Take the blank out.",
        12: "After a closing quotation mark something follows that is not a separator.",
        14: "A quotation mark is opened here and never closed.",
    }
    formula = good(table)[2]
    assert (formula.name, formula.other) == ("=SUM(A1)", {"note": "-5"}), "values are data"


def test_rows_can_be_read_again_and_the_file_stays_open() -> None:
    source = io.BytesIO((OWN / "mailchimp-mixed.csv").read_bytes())
    table = read(source, now=NOW)
    assert list(table.rows()) == list(table.rows())
    assert not source.closed


PLAIN = "email;name\nzoe@example.com;Zoë Łęcka\n"


@pytest.mark.parametrize(
    ("data", "encoding", "guessed"),
    [
        (PLAIN.encode(), "utf-8", False),
        (PLAIN.encode("utf-8-sig"), "utf-8", False),
        (PLAIN.encode("utf-16"), "utf-16", False),
        (PLAIN.encode("utf-16-be"), "utf-16-be", True),
        (PLAIN.encode("utf-16-le"), "utf-16-le", True),
        (PLAIN.replace("\n", "\r\n").encode(), "utf-8", False),
        (PLAIN.replace("\n", "\r").encode(), "utf-8", False),
        (("sep=;\r\n" + PLAIN).encode(), "utf-8", False),
        (PLAIN.replace(";", "\t").encode("utf-16"), "utf-16", False),
        (PLAIN.replace(";", "|").encode(), "utf-8", False),
    ],
)
def test_encodings_and_separators(data: bytes, encoding: str, guessed: bool) -> None:  # noqa: FBT001
    table = opened(data)
    assert (table.encoding, table.encoding_guessed) == (encoding, guessed)
    assert [row.name for row in good(table)] == ["Zoë Łęcka"]


def test_a_guess_is_told_and_can_be_overruled() -> None:
    data = "email,name\na@example.com,Zoë\n".encode("latin-1")
    assert opened(data).encoding_guessed
    assert good(opened(data))[0].name == "Zoë"
    cyrillic = "email,name\na@example.com,Ольга\n".encode("windows-1251")
    table = read(cyrillic, now=NOW, reading=Reading(encoding="windows-1251"))
    assert good(table)[0].name == "Ольга"
    assert not table.encoding_guessed


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_offered_exists(encoding: str) -> None:
    data = "email,name\na@example.com,x\n".encode(encoding)
    assert len(good(read(data, now=NOW, reading=Reading(encoding=encoding)))) == 1


def test_a_slip_in_utf8_costs_one_row_not_all_names() -> None:
    data = "email,name\na@example.com,Zoë Łęcka\nb@example.com,".encode() + b"\xe9\nc@example.com,C"
    table = opened(data)
    assert table.encoding == "utf-8"
    assert [row.name for row in good(table)] == ["Zoë Łęcka", "C"]
    assert [row.line for row in bad(table)] == [3]


def test_nul_costs_one_row() -> None:
    table = opened("email,name\na@example.com,A\nb@example.com,B\0\nc@example.com,C\n")
    assert [row.name for row in good(table)] == ["A", "C"]
    assert "NUL" in bad(table)[0].reason


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"name,city\nAda,London\n", "No column is called"),
        (b"a@example.com\nb@example.com\n", "instead of the names of the columns"),
        (b"email,E-Mail\na@example.com,b@example.com\n", "could both hold"),
        (b"email,OPTIN_TIME,optin time\n", "Two columns"),
        (b"email,e\xff-mail\0\n" + "ö\n".encode(), "“email” and “e-mail” could both"),
        (b"email" + b",a" * MOST_COLUMNS, "names 1,001 columns, and at most 1,000 are read"),
        (b"%PDF-1.7", "PDF"),
        (b"email\n\x00\xff\xfe\x01\x02\xff", "not a file of text"),
        (b"\xff\xfee\x00m\x00a", "damaged"),
        (b'"email\n' + b"x" * 200_000, "first line cannot be read"),
        (b"e" * (LINE_LIMIT + 10), "first line cannot be read"),
    ],
)
def test_a_file_that_is_no_list_is_refused_with_the_way_out(data: bytes, says: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        opened(data)
    assert says in refusal.value.message


def test_limits_and_unknown_encodings_are_refused() -> None:
    with pytest.raises(Unreadable, match="larger than"):
        read(b"email\na@example.com\n", now=NOW, size_limit=10)
    with pytest.raises(Unreadable, match="not known"):
        read(b"email\n", now=NOW, reading=Reading(encoding="rot13"))


def test_header_only_is_an_empty_list() -> None:
    assert list(opened("email,name\n").rows()) == []


def test_columns_of_the_same_name_are_kept_apart() -> None:
    row = good(opened("email,City,City\na@example.com,Oslo,Rome\n"))[0]
    assert row.other == {"City": "Oslo", "City (2)": "Rome"}
    row = good(opened("email,City (2),City,City,City\na@example.com,1,2,3,4\n"))[0]
    assert row.other == {"City (2)": "1", "City": "2", "City (3)": "3", "City (4)": "4"}


def test_a_huge_cell_costs_one_row() -> None:
    table = opened(
        f"email,note\na@example.com,{'x' * 140_000}\nb@example.com,{'y' * (2 * LINE_LIMIT)}\n"
        "c@example.com,fine\n"
    )
    assert [row.address for row in good(table)] == ["c@example.com"]
    assert [row.line for row in bad(table)] == [2, 3]


def test_a_name_too_long_is_left_out_and_noted() -> None:
    row = good(opened(f"email,name\na@example.com,{'x' * (NAME_LIMIT + 1)}\n"))[0]
    assert row.name == ""
    assert "name" in row.notes[0]


def test_open_quotation_marks_end_in_time() -> None:
    lines = 'x@example.com","\n' * 60_000
    rows = list(opened(f'email,note\n"{lines}').rows())
    assert isinstance(rows[0], Bad)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.csv"
        path.write_text("email,name\n" + "someone@example.com,Some One\n" * rows)
        tracemalloc.start()
        with path.open("rb") as file:
            assert sum(1 for _ in read(file, now=NOW).rows()) == rows
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(30_000) < 1.2 * peak(6_000)


@pytest.mark.parametrize(
    ("text", "at", "assumed"),
    [
        ("2018-02-05 19:28:23", "2018-02-05T19:28:23+00:00", True),
        ("2018-02-05T19:28:23.000Z", "2018-02-05T19:28:23+00:00", False),
        ("2018-02-05T19:28:23+02:00", "2018-02-05T17:28:23+00:00", False),
        ("2021-02-04 07:55:20 +0000", "2021-02-04T07:55:20+00:00", False),
        ("2024-03-13 11:33:53 UTC", "2024-03-13T11:33:53+00:00", False),
        (" 2018-02-05 19:28 ", "2018-02-05T19:28:00+00:00", True),
    ],
)
def test_times(text: str, at: str, assumed: bool) -> None:  # noqa: FBT001
    found = instant(text, NOW)
    assert found.at == datetime.fromisoformat(at)
    assert found.zone_assumed is assumed


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("9999-12-31 23:59:59", "future"),
        ("9999-12-31T23:59:59-10:00", "not a day"),
        ("2026-11-23 00:00:01", "future"),
        ("1970-01-01 00:00:00", "before 1990"),
        ("0001-01-01T00:00:00+05:00", "not a day"),
        ("2021-05-04", "not a day"),
        ("05/04/2021 09:10:11", "not a day"),
        ("yesterday at about noon", "not a day"),
        ("2021-02-30 09:10:11", "not a day"),
    ],
)
def test_times_that_prove_nothing(text: str, fault: str) -> None:
    found = instant(text, NOW)
    assert found.at is None
    assert fault in found.fault
    row = good(opened(f"Email Address,OPTIN_TIME,CONFIRM_TIME\na@example.com,{text},{text}\n"))[0]
    assert evidence_kind(row) is None
    assert len(row.notes) == 2, "the row is kept, and the report says why it is not mailable"


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(),
        st.binary().map(b"email,name\n".__add__),
        st.text('ab@.,;"\n\r\t é\0\ufeff|').map(lambda text: f"email,status\n{text}".encode()),
        st.text('email, name;attributes\n"{}[]:1\\u0000d8', min_size=1).map(
            lambda text: f"email,name,attributes\na@b.c,,{text}".encode()
        ),
    )
)
@example(b'email,name,attributes\na@example.com,,"{""a"": ""\\ud800""}"')
@example(b'email,name,attributes\na@example.com,,"{""a"": ""\\u0000""}"')
@example(b"email,name,attributes\na@example.com,," + b"[" * 100_000)
@example(b'email,name,attributes\na@example.com,,"' + b'{""a"":' * 15_000 + b"1" + b"}" * 15_000)
@example(b'email,tags\na@example.com,"""a,\r"""')
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        rows = list(opened(data).rows())
    except Refused:
        return
    for row in rows:
        assert row.line > 1
        repr(row).encode()
        if isinstance(row, Row):
            assert "\0" not in f"{row.address}{row.name}{row.tags}"
            "".join((row.address, row.name, *row.tags, *row.other, *row.other.values())).encode()


@given(
    st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), st.text(max_size=20))
)
def test_what_stands_in_an_ip_column_is_kept_only_if_it_is_one(text: str) -> None:
    kept = address_of(text)
    try:
        expected = ip_address(text)
    except ValueError:
        assert not kept
        return
    assert ip_address(kept) == (getattr(expected, "ipv4_mapped", None) or expected)
