"""The ZIP of a copy: a page to read, lists, tables, and sums that tell what was changed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner

from crm import businesses
from crm.businesses import NewBusiness
from crm.customers import Changes, change, restrict
from crm.db import Database
from crm.privacy import NewRequest, RequestKind, copies, requests, restriction
from crm.privacy.copies import packing
from crm.privacy.copies.archive import Manifest
from crm.privacy.copies.building import build_next
from crm.privacy.copies.contents import Contents, contents
from crm.privacy.copies.tables import csv_lines, flat
from crm.privacy.requests.model import Way
from crm.verify_command import command
from tests.conftest import Cluster
from tests.privacy.life import SYSTEM, Life
from tests.privacy.taken import inside, lines, taken


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, dict):
        said = list(said.values())
    if isinstance(said, list):
        for each in said:
            yield from _texts(each)
    elif isinstance(said, str):
        yield said


async def test_every_file_is_in_the_manifest_with_its_sum(packed: bytes) -> None:
    with ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
    files = inside(packed)
    manifest = msgspec.json.decode(files["manifest.json"], type=Manifest)
    for each in manifest.files:
        content = files[each.path]
        assert (len(content), sha256(content).hexdigest()) == (each.bytes, each.sha256)

    assert (manifest.format, manifest.version) == ("firsthand/manifest", 2)
    assert set(files) == {each.path for each in manifest.files} | {"manifest.json"}
    assert {"README.txt", "index.html", "copy.json", "receipts.json", "contact.vcf"} < set(files)
    (file,) = lines(files, "files")
    assert files[f"files/{file['id']}.jpg"] == b"A photograph of a form"


async def test_lists_and_tables_say_the_same(
    database: Database, known: Life, packed: bytes
) -> None:
    """Row by row, and all of it is in the copy itself, under the same names."""
    files = inside(packed)
    whole = json.loads(files["copy.json"])
    async with database.read(known.business.id) as db:
        names = [each.name for each in (await contents(db, known.customer.id)).lists]
    for name in names:
        text = files[f"tables/{name}.csv"].decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert lines(files, name) == whole[name]
        assert [set(row) for row in rows] == [set(rows[0]) for _ in whole[name]]

    assert (whole["format"], whole["version"]) == ("firsthand/copy", 2)
    # Of her there is everything but these.
    assert {name for name in names if not whole[name]} == {
        "suppressions",
        "soft_bounces",
        "freeze_ends",
        "dormancy",
        "deletions",
        "quarantine",
        # Nobody else receives what is hers.
        "recipients",
        "merged_records",
    }


async def test_what_there_is_no_room_for_is_read_again(
    database: Database, known: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list too long to be kept says the same in every form, line by line."""
    async with database.read(known.business.id) as db:
        held = await contents(db, known.customer.id)
        kept = await _packed(held)
        monkeypatch.setattr(packing, "_KEPT", 0)
        assert await _packed(held) == kept


async def _packed(held: Contents) -> dict[str, bytes]:
    return inside(b"".join([piece async for piece in packing.Packing(held).pieces()]))


async def test_the_schema_knows_every_list_and_every_name(packed: bytes) -> None:
    """Each list of the copy is described, and what its rows are is what is described."""
    files = inside(packed)
    schema, whole = json.loads(files["schema.json"]), json.loads(files["copy.json"])
    told = {"format", "version", "generated_at", "business", "consent"}

    assert set(whole) == set(schema["properties"]) | told
    for name in set(whole) - told:
        items = schema["properties"][name]["items"]
        described = schema["$defs"][items["$ref"].rpartition("/")[2]]["properties"]
        for row in whole[name]:
            assert set(row) <= set(described), name
    manifest = schema["$defs"]["Manifest"]["properties"]
    assert set(json.loads(files["manifest.json"])) == set(manifest)


