"""One decision with its proof: what staff show, checked when it is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import msgspec
import pytest

from crm import consent, customers, events, ledger, staff
from crm.businesses import Business
from crm.consent import (
    MAX_FILE,
    BadFile,
    Basis,
    Circumstances,
    EvidenceKind,
    Method,
    Notice,
    Status,
    UnknownEvent,
    UnknownFile,
)
from crm.db import Database
from crm.journal import Journal
from crm.staff import Member, Role
from tests import make
from tests.consent.conftest import add_customer, say_no, say_yes
from tests.consent.site import client, form, member

# What would run or open elsewhere: markup, a script, a program, a name that climbs.
HOSTILE = b"<html><script>alert(1)</script></html>\x00MZ\x90%PDF-1.7"
PAPER = {"signed_on": "2026-05-03", "kept_at": "Folder 3, page 41"}


@pytest.fixture
async def bob(database: Database, business: Business) -> Member:
    return await member(database, business)


@pytest.fixture
async def nora(database: Database, business: Business, bob: Member) -> UUID:
    """A customer about whom Bob was asked something."""
    async with database.write(business.id) as db:
        customer = await make.customer(db)
        await staff.give_reason(db, bob, customer.id, "she asked for the proof")
    return customer.id


@pytest.fixture
async def console(
    database: Database, business: Business, bob: Member
) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(database, business, who=bob) as web:
        yield web


async def sealed(database: Database, business: Business, tmp_path: Path) -> None:
    await ledger.seal(database, business.id, Journal(tmp_path), most=1000)


async def test_it_works(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: UUID,
    notice: Notice,
    tmp_path: Path,
) -> None:
    async with database.write(business.id) as db:
        event = await say_yes(db, nora, notice)
    path = f"/staff/customers/{nora}/consent/events/{event.id}"
    waiting = unescape((await console.get(path)).text)
    assert "It waits to be sealed" in waiting

    await sealed(database, business, tmp_path)

    seen = unescape((await console.get(path)).text)
    assert "the signature holds" in seen
    for shown in (notice.text, notice.control_label, "The customer, portal", "Not chosen"):
        assert shown in seen, shown
    async with database.read(business.id) as db:
        found = await consent.exhibit(db, nora, event.id)
    assert found.event == event
    assert found.notice == notice
    assert found.version.version == 1
    assert found.sealed is not None
    assert (found.sealed.index, found.sealed.size, found.intact) == (0, 1, True)
    assert found.commitment.hex() in seen
    assert found.canonical.decode() in seen


async def test_it_is_a_look(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: UUID,
    notice: Notice,
) -> None:
    async with database.write(business.id) as db:
        event = await say_yes(db, nora, notice)
    for page in (f"events/{event.id}", "record"):
        assert (await console.get(f"/staff/customers/{nora}/consent/{page}")).status_code == 200
    async with database.read(business.id) as db:
        looks = await events.looks_at(db, nora, limit=10)
    assert [each.reason for each in looks] == ["she asked for the proof"] * 2


async def test_without_a_reason_nothing_is_shown(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    async with database.write(business.id) as db:
        event = await say_yes(db, customer, notice)
        file = await consent.add_file(db, make.SYSTEM, customer, "form.jpg", b"photograph")
    for page in (f"events/{event.id}", "record", f"files/{file.id}"):
        answer = await console.get(f"/staff/customers/{customer}/consent/{page}")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/staff/customers/{customer}"
        assert b"photograph" not in answer.content


@pytest.mark.parametrize(
    "change",
    [
        "salt = sha256('x')",
        "canonical = convert_to(replace(convert_from(canonical, 'UTF8'), 'portal', 'api'), 'UTF8')",
    ],
)
async def test_a_record_that_was_changed_is_said_to_be(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: UUID,
    notice: Notice,
    root: asyncpg.Connection,
    change: str,
) -> None:
    async with database.write(business.id) as db:
        event = await say_yes(db, nora, notice)
    await root.execute(f"UPDATE crm.consent_record SET {change} WHERE event_id = $1", event.id)  # noqa: S608
    path = f"/staff/customers/{nora}/consent/events/{event.id}"
    said = "This record was changed after it was recorded."
    assert said in unescape((await console.get(path)).text)


async def test_a_proof_that_was_changed_is_said_to_be(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: UUID,
    notice: Notice,
    root: asyncpg.Connection,
    tmp_path: Path,
) -> None:
    async with database.write(business.id) as db:
        event = await say_yes(db, nora, notice)
        await say_no(db, nora, notice.purpose_id)
    await sealed(database, business, tmp_path)
    flip = "UPDATE crm.ledger_tile SET hashes = sha256('x') || sha256('y') WHERE business_id = $1"
    await root.execute(flip, business.id)
    path = f"/staff/customers/{nora}/consent/events/{event.id}"
    assert "The proof of this record does not hold." in unescape((await console.get(path)).text)


async def test_the_whole_record_has_every_decision_and_text(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: UUID,
    notice: Notice,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, nora, notice)
        await say_no(db, nora, notice.purpose_id)
        other = await make.notice(db, (await make.purpose(db, name="Offers")).id)
        await say_yes(db, nora, other)
    seen = unescape((await console.get(f"/staff/customers/{nora}/consent/record")).text)
    assert seen.count("firsthand/consent/v1") == 3
    assert seen.index("1. Given") < seen.index("2. Withdrawn") < seen.index("3. Given: Offers")
    assert "No text was shown with this decision." in seen


async def test_a_decision_of_somebody_else_is_nobodys(
    database: Database, business: Business, other_business: Business, nora: UUID, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        stranger = await add_customer(db)
        event = await say_yes(db, stranger, notice)
        for customer, sought in ((nora, event.id), (stranger, uuid4())):
            with pytest.raises(UnknownEvent):
                await consent.exhibit(db, customer, sought)
    async with database.read(other_business.id) as db:
        with pytest.raises(UnknownEvent):
            await consent.exhibit(db, stranger, event.id)


async def test_a_signed_form_comes_with_its_scan(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: UUID,
    notice: Notice,
) -> None:
    """It is stored as it came, encrypted, cited by its content, and handed out to no browser."""
    answer = await console.post(
        f"/staff/customers/{nora}/consent/{notice.purpose_id}/signed-form",
        data=form(**PAPER, notice=str(notice.id)),
        files={"file": ("../../etc/<b>form\u202e.html", HOSTILE, "text/html")},
    )
    assert answer.status_code == 303, answer.text
    async with database.read(business.id) as db:
        (event,) = await consent.history(db, nora)
        (file,) = await consent.files(db, nora)
        _, content = await consent.file_content(db, nora, file.id)
        kept = await db._conn.fetchval("SELECT content FROM crm.evidence_file")  # noqa: SLF001
    assert (event.status, event.method) == (Status.given, Method.staff)
    assert event.evidence["file"] == str(file.id)
    assert event.evidence["file_sha256"] == file.sha256.hex()
    assert file.name == "bform.html"
    assert b"script" not in kept
    assert content == HOSTILE

    got = await console.get(f"/staff/customers/{nora}/consent/files/{file.id}")

    assert got.content == HOSTILE
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''bform.html"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "default-src 'none'; sandbox"
    path = f"/staff/customers/{nora}/consent/events/{event.id}"
    assert "bform.html" in (await console.get(path)).text


async def test_a_file_too_large_or_empty_is_refused_and_nothing_is_written(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: UUID,
    notice: Notice,
) -> None:
    path = f"/staff/customers/{nora}/consent/{notice.purpose_id}/signed-form"
    for content, status in ((b"", 422), (b"x" * (MAX_FILE + 1), 422), (b"x" * 11_000_000, 413)):
        answer = await console.post(
            path,
            data=form(**PAPER, notice=str(notice.id)),
            files={"file": ("form.jpg", content, "image/jpeg")},
        )
        assert answer.status_code == status
    async with database.write(business.id) as db:
        assert await consent.history(db, nora) == []
        assert await consent.files(db, nora) == []
        for name in ("", "...", "\u202e"):
            with pytest.raises(BadFile):
                await consent.add_file(db, make.SYSTEM, nora, name, b"x")


async def test_a_file_of_somebody_else_is_nobodys(
    database: Database, business: Business, other_business: Business, nora: UUID, customer: UUID
) -> None:
    async with database.write(business.id) as db:
        file = await consent.add_file(db, make.SYSTEM, nora, "form.jpg", b"photograph")
        with pytest.raises(UnknownFile):
            await consent.file_content(db, customer, file.id)
    async with database.read(other_business.id) as db:
        with pytest.raises(UnknownFile):
            await consent.file_content(db, nora, file.id)


async def test_a_file_whose_key_is_missing_is_refused_not_a_bug(
    own_database: Database,
) -> None:
    business = await make.business(own_database)
    async with own_database.write(business.id) as db:
        customer = await make.customer(db)
        file = await consent.add_file(db, make.SYSTEM, customer.id, "form.jpg", b"photograph")
    keys = own_database.keys
    own_database.keys = msgspec.structs.replace(keys, storage_keys=((9, b"x" * 32),))
    async with own_database.read(business.id) as read:
        with pytest.raises(consent.FileUnreadable):
            await consent.file_content(read, customer.id, file.id)
    own_database.keys = keys
    async with own_database.read(business.id) as read:
        found = await consent.file_content(read, customer.id, file.id)
    assert found == ("form.jpg", b"photograph")


async def test_a_consent_that_does_not_hold_is_ended_with_its_reason(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: UUID,
    notice: Notice,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, nora, notice)
    path = f"/staff/customers/{nora}/consent/{notice.purpose_id}/invalidation"
    assert (await console.post(path, data=form(why=" "))).status_code == 422
    assert (await console.post(path, data=form(why="Another customer signed."))).status_code == 303
    async with database.read(business.id) as db:
        state = await consent.state(db, nora, notice.purpose_id)
        (event, _) = await consent.history(db, nora)
    assert state is not None
    assert state.status is Status.invalidated
    assert event.evidence == {"reason": "Another customer signed."}
    # There is nothing to end a second time.
    assert (await console.post(path, data=form(why="Again."))).status_code == 409


async def test_a_complaint_is_a_no(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: UUID,
    notice: Notice,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, nora, notice)
    path = f"/staff/customers/{nora}/consent/{notice.purpose_id}/complaint"
    for _ in range(2):
        assert (await console.post(path, data=form())).status_code == 303
    async with database.read(business.id) as db:
        event, _ = await consent.history(db, nora)
        assert (await customers.get(db, nora)).id == nora
    assert (event.status, event.method) == (Status.withdrawn, Method.complaint)


@pytest.mark.parametrize(
    ("role", "sees"), [(Role.owner, True), (Role.care, True), (Role.editor, False)]
)
async def test_special_categories_are_not_for_every_role(
    *, database: Database, business: Business, role: Role, sees: bool
) -> None:
    terms: dict[str, Any] = {
        "name": "Allergy tips",
        "basis": Basis.explicit_consent,
        "special_category": True,
    }
    who = await member(database, business, role)
    async with database.write(business.id) as db:
        text = await make.notice(
            db, (await make.purpose(db, **terms)).id, accepts=[EvidenceKind.signed_form]
        )
        customer = (await make.customer(db)).id
        file = await consent.add_file(db, make.SYSTEM, customer, "form.jpg", b"photograph")
        evidence = {"kind": "signed_form", "file": str(file.id)}
        how = Circumstances(Method.staff, evidence=evidence)
        event = await consent.give(db, make.SYSTEM, customer, text.question, how)
        await staff.give_reason(db, who, customer, "she asked about her diet")
    assert event.type == "explicit"
    path = f"/staff/customers/{customer}/consent"
    async with client(database, business, who=who) as console:
        for page in (path, f"{path}/record"):
            assert ("Allergy tips" in (await console.get(page)).text) is sees
        for private in (f"events/{event.id}", f"files/{file.id}"):
            answer = await console.get(f"{path}/{private}")
            assert answer.status_code == (200 if sees else 403)
