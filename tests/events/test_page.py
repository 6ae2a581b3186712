"""The trail for staff and the feed for programs, by pages, newest first."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import httpx2
import pytest
from litestar import Litestar

from crm import events, staff
from crm.businesses import Business
from crm.db import Database
from crm.events import Actor, Kind
from crm.events.console import WORDS, line
from crm.staff import NewKey, Scope
from tests.staff import site

NORA = uuid4()
_NUMBER = re.compile(r"number \d{3}")


async def _happen(database: Database, business_id: UUID, times: int) -> None:
    async with database.write(business_id) as db:
        for number in range(times):
            await events.record(
                db,
                Actor.member(uuid4(), "Bob Okafor"),
                Kind.interaction_recorded,
                customer_id=NORA,
                reason=f"number {number:03}",
            )


async def _bearing(database: Database, business: Business, *scopes: Scope) -> dict[str, str]:
    async with database.write(business.id) as db:
        new = NewKey(name="Till", scopes=list(scopes), reason="to keep a copy of the trail")
        _, text = await staff.add_key(db, Actor.system(), new)
    return {"authorization": f"Bearer {text}"}


def _calling(app: Litestar) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
    return httpx2.AsyncClient(transport=transport, base_url="http://api.example")


async def test_staff_read_it_page_by_page(
    clocked: Database, business: Business, owner: site.Browser
) -> None:
    await _happen(clocked, business.id, 60)
    first = await owner.get("/staff/audit")
    assert first.status_code == 200
    assert "<b>Bob Okafor</b> recorded an interaction" in first.text
    assert f"/staff/customers/{NORA}" in first.text
    older = await owner.get(first.headers["link"].partition(">")[0].lstrip("<"))
    # Events of one millisecond come in any order, so which page has which is not said.
    shown = [_NUMBER.findall(each.text) for each in (first, older)]
    assert [len(each) for each in shown] == [50, 10]
    assert sorted(shown[0] + shown[1]) == [f"number {number:03}" for number in range(60)]
    assert "link" not in older.headers
    assert "<b>Olga Owner</b> signed in" in older.text


async def test_programs_read_it_page_by_page(
    clocked: Database, business: Business, app: Litestar
) -> None:
    await _happen(clocked, business.id, 25)
    headers = await _bearing(clocked, business, Scope.events_read, Scope.customers_read)
    reasons: list[str] = []
    async with _calling(app) as program:
        path = "/v1/events?limit=10"
        while path:
            answer = await program.get(path, headers=headers)
            assert answer.status_code == 200
            rows = answer.json()["rows"]
            # Every business of the tests began by confirming its relay.
            apart = {Kind.relay_confirmed, Kind.customer_looked}
            reasons += [row["reason"] for row in rows if row["kind"] not in apart]
            path = answer.headers.get("link", "").partition(">")[0].lstrip("<")
    assert sorted(reasons) == ["Till", *(f"number {number:03}" for number in range(25))]


@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        ([], [None, None]),
        ([Scope.consents_read], [None, None]),
        ([Scope.customers_read], [str(NORA), str(NORA)]),
        ([Scope.customers_read, Scope.consents_read], [str(NORA), str(NORA)]),
    ],
)
async def test_whom_it_names_and_what_she_decided_is_for_keys_that_may_read_it(
    *,
    clocked: Database,
    business: Business,
    app: Litestar,
    scopes: list[Scope],
    seen: list[str | None],
) -> None:
    purpose = uuid4()
    async with clocked.write(business.id) as db:
        her = Actor.customer(NORA)
        await events.record(db, her, Kind.consent_given, customer_id=NORA, ref=purpose)
        await events.record(db, her, Kind.interaction_recorded, customer_id=NORA, reason="a note")
    headers = await _bearing(clocked, business, Scope.events_read, *scopes)
    async with _calling(app) as program:
        rows = (await program.get("/v1/events", headers=headers)).json()["rows"]
        again = (await program.get("/v1/events", headers=headers)).json()["rows"]
    hers = {row["kind"]: row for row in rows if row["actor_kind"] == "customer"}
    given, noted = hers["consent.given"], hers["interaction.recorded"]

    assert [given["customer_id"], noted["customer_id"]] == seen
    assert [given["actor_id"], noted["actor_id"]] == seen
    assert given["ref"] == (str(purpose) if len(scopes) == 2 else None)
    assert noted["reason"] == ("a note" if Scope.customers_read in scopes else "")
    # Who is named sees that she was, once for each page, and the looks are no new reason to.
    looks = [row["kind"] for row in again].count("customer.looked")
    assert looks == (1 if Scope.customers_read in scopes else 0)
    async with clocked.read(business.id) as db:
        found = await events.looks_at(db, NORA)
    assert len(found) == 2 * looks


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("by", [Actor.system(), Actor.key(uuid4(), "Shop"), Actor.customer(NORA)])
@pytest.mark.parametrize("scopes", [[], [Scope.consents_read], [Scope.customers_read]])
async def test_a_number_in_ref_is_for_keys_that_may_read_it(
    *,
    clocked: Database,
    business: Business,
    app: Litestar,
    scopes: list[Scope],
    by: Actor,
    order: str,
) -> None:
    """Who was erased, and which record went in a merge."""
    campaign = uuid4()
    async with clocked.write(business.id) as db:
        await events.record(db, by, Kind.customer_erased, ref=NORA)
        await events.record(db, by, Kind.customer_merged, customer_id=uuid4(), ref=NORA)
        await events.record(db, Actor.system(), Kind.campaign_done, ref=campaign)
        await events.number(db)
    headers = await _bearing(clocked, business, Scope.events_read, *scopes)
    async with _calling(app) as program:
        answer = await program.get(f"/v1/events?order={order}", headers=headers)
    refs = {row["kind"]: row["ref"] for row in answer.json()["rows"]}

    told = str(NORA) if Scope.customers_read in scopes else None
    assert (refs["customer.erased"], refs["customer.merged"]) == (told, told)
    assert refs["campaign.done"] == str(campaign)
    assert (str(NORA) in answer.text) == (told is not None)


async def test_without_the_scope_there_is_no_feed(
    clocked: Database, business: Business, app: Litestar
) -> None:
    headers = await _bearing(clocked, business, Scope.customers_read)
    async with _calling(app) as program:
        answer = await program.get("/v1/events", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        assert (await program.get("/v1/events")).status_code == 401


async def test_a_cursor_of_another_list_is_refused(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    await _happen(clocked, business.id, 60)
    first = await owner.get("/staff/audit")
    after = first.headers["link"].partition("after=")[2].partition(">")[0]
    headers = await _bearing(clocked, business, Scope.events_read)
    async with _calling(app) as program:
        answer = await program.get(f"/v1/events?after={after}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")
        assert (await program.get("/v1/events?limit=0", headers=headers)).status_code == 422
    assert (await owner.get("/staff/audit?after=nothing")).status_code == 422


def test_every_kind_and_actor_has_words() -> None:
    assert set(WORDS) == set(Kind)


async def test_who_has_no_name_is_called_what_she_is(clocked: Database, business: Business) -> None:
    async with clocked.write(business.id) as db:
        await events.record(db, Actor.customer(NORA), Kind.consent_withdrawn, customer_id=NORA)
        await events.record(db, Actor.system(), Kind.campaign_done)
        await events.record(db, Actor.member(NORA, "Bob"), Kind.consent_withdrawn)
        shown = [line(event) for event in await events.page(db)]
    assert {(each.who, each.did) for each in shown} == {
        ("Firsthand", "confirmed that the relay signs"),
        ("Firsthand", "finished a campaign"),
        ("A customer", "withdrew consent"),
        ("Bob", "recorded consent withdrawn"),
    }


async def test_a_stranger_cannot(
    clocked: Database,
    business: Business,
    other_business: Business,
    app: Litestar,
    owner: site.Browser,
) -> None:
    await _happen(clocked, other_business.id, 1)
    assert "number 000" not in (await owner.get("/staff/audit")).text
    headers = await _bearing(clocked, business, Scope.events_read)
    async with _calling(app) as program:
        rows = (await program.get("/v1/events", headers=headers)).json()["rows"]
    assert all(row["customer_id"] is None for row in rows)
