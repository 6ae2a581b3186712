"""A copy taken over elsewhere: the same profile and history, and consent only where it is one."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from crm import consent, customers, privacy
from crm.businesses import Business
from crm.consent import Method
from crm.customers import Changes
from crm.db import Database
from crm.errors import Conflict
from crm.events import Actor
from crm.mail.actions import claim_letters
from crm.privacy.brought.taking_over import Took, take_over
from crm.privacy.copies import archive
from crm.privacy.copies.archive import BrokenArchive
from tests import make
from tests.privacy.life import SYSTEM, Life
from tests.privacy.taken import inside, lines, taken

SLUG = "ours"
# What stands of one thing in both businesses; ids and instants of recording are each one's own.
PROFILE = ("address", "name", "locale", "time_zone", "external_id")
ATTRIBUTE = ("name", "label", "type", "value", "purpose", "retention")
HAPPENED = ("kind", "label", "at", "title", "detail", "amount", "currency")
NAUGHTY = (
    "Ñandú Ω é",
    "नोरा लिंडक्विस्ट",
    "宮崎 はやお",
    "أحمد بن محمد",
    "\N{ZERO WIDTH JOINER}👩\N{ZERO WIDTH JOINER}🚀",
    "O'Brien; DROP TABLE customer--",
    '=CMD|"/C calc"!A0',
    "+49 30 1234",
    "@SUM(1+1)",
    "-2+3",
    'a,"b";c\\n',
    "<script>alert('x')</script>",
    "{{ 7*7 }} {% raw %}",
    "%s %n ${jndi:ldap://x}",
    "../../../etc/passwd",
    "NULL",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "1;2,3\N{NO-BREAK SPACE}€",
)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "names-locales" / "blns.json"


@asynccontextmanager
async def _opened(packed: bytes, tmp_path: Path) -> AsyncIterator[archive.Opened]:
    path = tmp_path / "your-data.zip"
    path.write_bytes(packed)
    with archive.opened(path) as copy:
        yield copy


async def _take(
    database: Database, business: Business, packed: bytes, tmp_path: Path, **how: Any
) -> Took:
    async with _opened(packed, tmp_path) as copy, database.write(business.id) as db:
        return await take_over(db, SYSTEM, copy, **how)


async def _purpose(database: Database, business: Business, accepts: list[Any]) -> UUID:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, slug=SLUG)
        await make.notice(db, purpose.id, accepts=accepts)
    return purpose.id


async def _slug(database: Database, life: Life) -> str:
    async with database.read(life.business.id) as db:
        return (await consent.purpose(db, life.notice.purpose_id)).slug


def _of(rows: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in names} for row in rows]


async def test_it_is_the_same_profile_and_history(
    database: Database, other_business: Business, known: Life, packed: bytes, tmp_path: Path
) -> None:
    """Taken over and copied again there: field by field what it was."""
    took = await _take(database, other_business, packed, tmp_path, declare=True)
    before = inside(packed)
    after = inside(await taken(database, other_business.id, took.customer.id))

    assert took.added
    assert _of(lines(after, "profile"), PROFILE) == _of(lines(before, "profile"), PROFILE)
    assert _of(lines(after, "attributes"), ATTRIBUTE) == _of(lines(before, "attributes"), ATTRIBUTE)
    # What happened at one instant has no order.
    told, heard = (
        sorted(_of(lines(each, "interactions"), HAPPENED), key=json.dumps)
        for each in (before, after)
    )
    assert heard == told
    brought = lines(after, "brought")
    for name in ("decisions", "newsletters", "letters"):
        mine = [
            each["said"]
            for each in brought
            if (each["list"], each["origin"]) == (name, known.business.name)
        ]
        theirs = lines(before, name)
        assert sorted(mine, key=json.dumps) == sorted(theirs, key=json.dumps)
        for each in brought:
            if each["list"] == name and each["said"].get("file"):
                assert after[each["file"]] == before[each["said"]["file"]]
    # What she had brought there herself, she brings on.
    assert {each["origin"] for each in brought} == {known.business.name, "Old Bakery"}
    (file,) = lines(after, "files")
    assert after[f"files/{file['id']}.json"] == before["receipts.json"]


async def test_a_yes_elsewhere_is_evidence_and_no_double_opt_in(
    database: Database, other_business: Business, known: Life, packed: bytes, tmp_path: Path
) -> None:
    """It counts where the text accepts it, as imported, with the receipts as its evidence."""
    purpose_id = await _purpose(
        database, other_business, [consent.EvidenceKind.former_double_opt_in]
    )
    names = {await _slug(database, known): SLUG}
    took = await _take(database, other_business, packed, tmp_path, purposes=names)

    async with database.read(other_business.id) as db:
        state = await consent.state(db, took.customer.id, purpose_id)
        (event,) = await consent.history(db, took.customer.id)
        (file,) = await consent.files(db, took.customer.id)
    assert took.states == {SLUG: "given"}
    assert state is not None
    assert (state.method, event.method, event.opt_in) == (Method.imported, Method.imported, None)
    assert event.evidence["kind"] == "former_double_opt_in"
    assert event.evidence["tool"] == "firsthand"
    assert event.evidence["file_sha256"] == file.sha256.hex()
    given = next(
        each["event"]
        for each in lines(inside(packed), "decisions")
        if each["event"]["method"] == "double_opt_in"
    )
    assert event.at == msgspec.convert(given["opt_in"]["confirmed_at"], type(event.at))
    async with database.write(other_business.id) as db:
        assert await claim_letters(db, 10) == []


async def test_what_the_text_does_not_accept_stays_unmailable(
    database: Database, other_business: Business, known: Life, packed: bytes, tmp_path: Path
) -> None:
    await _purpose(database, other_business, [])
    names = {await _slug(database, known): SLUG}
    took = await _take(database, other_business, packed, tmp_path, purposes=names)

    assert took.states == {SLUG: "unknown"}
    assert any("accepts no consent from a former tool" in each for each in took.said)


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_withdrawal_wins_wherever_it_was(
    database: Database, other_business: Business, nora: Life, tmp_path: Path, where: str
) -> None:
    purpose_id = await _purpose(
        database, other_business, [consent.EvidenceKind.former_double_opt_in]
    )
    names = {await _slug(database, nora): SLUG}
    if where == "there":
        async with database.write(nora.business.id) as db:
            await consent.withdraw(
                db, nora.actor, nora.customer.id, nora.notice.purpose_id, method=Method.portal
            )
    else:
        async with database.write(other_business.id) as db:
            her = await make.customer(db, address=nora.customer.address)
            await consent.withdraw(
                db, Actor.customer(her.id), her.id, purpose_id, method=Method.portal
            )
    packed = await taken(database, nora.business.id, nora.customer.id)
    took = await _take(database, other_business, packed, tmp_path, purposes=names)

    assert took.states == {SLUG: "withdrawn"}


async def test_again_changes_nothing(
    database: Database, other_business: Business, packed: bytes, tmp_path: Path
) -> None:
    """And what was entered here meanwhile stays."""
    first = await _take(database, other_business, packed, tmp_path, declare=True)
    async with database.write(other_business.id) as db:
        await customers.change(db, SYSTEM, first.customer.id, Changes(name="Nora L."))
    again = await _take(database, other_business, packed, tmp_path, declare=True)

    assert (first.decisions > 0, first.mails > 0, first.interactions > 0) == (True, True, True)
    assert not again.added
    assert (again.attributes, again.interactions, again.decisions, again.mails) == (0, 0, 0, 0)
    assert again.customer.name == "Nora L."
    async with database.read(other_business.id) as db:
        assert len(await consent.files(db, first.customer.id)) == 1


async def test_what_is_not_declared_is_left_out_and_said(
    database: Database, other_business: Business, packed: bytes, tmp_path: Path
) -> None:
    took = await _take(database, other_business, packed, tmp_path)

    assert (took.attributes, took.interactions) == (0, 0)
    assert "The attribute usual_shop is not declared here; left out." in took.said
    assert any(each.startswith("Entries of the kind purchase") for each in took.said)


async def test_who_must_not_be_contacted_is_not_taken_in(
    database: Database, other_business: Business, known: Life, packed: bytes, tmp_path: Path
) -> None:
    """She had herself erased there, and an old copy comes; or her record is frozen."""
    async with database.write(other_business.id) as db:
        her = await make.customer(db, address=known.customer.address)
        await customers.restrict(db, SYSTEM, her.id)
    with pytest.raises(Conflict, match="frozen"):
        await _take(database, other_business, packed, tmp_path)
    async with database.write(other_business.id) as db:
        await privacy.erase(db, SYSTEM, her.id)
    with pytest.raises(Conflict, match="must not be contacted"):
        await _take(database, other_business, packed, tmp_path)


async def test_an_erasure_takes_what_was_brought(
    database: Database, other_business: Business, packed: bytes, tmp_path: Path
) -> None:
    took = await _take(database, other_business, packed, tmp_path, declare=True)
    async with database.write(other_business.id) as db:
        await privacy.erase(db, SYSTEM, took.customer.id)
        assert [each async for each in privacy.brought.export(db, took.customer.id)] == []


def _naughty() -> list[str]:
    found = list(NAUGHTY)
    if SHARED.exists():
        found += json.loads(SHARED.read_text())
    # What no field takes is refused where it is entered, and tested there.
    return [each for each in found if each.strip() and each.isprintable() and len(each) < 200]


async def test_names_of_all_scripts_come_through(
    database: Database, business: Business, other_business: Business, tmp_path: Path
) -> None:
    """Naughty strings in every field that takes text, to the other business and into the tables."""
    strings = _naughty()
    async with database.write(business.id) as db:
        her = await make.customer(db, address="naughty@example.com", name=strings[0])
        for each in strings:
            await customers.note(db, SYSTEM, her.id, each, each)
    packed = await taken(database, business.id, her.id)
    took = await _take(database, other_business, packed, tmp_path, declare=True)
    before = inside(packed)
    after = inside(await taken(database, other_business.id, took.customer.id))

    told = _of(lines(before, "interactions"), HAPPENED)
    key = json.dumps
    assert sorted(map(key, _of(lines(after, "interactions"), HAPPENED))) == sorted(map(key, told))
    assert len(told) == len(strings)
    assert lines(after, "profile")[0]["name"] == strings[0]
    assert b"<script>alert" not in before["index.html"]
    assert not [
        cell for cell in before["tables/interactions.csv"].decode().split(",") if cell[:1] == "="
    ]


def _repacked(packed: bytes, change: dict[str, bytes], *, sums: bool) -> bytes:
    """Change files of a copy; with `sums` as somebody would who puts the manifest right, too."""
    files = inside(packed) | change
    if sums:
        manifest = json.loads(files["manifest.json"])
        for each in manifest["files"]:
            content = files[each["path"]]
            each |= {"bytes": len(content), "sha256": sha256(content).hexdigest()}
        files["manifest.json"] = json.dumps(manifest).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lines/profile.ndjson": b"{}"}, "lines/profile.ndjson is not what was packed"),
        ({"../evil.sh": b"rm"}, "no name of a file in a copy: ../evil.sh"),
        ({"manifest.json": b'{"format": "firsthand/manifest", "version": 9}'}, "of version 9"),
        ({"manifest.json": b'{"format": "other", "version": 1}'}, "no copy of ours"),
    ],
)
async def test_what_was_changed_is_refused_by_name(
    packed: bytes, tmp_path: Path, change: dict[str, bytes], why: str
) -> None:
    with pytest.raises(BrokenArchive, match=re.escape(why)):
        async with _opened(_repacked(packed, change, sums=False), tmp_path):
            pass


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (("profile", b"{}"), "lines/profile.ndjson is not as it should be"),
        (("profile", b""), "lines/profile.ndjson has 0 rows"),
        (("decisions", b'{"event": 1}'), "lines/decisions.ndjson is not as it should be"),
    ],
)
async def test_what_is_odd_behind_good_sums_is_refused_as_a_whole(
    database: Database, packed: bytes, tmp_path: Path, odd: tuple[str, bytes], why: str
) -> None:
    """Whoever changes a copy can put the manifest right; then nothing of it is taken over."""
    changed = _repacked(packed, {f"lines/{odd[0]}.ndjson": odd[1]}, sums=True)
    business = await make.business(database)
    with pytest.raises(BrokenArchive, match=re.escape(why)):
        await _take(database, business, changed, tmp_path)

    async with database.read(business.id) as db:
        assert await customers.page(db) == []


def _edited(packed: bytes, name: str, change: dict[str, Any]) -> bytes:
    """Change every row of a list, and put the manifest right."""
    rows = [each | change for each in lines(inside(packed), name)]
    if name == "decisions":
        rows = [each | {"event": each["event"] | change} for each in lines(inside(packed), name)]
    text = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    return _repacked(packed, {f"lines/{name}.ndjson": text}, sums=True)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("profile", {"name": "x" * 201}),
        ("interactions", {"title": "x" * 301}),
        ("interactions", {"currency": "EURO"}),
        ("interactions", {"at": "2020-01-01T00:00:00"}),
        ("decisions", {"at": "0001-01-01T00:00:00+14:00"}),
        ("newsletters", {"delivery": None}),
    ],
)
async def test_what_cannot_be_kept_is_refused_as_a_whole(
    *,
    database: Database,
    other_business: Business,
    packed: bytes,
    tmp_path: Path,
    name: str,
    change: dict[str, Any],
) -> None:
    """Too long, without a time zone, of no year of ours, or nothing where something is due."""
    with pytest.raises(BrokenArchive, match=r"not as it should be|no copy of ours"):
        await _take(database, other_business, _edited(packed, name, change), tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("profile", {"id": "00000000-0000-4000-8000-000000000001"}),
        ("decisions", {"at": "2020-01-01T00:00:00Z"}),
        ("decisions", {"id": "00000000-0000-4000-8000-000000000001"}),
    ],
)
async def test_what_no_receipt_shows_was_never_confirmed(  # noqa: PLR0917
    database: Database,
    other_business: Business,
    known: Life,
    packed: bytes,
    tmp_path: Path,
    name: str,
    change: dict[str, Any],
) -> None:
    """Whoever writes another decision, or another customer, into a copy confirms nothing."""
    await _purpose(database, other_business, [consent.EvidenceKind.former_double_opt_in])
    names = {await _slug(database, known): SLUG}
    took = await _take(
        database, other_business, _edited(packed, name, change), tmp_path, purposes=names
    )

    assert took.states == {SLUG: "unknown"}
    assert any("never confirmed" in each for each in took.said)
    assert any("No receipt in the copy shows the yes" in each for each in took.said)


async def test_receipts_that_do_not_hold_are_refused_as_a_whole(
    database: Database, other_business: Business, known: Life, packed: bytes, tmp_path: Path
) -> None:
    """By our own verifier, whatever the sums say."""
    await _purpose(database, other_business, [])
    bundle = json.loads(inside(packed)["receipts.json"])
    head, said, seal = bundle["receipts"][0]["receipt"].split(".")
    bundle["receipts"][0]["receipt"] = f"{head}.{said}.{seal[::-1]}"
    changed = _repacked(packed, {"receipts.json": json.dumps(bundle).encode()}, sums=True)
    names = {await _slug(database, known): SLUG}

    with pytest.raises(BrokenArchive, match=r"receipts\.json does not hold"):
        await _take(database, other_business, changed, tmp_path, purposes=names)
    async with database.read(other_business.id) as db:
        assert await customers.page(db) == []


async def test_a_text_is_of_one_mail(
    database: Database, other_business: Business, packed: bytes, tmp_path: Path
) -> None:
    """Or a small file could be read without end."""
    first = next(row["file"] for row in lines(inside(packed), "letters") if row["file"])
    odd = _edited(packed, "letters", {"file": first})
    with pytest.raises(BrokenArchive, match="named by two mails"):
        await _take(database, other_business, odd, tmp_path)


async def test_a_character_that_cannot_be_kept_is_named(
    database: Database, business: Business, other_business: Business, tmp_path: Path
) -> None:
    """A backslash before it is text, and comes through."""
    async with database.write(business.id) as db:
        her = await make.customer(db, address="nul@example.com", name="\\u0000")
    packed = await taken(database, business.id, her.id)
    took = await _take(database, other_business, packed, tmp_path)
    assert took.customer.name == "\\u0000"
    odd = _edited(packed, "profile", {"name": "a\0b"})
    with pytest.raises(BrokenArchive, match="cannot be kept"):
        await _take(database, other_business, odd, tmp_path)


async def test_a_copy_that_is_cut_or_lies_is_refused(packed: bytes, tmp_path: Path) -> None:
    """Cut anywhere, with one name twice, or with a file that is far larger than it says."""
    path = tmp_path / "your-data.zip"
    halves = (packed[: len(packed) // 2], packed[:-10], packed[:100], packed[200:])
    for half in halves:
        path.write_bytes(half)
        with pytest.raises(BrokenArchive, match="no copy of ours"), archive.opened(path):
            pass
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as written:
        for name, content in inside(packed).items():
            written.writestr(name, content)
    with pytest.raises(BrokenArchive, match="stored or deflated"), archive.opened(path):
        pass
    with zipfile.ZipFile(path, "w") as written:
        for name, content in inside(packed).items():
            written.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            written.writestr("README.txt", b"again")
    with pytest.raises(BrokenArchive, match="twice"), archive.opened(path):
        pass
    manifest = json.loads(inside(packed)["manifest.json"])
    manifest["files"][0]["bytes"] = 1 << 40
    path.write_bytes(
        _repacked(packed, {"manifest.json": json.dumps(manifest).encode()}, sums=False)
    )
    with pytest.raises(BrokenArchive, match="no copy of ours"), archive.opened(path):
        pass


async def test_a_bomb_is_read_no_further_than_it_says(packed: bytes, tmp_path: Path) -> None:
    """A gigabyte of nothing behind the sums of a few words costs a few words."""
    path = tmp_path / "your-data.zip"
    path.write_bytes(_repacked(packed, {"README.txt": bytes(200_000_000)}, sums=False))

    why = r"README\.txt is not what was packed"
    with pytest.raises(BrokenArchive, match=why), archive.opened(path):
        pass
