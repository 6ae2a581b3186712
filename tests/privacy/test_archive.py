"""The ZIP of a copy: a page to read, lists, tables, and sums that tell what was changed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from crm import privacy
from crm.db import Database
from crm.privacy import Copy, archive
from crm.privacy.tables import Table, tables
from crm.verify_command import command
from tests.privacy.life import Life


@pytest.fixture
async def copy(database: Database, nora: Life) -> Copy:
    """Take a copy of a customer of whom everything there can be is held."""
    async with database.write(nora.business.id) as db:
        return await privacy.copy(db, nora.actor, nora.customer.id)


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, dict):
        said = list(said.values())
    if isinstance(said, list):
        for each in said:
            yield from _texts(each)
    elif isinstance(said, str):
        yield said


async def test_every_file_is_in_the_manifest_with_its_sum(copy: Copy) -> None:
    with ZipFile(io.BytesIO(archive.zipped(copy))) as packed:
        assert packed.testzip() is None
        manifest = json.loads(packed.read("manifest.json"))
        for each in manifest["files"]:
            content = packed.read(each["path"])
            assert (len(content), sha256(content).hexdigest()) == (each["bytes"], each["sha256"])
        names = set(packed.namelist())

    assert (manifest["format"], manifest["version"]) == ("firsthand/manifest", 1)
    assert names == {each["path"] for each in manifest["files"]} | {"manifest.json"}
    assert {"README.txt", "index.html", "copy.json"} < names
    file = copy.consent.files[0].file
    assert f"files/{file.id}.jpg" in names


async def test_lists_and_tables_say_the_same(copy: Copy) -> None:
    """Row by row, and all of it is in the copy itself."""
    with ZipFile(io.BytesIO(archive.zipped(copy))) as packed:
        for table in tables(copy):
            lines = packed.read(f"lines/{table.name}.ndjson").splitlines()
            text = packed.read(f"tables/{table.name}.csv").decode("utf-8-sig")
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
            assert len(lines) == len(rows) == len(table.rows)
            assert [json.loads(line) for line in lines] == table.rows
        whole = json.loads(packed.read("copy.json"))
        profile = json.loads(packed.read("lines/profile.ndjson"))

    assert profile == whole["customer"]["customer"]
    # Of her there is everything but these.
    assert {table.name for table in tables(copy) if not table.rows} == {
        "suppressions",
        "soft_bounces",
    }


async def test_nothing_of_the_copy_is_left_out_of_the_lists(copy: Copy) -> None:
    """What programs get whole, people get in tables: every value but texts and receipts."""
    whole = json.loads(archive.packed(copy))
    del whole["consent"]["receipts"]
    lists = json.dumps([table.rows for table in tables(copy)], ensure_ascii=False)
    missing = {
        text for text in _texts(whole) if json.dumps(text, ensure_ascii=False)[1:-1] not in lists
    }

    # Whose copy it is stands on the page; what is derived of the address says nothing new; a file
    # lies beside.
    elsewhere = [whole["business"], whole["customer"]["derived"], whole["generated_at"]]
    elsewhere += [whole["format"], *(file["content"] for file in whole["consent"]["files"])]
    assert missing <= set(_texts(elsewhere))


async def test_the_page_reads_well_without_a_network(copy: Copy, nora: Life) -> None:
    """It names what is held, in words, and asks no server for anything."""
    with ZipFile(io.BytesIO(archive.zipped(copy))) as packed:
        page = packed.read("index.html").decode()
        links = set(re.findall(r'href="([^"#][^"]*)"', page))
        assert links <= set(packed.namelist())

    for held in (
        nora.customer.address,
        "Nora Lindqvist",
        "Harbour Street",
        "For opening hours.",
        nora.notice.text,
        "Birthday cake",
        "Bob Okafor",
        "answering your question",
        nora.got.subject,
    ):
        assert held in page, held
    assert not re.search(r"<script|src=|url\(|@import|<link|https?:", page.partition("<pre>")[0])


async def test_names_are_text_and_nothing_else(copy: Copy) -> None:
    """Neither markup on the page nor a formula in a table comes of what somebody typed."""
    name = '=HYPERLINK("https://evil.example")<script>alert(1)</script>'
    her = replace(copy.customer, customer=replace(copy.customer.customer, name=name))
    with ZipFile(io.BytesIO(archive.zipped(replace(copy, customer=her)))) as packed:
        page = packed.read("index.html").decode()
        table = packed.read("tables/profile.csv").decode("utf-8-sig")

    assert "<script" not in page
    assert next(csv.DictReader(io.StringIO(table)))["name"] == f"'{name}"


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_begins_as_a_formula(begin: str) -> None:
    rows = Table("a", "b", [{"x": {"y": f"{begin}1"}, "z": True, "list": [1]}]).csv()
    cells = next(csv.DictReader(io.StringIO(rows.decode("utf-8-sig"), newline="")))

    assert cells == {"x.y": f"'{begin}1", "z": "yes", "list": "[1]"}


async def test_verify_takes_the_whole_file(copy: Copy, tmp_path: Path) -> None:
    """With the network off: the sums of the files, and then the receipts in the copy."""
    good = tmp_path / "copy.zip"
    good.write_bytes(archive.zipped(copy))
    told = CliRunner().invoke(command, [str(good)])

    assert told.output.startswith("holds   archive"), told.output
    assert "WRONG" not in told.output
    assert archive.unzipped(good) == archive.packed(copy)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lines/looks.ndjson": b""}, "lines/looks.ndjson is not what was packed"),
        ({"copy.json": b"{}"}, "copy.json is not what was packed"),
        ({"tables/more.csv": b"a"}, "manifest and files differ: tables/more.csv"),
        ({"README.txt": None}, "manifest and files differ: README.txt"),
        ({"manifest.json": b"[]"}, "this is no copy of ours"),
        ({"manifest.json": None}, "this is no copy of ours"),
    ],
)
async def test_a_changed_file_is_named(
    copy: Copy, tmp_path: Path, change: dict[str, bytes | None], why: str
) -> None:
    path = tmp_path / "copy.zip"
    with ZipFile(io.BytesIO(archive.zipped(copy))) as packed, ZipFile(path, "w") as changed:
        files = {name: packed.read(name) for name in packed.namelist()} | change
        for name, content in files.items():
            if content is not None:
                changed.writestr(name, content)
    told = CliRunner().invoke(command, [str(path)])

    assert told.exit_code == 1
    assert why in told.output
