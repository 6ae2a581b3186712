"""What the columns of any other tool's list mean is said once, kept by name, and used again."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from crm import customers, imports
from crm.businesses import Business
from crm.consent import Status
from crm.db import Database
from crm.errors import Invalid
from crm.events import Actor
from crm.imports import State, Unreadable, mappings
from crm.imports.guessing import guess
from crm.imports.mapping import (
    BadMapping,
    Column,
    Means,
    NewMapping,
    Separator,
    UnknownMapping,
    checked,
    fitting,
)
from crm.imports.table import head
from tests.commands import SECRETS, crm
from tests.conftest import Cluster
from tests.imports.lists import ASKED, CONFIRMED, held, letter, report, take, tally
from tests.staff.site import Browser

_BY = Actor.system()
_NEW = NewMapping(
    columns=[
        Column("Kundenmail", Means.address),
        Column("Vorname Kunde", Means.first_name),
        Column("Angemeldet", Means.opted_in_at),
        Column("Bestätigt", Means.confirmed_at),
        Column("Weg", Means.unsubscribed),
        Column("Filiale", Means.attribute, "shop"),
        Column("Nr", Means.leave),
    ],
    otherwise="subscribed",
)
_LIST = (
    "Kundenmail;Vorname Kunde;Angemeldet;Bestätigt;Weg;Filiale;Nr\n"
    f"ada@example.com;Ada;{ASKED};{CONFIRMED};no;Oslo;1\n"
    "bo@example.com;Bo;;;no;Bergen;2\n"
    f"cy@example.com;Cy;{ASKED};{CONFIRMED};yes;Voss;3\n"
)


async def _saved(database: Database, business: Business, name: str = "Till") -> None:
    async with database.write(business.id) as db:
        shop = customers.NewAttribute(
            basis=customers.LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Shop",
            type=customers.AttributeType.text,
            purpose="To name the next shop.",
            retention="P2Y",
        )
        await customers.declare_attribute(db, _BY, "shop", shop)
        await mappings.save(db, _BY, name, _NEW)


async def test_it_works(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    await _saved(database, business)

    done = await take(database, business.id, _LIST)

    assert (tally(done), done.given, done.withdrawn, done.unproven) == ((3, 0, 0, 0), 1, 1, 1)
    assert (done.mapping, done.encoding, done.separator) == ("Till", "utf-8", "semicolon")
    ada = await held(database, notice, business.id, "ada@example.com")
    assert (ada.mailable, ada.name) == (True, "Ada")
    assert (await held(database, notice, business.id, "cy@example.com")).status is Status.withdrawn
    async with database.read(business.id) as db:
        [found] = await customers.search(db, customers.Wanted(address="ada@example.com"))
        assert [each.value for each in await customers.values(db, found.id)] == ["Oslo"]
    said = [each.reason for each in await report(database, business.id, done.id)]
    assert "Read by the mapping “Till”, which leaves behind: “Nr”." in said


async def test_a_column_may_hold_tags(database: Database, business: Business) -> None:
    await letter(database, business.id)
    columns = [Column("Kundenmail", Means.address), Column("Gruppen", Means.tags)]
    async with database.write(business.id) as db:
        new = customers.NewTag(label="Stammkundin", purpose="To greet her.", retention="P1Y")
        await customers.declare_tag(db, _BY, "regular", new)
        await mappings.save(db, _BY, "Till", NewMapping(columns=columns))

    done = await take(database, business.id, 'Kundenmail;Gruppen\na@example.com;"Stammkundin, X"\n')

    assert done.mapping == "Till"
    async with database.read(business.id) as db:
        [found] = await customers.search(db, customers.Wanted(address="a@example.com"))
        assert [each.name for each in await customers.tags_of(db, found.id)] == ["regular"]
    told = [each.reason for each in await report(database, business.id, done.id)]
    assert any("The tag “X” of 1 row was left out" in each for each in told)


async def test_other_columns_are_read_as_before(database: Database, business: Business) -> None:
    """Only exactly its own headers are read by it; named, it has to fit."""
    await letter(database, business.id)
    await _saved(database, business)
    with pytest.raises(Unreadable, match="No column is called"):
        await take(database, business.id, _LIST.replace(";Nr", ";Nummer"))
    assert (await take(database, business.id, "email,name\ndee@example.com,Dee\n")).mapping == ""
    async with database.write(business.id) as db:
        named = await mappings.reading(db, mapping="Till")
        purpose = (await imports.page(db))[0].purpose_id
        with pytest.raises(Unreadable, match="not those of the mapping “Till”"):
            await imports.receive(
                db, _BY, purpose, "a.csv", b"email\na@example.com\n", reading=named
            )
        with pytest.raises(UnknownMapping):
            await mappings.reading(db, mapping="Shop")
        with pytest.raises(Invalid):
            await mappings.reading(db, encoding="rot13")


async def test_a_worker_reads_as_it_was_when_it_was_received(
    database: Database, business: Business
) -> None:
    """Whatever becomes of the mapping meanwhile."""
    notice = await letter(database, business.id)
    await _saved(database, business)
    async with database.write(business.id) as db:
        received = await imports.receive(db, _BY, notice.purpose_id, "till.csv", _LIST.encode())
        await mappings.remove(db, _BY, "Till")

    done = await imports.work_waiting(database, business.id, received.id)

    assert done is not None
    assert (done.state, done.mapping, done.given) == (State.done, "Till", 1)


async def test_no_more_are_saved_than_each_upload_can_look_through(
    *,
    program: Browser,
    owner: Browser,
    database: Database,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crm.imports.mappings.MOST_MAPPINGS", 1)
    path, body = "/v1/import-mappings", {"columns": [{"header": "Mail", "means": "address"}]}
    for _ in range(2):
        assert (await program.put(f"{path}/Till", json=body)).status_code == 200
    full = await program.put(f"{path}/Shop", json=body)
    assert (full.status_code, full.json()["code"]) == (409, "too_many_mappings")
    page = (await owner.get("/staff/imports/mappings")).text
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token
    form = {"header": "Mail", "means-0": "address", "otherwise": "unknown", "name": "Shop"}
    refused = await owner.post("/staff/imports/mappings", data={"csrf": token[1], **form})
    assert (refused.status_code, "Remove one" in refused.text) == (422, True)
    assert [each["name"] for each in (await program.get(path)).json()] == ["Till"]


def _wide(count: int, title: str = "") -> list[Column]:
    others = [Column(f"{title}{each}", Means.leave) for each in range(1, count)]
    return [Column("A", Means.address), *others]


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ([Column("Name", Means.name)], "columns"),
        ([Column("A", Means.address), Column(" A ", Means.name)], "columns/1/header"),
        ([Column("A", Means.address), Column("B\0", Means.leave)], "columns/1/header"),
        ([Column("A", Means.address), Column("B\ud800", Means.leave)], "columns/1/header"),
        ([Column("A", Means.address), Column("B", Means.address)], "columns/1/means"),
        ([Column("A", Means.address), Column("B", Means.attribute, "no")], "columns/1/attribute"),
        ([Column("A", Means.address), Column("b" * 1001, Means.leave)], "columns/1/header"),
        (_wide(201), "columns"),
        (_wide(60, "x" * 700), "columns"),
    ],
)
def test_what_does_not_hold_together_is_named(columns: list[Column], field: str) -> None:
    with pytest.raises(BadMapping) as refusal:
        checked(columns, frozenset({"shop"}))

    assert [each.field for each in refusal.value.problems] == [field]


def test_headers_fit_in_whatever_order_and_all_of_them() -> None:
    mapping = imports.mapping.Mapping(
        name="Till", columns=[Column("A", Means.address), Column("B b", Means.leave)]
    )
    assert fitting(["B  b", "A"], [mapping]) is mapping
    assert fitting(["B b", "A", ""], [mapping]) is mapping
    for header in (["A"], ["A", "b b"], ["A", "B b", "C"], ["A", "A", "B b"]):
        assert fitting(header, [mapping]) is None


async def test_a_program_keeps_mappings(
    program: Browser, database: Database, business: Business
) -> None:
    await letter(database, business.id)
    body: dict[str, Any] = {
        "columns": [
            {"header": "Mail", "means": "address"},
            {"header": "Ort", "means": "leave"},
        ]
    }
    kept = await program.put("/v1/import-mappings/Old till", json=body)
    wrong = await program.put("/v1/import-mappings/Old till", json={"columns": body["columns"][1:]})
    column = {"header": "Mail\0", "means": "address"}
    nul = await program.put("/v1/import-mappings/Old till", json={"columns": [column]})
    # What is left behind is no attribute, so nothing of one is kept.
    left = {"header": "Ort", "means": "leave", "attribute": "\0"}
    body["columns"][1] = left
    again = await program.put("/v1/import-mappings/Old till", json=body)
    listed = (await program.get("/v1/import-mappings")).json()
    read = (await program.get("/v1/import-mappings/Old till")).json()

    assert (kept.status_code, kept.json()["name"]) == (200, "Old till")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_mapping")
    assert (nul.status_code, nul.json()["code"]) == (422, "bad_mapping")
    assert "columns/0/header" in nul.text
    assert again.json()["columns"] == kept.json()["columns"]
    assert listed == [read] == [again.json()]
    path = "/v1/imports?purpose=letter&encoding=windows-1251&separator=pipe"
    sent = await program.post(
        f"{path}&mapping=Old till", content="Mail|Ort\nada@example.com|Москва\n".encode("cp1251")
    )
    assert (sent.status_code, sent.json()["mapping"]) == (202, "Old till")
    assert (sent.json()["encoding"], sent.json()["separator"]) == ("windows-1251", "pipe")
    assert (await program.delete("/v1/import-mappings/Old till")).status_code == 204
    gone = await program.delete("/v1/import-mappings/Old till")
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_mapping")
    unread = await program.post(f"{path}&mapping=Old till", content=b"Mail|Ort\n")
    assert unread.json()["code"] == "unknown_mapping"


async def test_staff_say_what_columns_mean(
    owner: Browser, database: Database, business: Business
) -> None:
    """From the file itself, of which nothing is kept; the next such file is read so."""
    await letter(database, business.id)
    page = (await owner.get("/staff/imports/mappings")).text
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token
    csrf = {"csrf": token[1]}
    text = "Kunde;E-Post der Kundin\nNora;nora@example.com\n"
    asked = await owner.post(
        "/staff/imports/mappings/columns",
        data=csrf,
        files={"file": ("till.csv", text.encode(), "text/csv")},
    )
    found = re.findall(r'name="header" value="([^"]*)"', asked.text)
    assert [html.unescape(each) for each in found] == ["Kunde", "E-Post der Kundin"]
    assert 'role="alert"' not in asked.text
    # An example of each, so that whoever knows the tool needs no other program to look.
    assert re.findall(r'class="hint" id="means-\d+-hint">([^<]*)<', asked.text) == [
        "Nora",
        "nora@example.com",
    ]
    assert _chosen(asked.text) == {"means-0": "leave", "means-1": "address"}
    said = csrf | {"header": found, "means-0": "name", "otherwise": "unknown", "name": "Till"}
    said |= {"cells-0": "Nora", "cells-1": "nora@example.com"}

    unsaid = await owner.post("/staff/imports/mappings", data=said | {"means-1": "leave"})
    assert unsaid.status_code == 422
    assert "Say which column holds the address." in unsaid.text
    assert "nora@example.com" in unsaid.text
    assert _chosen(unsaid.text) == {"means-0": "name", "means-1": "leave"}
    kept = await owner.post("/staff/imports/mappings", data=said | {"means-1": "address"})
    assert kept.headers["location"] == "/staff/imports/mappings"
    assert "E-Post der Kundin" in (await owner.get("/staff/imports/mappings")).text

    form = (await owner.get("/staff/imports")).text
    assert '<option value="Till">' in form
    sent = await owner.post(
        "/staff/imports",
        data=csrf | {"purpose": "letter", "mapping": "", "encoding": "", "separator": ""},
        files={"file": ("till.csv", text.encode(), "text/csv")},
    )
    shown = (await owner.get(sent.headers["location"])).text
    assert "by the mapping <bdi>Till</bdi>" in shown
    assert "in utf-8, between two cells: semicolon" in shown
    await owner.post("/staff/imports/mappings/removal", data=csrf | {"name": "Till"})
    assert "No mapping is saved" in (await owner.get("/staff/imports/mappings")).text


def _chosen(page: str) -> dict[str, str]:
    """What the form says of each column."""
    selects = re.findall(r'<select id="(means-\d+)"(.*?)</select>', page, re.DOTALL)
    return {
        name: value
        for name, options in selects
        for value in re.findall(r'value="([^"]*)" selected', options)
    }


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("Vorname,Nachname,E-Mail", ["first_name", "last_name", "address"]),
        ("Email,Status,Tags,Town", ["address", "status", "tags", "attribute:town"]),
        ("email,Unsubscribed,optin_time", ["address", "unsubscribed", "leave"]),
        # No name says it: then what stands in it does. One address is enough.
        ("Kunde,Kontakt\nNora,nora@example.com\nIda,ida@example.com", ["leave", "address"]),
        ("Kunde,Kontakt\nNora,nora@example.com\nIda,none", ["leave", "leave"]),
        ("A,B\na@example.com,b@example.com", ["address", "leave"]),
        ("email,mail address\na@example.com,b@example.com", ["address", "leave"]),
        ("email,A\n,a@example.com", ["address", "leave"]),
    ],
)
def test_what_columns_may_hold_is_guessed(text: str, means: list[str]) -> None:
    """Each meaning once, and never evidence."""
    found = guess(head(text.encode()).headings, {"town": "Home town"})

    assert [f"{what}:{which}" if which else what for what, which in found] == means


def test_a_few_cells_of_each_column_are_shown() -> None:
    """None twice, none without anything in it, cut where they are long; a broken row ends it."""
    rows = ["Name;Note", "Zoë;", "Zoë;a\tb", f"Bo;{'word ' * 40}", "Al;c", "Cy;d", 'Di;"e', "Ed;f"]
    found = head("\n".join(rows).encode("utf-16"))

    assert (found.encoding, found.guessed, found.separator) == (
        "utf-16",
        False,
        Separator.semicolon,
    )
    name, note = found.headings
    assert (name.name, name.cells) == ("Name", ("Zoë", "Bo", "Al"))
    assert (note.cells[0], note.cells[2]) == ("a b", "c")
    assert note.cells[1].startswith("word word")
    assert note.cells[1].endswith("…")
    assert len(note.cells[1]) <= 40
    assert head("Email;Name\na@example.com;Zo\xeb\n".encode("cp1252")).guessed


async def test_the_command_takes_a_mapping_by_name(
    database: Database,
    business: Business,
    shared_cluster: Cluster,
    redis_url: str,
    tmp_path: Path,
) -> None:
    await letter(database, business.id)
    await _saved(database, business)
    file = tmp_path / "till.csv"
    file.write_text(_LIST)
    urls = {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url}
    command = ("import", str(file), "--purpose=letter", f"--business={business.id}")

    status, out, _ = await crm(*command, "--mapping=Till", "--try", **urls | SECRETS)
    assert status == 0
    assert "Read as a table, by the mapping Till, in utf-8, separator: semicolon." in out
    status, _, err = await crm(*command, "--mapping=Shop", **urls | SECRETS)
    assert (status, err.splitlines()[-1]) == (2, "crm: There is no mapping of this name here.")