async def test_nothing_of_the_copy_is_left_out_of_the_tables(packed: bytes) -> None:
    """What programs get whole, people get in tables: every value but receipts."""
    files = inside(packed)
    whole = json.loads(files["copy.json"])
    for name in ("consent", "business", "generated_at", "format"):
        del whole[name]
    said = {
        cell
        for name, content in files.items()
        if name.startswith("tables/")
        for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        # A text that a spreadsheet would take for a formula has an apostrophe before it.
        for cell in (each.removeprefix("'") for each in row)
    }
    inner = {text for cell in said if cell[:1] == "[" for text in _texts(json.loads(cell))}

    assert set(_texts(whole)) - {""} <= said | inner


async def test_the_page_reads_well_without_a_network(packed: bytes, known: Life) -> None:
    """It names what is held, in words, and asks no server for anything."""
    files = inside(packed)
    page = files["index.html"].decode()
    links = set(re.findall(r'href="([^"#][^"]*)"', page))
    assert links <= set(files)

    for held in (
        known.customer.address,
        "Nora Lindqvist",
        "Harbour Street",
        "For opening hours.",
        known.notice.text,
        "Birthday cake",
        "Bob Okafor",
        "answering your question",
        known.got.subject,
    ):
        assert held in page, held
    for name, content in files.items():
        if name.endswith(".html") and not name.startswith("messages/"):
            text = content.decode()
            assert not re.search(r"<script|src=|url\(|@import|<link|href=.https?:", text), name
            for link in re.findall(r'href="([^"#][^"]*)"', text):
                place = f"pages/{link}" if name.startswith("pages/") else link
                assert place.removeprefix("pages/../") in files


async def test_each_newsletter_that_went_lies_beside(packed: bytes, known: Life) -> None:
    """One that waits was not sent, and is not among them."""
    files = inside(packed)
    named = {row["delivery"]["campaign_id"]: row["file"] for row in lines(files, "newsletters")}

    assert named[str(known.waits.id)] == ""
    sent = files[named[str(known.got.id)]].decode()
    assert sent.startswith("<!")
    assert "{{" not in sent
    assert "/u/" in sent


async def test_a_newsletter_whose_values_are_gone_is_there_as_it_was_written(
    database: Database, nora: Life, shared_cluster: Cluster
) -> None:
    """Before anything was filled in: the list and the file agree."""
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    try:
        await conn.execute(
            "UPDATE crm.delivery SET merged = NULL WHERE business_id = $1", nora.business.id
        )
    finally:
        await conn.close()
    files = inside(await taken(database, nora.business.id, nora.customer.id))
    named = {row["delivery"]["campaign_id"]: row["file"] for row in lines(files, "newsletters")}
    assert files[named[str(nora.got.id)]].decode() == nora.got.source


async def test_each_letter_lies_beside(packed: bytes) -> None:
    """Without the links and codes that open something."""
    files = inside(packed)
    letters = lines(files, "letters")
    confirmed = next(each for each in letters if each["kind"] == "confirmation")
    text = files[confirmed["file"]].decode()

    assert text.startswith(f"{confirmed['subject']}\n")
    assert "Corner Bakery" in text
    assert len({each["file"] for each in letters} & set(files)) == len(letters)


async def test_names_are_text_and_nothing_else(database: Database, nora: Life) -> None:
    """Neither markup on the page nor a formula in a table comes of what somebody typed."""
    name = '=HYPERLINK("https://evil.example")<script>alert(1)</script>'
    async with database.write(nora.business.id) as db:
        await change(db, SYSTEM, nora.customer.id, Changes(name=name))
    files = inside(await taken(database, nora.business.id, nora.customer.id))
    table = files["tables/profile.csv"].decode("utf-8-sig")

    assert b"<script" not in files["index.html"]
    assert next(csv.DictReader(io.StringIO(table)))["name"] == f"'{name}"
    assert lines(files, "profile")[0]["name"] == name


