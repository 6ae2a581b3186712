"""Far too much of something: it costs no more than its length, and what is left out is said."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from crm.businesses import Business
from crm.db import Database
from crm.imports import Row, Unreadable
from crm.imports.columns import MOST_COLUMNS, recognise
from crm.imports.lines import Lines
from crm.imports.lines import read as read_lines
from crm.imports.lists import opened
from crm.imports.model import Told
from crm.imports.nested import DEEPEST, MOST_KEYS, MOST_LETTERS, flattened
from crm.imports.remarks import Report
from crm.imports.showing import LONGEST
from crm.imports.table import head
from tests.imports.lists import SLUG, letter, rows, take, tally

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def in_csv(cell: str) -> bytes:
    """As listmonk writes it."""
    quoted = cell.replace('"', '""')
    return f'email,name,attributes\na@example.com,A,"{quoted}"\n'.encode()


def in_a_line(cell: str) -> bytes:
    """As Keila has it."""
    said = {"Email": "a@example.com", "First name": "", "Last name": "", "Data": cell}
    return json.dumps(said).encode() + b"\n"


def with_odd(count: int) -> str:
    """One line with so many fields that are no plain values."""
    odd: dict[str, object] = {f"{n:x}": [] for n in range(count)}
    return compact({"email": "a@example.com"} | odd) + "\n"


def lines(content: bytes) -> Lines:
    return read_lines(io.BytesIO(content), purpose=SLUG, now=NOW, size_limit=10**9)


@pytest.mark.parametrize("written", [in_csv, in_a_line])
@pytest.mark.parametrize("length", [100, 590, 65_000])
def test_json_in_a_cell_takes_no_more_memory_than_the_file(
    written: Callable[[str], bytes], length: int
) -> None:
    content = written(compact({"A" * length: {f"{n:x}": 1 for n in range(5_000)}}))
    lists = opened(content, now=NOW, purpose=SLUG)
    tracemalloc.start()
    (row,) = lists.rows(frozenset())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 50 * len(content) + 1_000_000
    assert isinstance(row, Row)
    assert sum(map(len, row.other)) <= MOST_LETTERS
    assert len(row.notes) == 1
    assert "were left out" in row.notes[0]


def test_of_json_in_a_cell_the_rest_is_taken() -> None:
    """Whatever stands before or behind what is beyond a limit."""
    deep: object = "too deep"
    for _ in range(DEEPEST):
        deep = {"x": deep}
    long = {"A" * LONGEST: {"b": 1, "c": 2}, "B" * (LONGEST + 1): 1}
    notes: list[str] = []

    flat = flattened(compact({"a": 1} | long | {"n": None, "d": deep, "z": {"y": "Oslo"}}), notes)

    assert flat == {"a": "1", "z.y": "Oslo"}
    assert len(notes) == 1
    fine = {f"key {n}": "" for n in range(MOST_KEYS)}
    assert flattened(compact(fine), notes) == fine
    assert len(notes) == 1
    assert flattened(compact(fine | {"another": ""}), notes) == fine
    assert len(notes) == 2


def test_columns_of_one_title_are_numbered_without_trying_each_number_again() -> None:
    """Counted: each number that is tried begins with the title once more."""

    class Title(str):
        __slots__ = ()
        tried = 0

        def split(self, *_: object) -> list[str]:
            Title.tried += 1
            return ["a"]

    recognised = recognise(["email", *map(Title, ["a"] * 5_000)])

    assert recognised.other[-1] == (5_000, "a (5000)")
    assert Title.tried == 5_000


def test_a_header_of_very_many_columns_is_refused_before_anything_is_done_with_it() -> None:
    most = b"email" + b",a" * (MOST_COLUMNS - 1)
    assert len(head(most + b"\n").headings) == MOST_COLUMNS
    for look in (head, lambda content: opened(content, now=NOW, purpose=SLUG)):
        look(most + b"\n")
        with pytest.raises(Unreadable, match="at most 1,000 are read"):
            look(most + b",a\n")


async def test_of_a_line_of_many_fields_some_are_named(
    database: Database, business: Business
) -> None:
    await letter(database, business.id)
    content = with_odd(20_000)

    done = await take(database, business.id, content)

    assert tally(done) == (1, 0, 0, 0)
    assert await rows(database, business.id, "import_row") < 60
    (row,) = lines(content.encode()).rows()
    assert isinstance(row, Row)
    assert sum("is no plain value" in each for each in row.notes) == 50
    more = "19,950 more fields were left out of this line: only plain values are taken."
    assert row.notes[50:] == (more,)


def test_one_more_field_is_one() -> None:
    (row,) = lines(with_odd(51).encode()).rows()
    assert isinstance(row, Row)
    assert row.notes[-1].startswith("1 more field was left out of this line")


def test_a_sentence_is_compared_with_no_other() -> None:
    """By its hash: however much is said of a line."""

    class Sentence(str):
        __slots__ = ()
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            Sentence.compared += 1
            return str(self) == other

    said = Report()
    for _ in range(2):
        for number in range(1_000):
            said.say(1, Told.noted, Sentence(f"{number}"))

    assert Sentence.compared <= 3_000


def test_lines_with_many_fields_each_of_its_own_take_no_more_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crm.imports.lines._HELD", 20_000)

    def peak(count: int) -> int:
        content = b"".join(
            compact({"email": "a@example.com"} | {f"{at}-{n}": 0 for n in range(200)}).encode()
            + b"\n"
            for at in range(count)
        )
        found = lines(content)
        tracemalloc.start()
        assert sum(isinstance(each, Row) for each in found.rows()) == count
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(200) < 1.5 * peak(20)
