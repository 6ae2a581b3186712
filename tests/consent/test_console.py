"""Purposes and their texts, and a customer's consent tab, for staff."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from crm import consent, events, staff
from crm.businesses import Business
from crm.consent import ConsentEvent, EvidenceKind, Method, Notice, Purpose, Status
from crm.db import Database
from crm.privacy import merging
from crm.staff import Member, Role
from tests import make
from tests.consent.conftest import say_no, say_yes
from tests.consent.site import client, form, member

PURPOSE = {"name": "Offers for regulars", "slug": "offers", "description": "", "channel": "email"}
TEXT: dict[str, Any] = {
    "locale": "en",
    "text": "Yes, e-mail me offers that fit what I bought.",
    "control_label": "Send me offers",
    "accepts": ["signed_form"],
}
PAPER = {"signed_on": "2026-05-03", "kept_at": "Folder 3, page 41"}


@pytest.fixture
async def bob(database: Database, business: Business) -> Member:
    return await member(database, business)


@pytest.fixture
async def console(
    database: Database, business: Business, bob: Member
) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(database, business, who=bob) as web:
        yield web


@pytest.fixture
async def reason(database: Database, business: Business, bob: Member, customer: UUID) -> str:
    words = "answering her question about the course"
    async with database.write(business.id) as db:
        await staff.give_reason(db, bob, customer, words)
    return words


async def history(database: Database, business: Business, customer: UUID) -> list[ConsentEvent]:
    async with database.read(business.id) as db:
        return await consent.history(db, customer)


async def test_it_works(
    console: httpx2.AsyncClient, database: Database, business: Business
) -> None:
    assert "No purposes yet" in (await console.get("/staff/purposes")).text
    assert (await console.get("/staff/purposes/new")).status_code == 200
    added = await console.post("/staff/purposes", data=form(**PURPOSE, double_opt_in="on"))
    assert added.status_code == 303
    path = added.headers["location"]
    assert "No text yet" in (await console.get(path)).text
    published = await console.post(f"{path}/notices", data=form(**TEXT))
    assert published.status_code == 303
    seen = unescape((await console.get(path)).text)
    assert TEXT["text"] in seen
    assert "A form signed by hand" in seen
    assert "Offers for regulars" in (await console.get("/staff/purposes")).text
    async with database.read(business.id) as db:
        (purpose,) = await consent.purposes(db)
        (notice,) = await consent.notices(db, purpose.id)
    assert purpose.double_opt_in
    assert notice.accepts == {EvidenceKind.signed_form}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": ""}, "Please fill this in."),
        ({"slug": "Offers For"}, "Small letters and digits"),
        ({"slug": "o" * 64}, "there is room for 63"),
        ({"channel": "fax"}, "Please choose one of these."),
    ],
)
async def test_a_purpose_that_makes_no_sense(
    console: httpx2.AsyncClient, changes: dict[str, str], sentence: str
) -> None:
    answer = await console.post("/staff/purposes", data=form(**(PURPOSE | changes)))
    assert answer.status_code == 422
    assert sentence in unescape(answer.text)
    # What was typed is still there.
    assert "Offers for regulars" in answer.text or not changes.get("name", "x")


async def test_a_short_name_twice(console: httpx2.AsyncClient) -> None:
    await console.post("/staff/purposes", data=form(**PURPOSE))
    answer = await console.post("/staff/purposes", data=form(**PURPOSE))
    assert answer.status_code == 422
    assert "with this short name already" in answer.text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": "short"}, "At least 10 characters"),
        ({"locale": "english!"}, "A language as in en"),
        ({"control_label": ""}, "Please fill this in."),
        ({"accepts": ["word of mouth"]}, "Please choose only among these."),
    ],
)
async def test_a_text_that_makes_no_sense(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    purpose: Purpose,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    path = f"/staff/purposes/{purpose.id}/notices"
    answer = await console.post(path, data=form(**(TEXT | changes)))
    assert answer.status_code == 422
    assert sentence in unescape(answer.text)
    async with database.read(business.id) as db:
        assert await consent.notices(db, purpose.id) == []


async def test_the_tab_asks_for_a_reason_first(
    console: httpx2.AsyncClient, customer: UUID, notice: Notice
) -> None:
    answer = await console.get(f"/staff/customers/{customer}/consent")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/staff/customers/{customer}"


async def test_the_tab_is_a_look(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
    reason: str,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
    answer = await console.get(f"/staff/customers/{customer}/consent")
    assert answer.status_code == 200
    assert notice.text in unescape(answer.text)
    async with database.read(business.id) as db:
        (look,) = await events.looks_at(db, customer)
    assert (look.role, look.reason) == ("owner", reason)


async def test_staff_record_a_no(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
    reason: str,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
    tab = f"/staff/customers/{customer}/consent"
    answer = await console.post(f"{tab}/{notice.purpose_id}/withdrawal", data=form())
    assert (answer.status_code, answer.headers["location"]) == (303, tab)
    event = (await history(database, business, customer))[0]
    assert (event.status, event.method, event.actor_kind) == ("withdrawn", "staff", "member")
    seen = unescape((await console.get(tab)).text)
    assert "No, withdrawn" in seen


async def test_staff_record_a_no_to_everything(
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
    path = f"/staff/customers/{customer}/consent/withdrawal"
    assert (await console.post(path, data=form())).status_code == 303
    assert (await history(database, business, customer))[0].status is Status.withdrawn


async def test_a_no_to_everything_finds_the_record_that_is_kept(
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    """Whoever presses has the page of one that was merged meanwhile before her."""
    async with database.write(business.id) as db:
        kept = await make.customer(db)
        await say_yes(db, kept.id, notice)
        await merging.merge(db, make.SYSTEM, kept.id, customer)
    path = f"/staff/customers/{customer}/consent/withdrawal"
    assert (await console.post(path, data=form())).status_code == 303
    assert (await history(database, business, kept.id))[0].status is Status.withdrawn


async def test_a_signed_form_is_recorded_as_what_it_is(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
    reason: str,
) -> None:
    tab = f"/staff/customers/{customer}/consent"
    assert "Record a form she signed by hand" in (await console.get(tab)).text
    fields = form(notice=str(notice.id), **PAPER)
    answer = await console.post(f"{tab}/{notice.purpose_id}/signed-form", data=fields)
    assert answer.status_code == 303
    (event,) = await history(database, business, customer)
    assert (event.status, event.method, event.notice_id) == ("given", Method.staff, notice.id)
    assert event.evidence == {"kind": "signed_form", **PAPER}
    assert event.at.date().isoformat() == PAPER["signed_on"]


@pytest.mark.parametrize(
    "changes",
    [
        {"signed_on": "3.5.2026"},
        {"signed_on": "9999-12-31"},
        {"signed_on": "0001-01-01"},
        {"signed_on": ""},
        {"kept_at": ""},
        {"notice": str(uuid4())},
    ],
)
async def test_a_paper_that_proves_nothing(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
    reason: str,
    changes: dict[str, str],
) -> None:
    path = f"/staff/customers/{customer}/consent/{notice.purpose_id}/signed-form"
    fields = {"notice": str(notice.id), **PAPER, **changes}
    answer = await console.post(path, data=form(**fields))
    assert answer.status_code == 422
    assert await history(database, business, customer) == []


async def test_a_text_that_accepts_no_paper_offers_none(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    purpose: Purpose,
    reason: str,
) -> None:
    async with database.write(business.id) as db:
        closed = await make.notice(db, purpose.id, accepts=[])
    tab = f"/staff/customers/{customer}/consent"
    assert "signed by hand" not in (await console.get(tab)).text
    fields = form(notice=str(closed.id), **PAPER)
    answer = await console.post(f"{tab}/{purpose.id}/signed-form", data=fields)
    assert answer.status_code == 422
    assert await history(database, business, customer) == []


async def test_no_paper_lifts_a_no(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
    reason: str,
) -> None:
    async with database.write(business.id) as db:
        await say_no(db, customer, notice.purpose_id)
    tab = f"/staff/customers/{customer}/consent"
    assert "signed by hand" not in (await console.get(tab)).text
    fields = form(notice=str(notice.id), **PAPER)
    answer = await console.post(f"{tab}/{notice.purpose_id}/signed-form", data=fields)
    assert answer.status_code == 409
    assert "Only she" in answer.text or "only she" in answer.text


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        (Role.viewer, "GET", "/staff/customers/{id}/consent"),
        (Role.editor, "POST", "/staff/customers/{id}/consent/withdrawal"),
        (Role.editor, "POST", "/staff/customers/{id}/consent/{id}/withdrawal"),
        (Role.editor, "POST", "/staff/customers/{id}/consent/{id}/signed-form"),
        (Role.care, "GET", "/staff/purposes/new"),
        (Role.care, "POST", "/staff/purposes"),
        (Role.care, "POST", "/staff/purposes/{id}/notices"),
    ],
)
async def test_every_page_asks_for_its_right(
    database: Database, business: Business, role: Role, method: str, path: str
) -> None:
    who = await member(database, business, role)
    async with client(database, business, who=who) as web:
        answer = await web.request(method, path.format(id=uuid4()), data=form())
    assert answer.status_code == 403


async def test_whoever_may_not_edit_sees_no_form(
    database: Database, business: Business, notice: Notice
) -> None:
    who = await member(database, business, Role.viewer)
    async with client(database, business, who=who) as web:
        assert "Add a purpose" not in (await web.get("/staff/purposes")).text
        seen = unescape((await web.get(f"/staff/purposes/{notice.purpose_id}")).text)
    assert notice.text in seen
    assert "Publish" not in seen.replace("Published", "")


@pytest.mark.parametrize(
    "path",
    [
        "/staff/purposes/{purpose}",
        "/staff/customers/{customer}/consent",
    ],
)
async def test_a_stranger_gets_nothing(
    database: Database, other_business: Business, customer: UUID, notice: Notice, path: str
) -> None:
    who = await member(database, other_business)
    path = path.format(purpose=notice.purpose_id, customer=customer)
    async with client(database, other_business, who=who) as web:
        assert (await web.get(path)).status_code == 404
        stop = f"/staff/customers/{customer}/consent/{notice.purpose_id}/withdrawal"
        assert (await web.post(stop, data=form())).status_code == 404
        publish = f"/staff/purposes/{notice.purpose_id}/notices"
        assert (await web.post(publish, data=form(**TEXT))).status_code == 404