async def test_staff_are_named_only_where_that_is_allowed(database: Database, nora: Life) -> None:
    """In none of its files, whatever a member has done with her record."""
    async with database.write(nora.business.id) as db:
        await copies.ask(db, nora.member.actor, nora.customer.id, reason="her letter")
        new = NewRequest(kind=RequestKind.access, customer_id=nora.customer.id, words="All of it.")
        asked = await requests.receive(db, nora.member.actor, new, way=Way.letter)
        await requests.vouch(db, nora.member.actor, asked.id)
        await requests.take(db, nora.member.actor, asked.id)
        await restrict(db, SYSTEM, nora.customer.id)
        await restriction.announce(db, nora.member.actor, nora.customer.id)
    assert await build_next(database, nora.business.id) is not None
    named = inside(await taken(database, nora.business.id, nora.customer.id))
    async with database.write(nora.business.id) as db:
        kept = {each: getattr(nora.business, each) for each in NewBusiness.__struct_fields__}
        await businesses.change(db, SYSTEM, NewBusiness(**kept | {"names_staff": False}))
        await copies.forget(db, nora.customer.id)
        await copies.ask(db, nora.member.actor, nora.customer.id, reason="her letter")
    assert await build_next(database, nora.business.id) is not None
    files = inside(await taken(database, nora.business.id, nora.customer.id))

    for name in ("requests", "copies", "freeze_ends", "looks"):
        assert nora.member.name in repr(lines(named, name)), name
    assert [name for name, content in files.items() if nora.member.name.encode() in content] == []


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "\0"])
def test_no_cell_begins_as_a_formula(begin: str) -> None:
    row = flat({"x": {"y": f"{begin}1"}, "z": True, "list": [1]})
    written = csv_lines([row, row.values()]).decode()
    cells = next(csv.DictReader(io.StringIO(written, newline="")))

    assert cells == {"x.y": f"'{begin}1", "z": "yes", "list": "[1]"}


async def test_verify_takes_the_whole_file(packed: bytes, tmp_path: Path) -> None:
    """With the network off: the sums of the files, and then the receipts in it."""
    good = tmp_path / "copy.zip"
    good.write_bytes(packed)
    told = CliRunner().invoke(command, [str(good)])

    assert told.output.startswith("holds   archive"), told.output
    assert "holds   receipt" in told.output
    assert "WRONG" not in told.output


async def test_the_independent_verifier_takes_its_receipts(packed: bytes, tmp_path: Path) -> None:
    """`deploy/verify.py` shares no code with the service; each decision is in what it shows."""
    files = inside(packed)
    receipts = tmp_path / "receipts.json"
    receipts.write_bytes(files["receipts.json"])
    verifier = Path(__file__).parents[2] / "deploy" / "verify.py"
    told = await asyncio.create_subprocess_exec(
        sys.executable, str(verifier), str(receipts), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await told.communicate()

    assert told.returncode == 0, out
    assert out.decode().count("holds   receipt") == len(lines(files, "decisions"))


async def test_the_documents_name_each_list_and_no_other(database: Database, known: Life) -> None:
    """docs/copy.md, in the sentence that begins with `The lists are`."""
    text = (Path(__file__).parents[2] / "docs" / "copy.md").read_text()
    sentence = re.search(r"The lists are ([^;]+);", text)
    assert sentence is not None
    async with database.read(known.business.id) as db:
        named = [each.name for each in (await contents(db, known.customer.id)).lists]

    assert sorted(re.findall(r"`(\w+)`", sentence[1])) == sorted(named)


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
    packed: bytes, tmp_path: Path, change: dict[str, bytes | None], why: str
) -> None:
    path = tmp_path / "copy.zip"
    with ZipFile(path, "w") as changed:
        for name, content in (inside(packed) | change).items():
            if content is not None:
                changed.writestr(name, content)
    told = CliRunner().invoke(command, [str(path)])

    assert told.exit_code == 1
    assert why in told.output
