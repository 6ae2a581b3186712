"""Looks at customers' records are committed before the answer leaves (promise 11)."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import events, staff
from crm.businesses import Business
from crm.db import Database, Db, ReadDb, open_database
from crm.errors import Conflict, Invalid
from crm.events import Actor, Kind, Look
from crm.staff import LISTED, NewKey, Role, Scope
from crm.staff.auth import Looks
from crm.staff.model import REASON_COUNTS
from tests.conftest import KEYS, Cluster
from tests.staff import site
from tests.staff.conftest import Clock

NORA, OLEG = uuid4(), uuid4()
WHY = "to greet customers at the till"


@get("/records/{customer_id:uuid}")
async def get_record(
    db: NamedDependency[ReadDb], looks: NamedDependency[Looks], customer_id: FromPath[UUID]
) -> str:
    await looks.record([customer_id])
    return "a record"


@get("/records")
async def get_records(looks: NamedDependency[Looks]) -> str:
    await looks.record([NORA, OLEG], reason=LISTED)
    return "a list"


@post("/records/{customer_id:uuid}")
async def post_record(
    db: NamedDependency[Db], looks: NamedDependency[Looks], customer_id: FromPath[UUID]
) -> str:
    await events.record(db, Actor.system(), Kind.customer_changed, customer_id=customer_id)
    await looks.record([customer_id])
    raise Conflict


HANDLERS = [get_record, get_records, post_record]


async def _looks(database: Database, business: Business, customer_id: UUID) -> list[Look]:
    async with database.read(business.id) as db:
        return await events.looks_at(db, customer_id)


async def _program(database: Database, business: Business) -> dict[str, str]:
    new = NewKey(name="Till", scopes=[Scope.customers_read], reason=WHY)
    async with database.write(business.id) as db:
        _, text = await staff.add_key(db, Actor.system(), new)
    return {"authorization": f"Bearer {text}"}


def _calling(app: Any) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://api.example")


async def test_a_program_looks_for_its_declared_reason(
    clocked: Database, business: Business
) -> None:
    headers = await _program(clocked, business)
    async with _calling(site.application(clocked, api=HANDLERS)) as program:
        assert (await program.get(f"/v1/records/{NORA}", headers=headers)).status_code == 200
        assert (await program.get("/v1/records", headers=headers)).status_code == 200
    found = await _looks(clocked, business, NORA)
    assert [(look.actor_kind, look.actor_name, look.reason) for look in found] == [
        ("key", "Till", WHY)
    ] * 2
    assert len(await _looks(clocked, business, OLEG)) == 1


async def test_a_member_says_why_first(
    clocked: Database, business: Business, browser: site.Browser, clock: Clock
) -> None:
    who = await site.member(clocked, business.id, Role.care)
    app = site.application(clocked, console=HANDLERS)
    async with site.Browser(app, business) as opened:
        await opened.enter(who.address)
        refused = await opened.get(f"/staff/records/{NORA}")
        assert refused.status_code == 403
        assert "a record" not in refused.text
        async with clocked.write(business.id) as db:
            assert await staff.reason_for(db, who, NORA) is None
            await staff.give_reason(db, who, NORA, " answering  her question ")
            assert await staff.reason_for(db, who, NORA) == "answering her question"
            assert await staff.reason_for(db, who, OLEG) is None
        assert (await opened.get(f"/staff/records/{NORA}")).status_code == 200
        assert (await opened.get(f"/staff/records/{OLEG}")).status_code == 403
        clock.move(REASON_COUNTS)
        assert (await opened.get(f"/staff/records/{NORA}")).status_code == 403
    found = await _looks(clocked, business, NORA)
    assert [(look.actor_kind, look.role, look.reason) for look in found] == [
        ("member", "care", "answering her question")
    ]


async def test_a_list_is_a_look_at_each(clocked: Database, business: Business) -> None:
    await site.member(clocked, business.id)
    async with site.Browser(site.application(clocked, console=HANDLERS), business) as browser:
        await browser.enter("owner@bakery.example")
        assert (await browser.get("/staff/records")).text == "a list"
    for customer_id in (NORA, OLEG):
        found = await _looks(clocked, business, customer_id)
        assert [look.reason for look in found] == [LISTED]


async def test_a_look_is_there_while_the_handler_still_runs(
    clocked: Database, database: Database, business: Business
) -> None:
    looked, let_go = asyncio.Event(), asyncio.Event()

    @get("/slow/{customer_id:uuid}")
    async def get_slow(
        db: NamedDependency[ReadDb], looks: NamedDependency[Looks], customer_id: FromPath[UUID]
    ) -> str:
        await looks.record([customer_id])
        looked.set()
        await let_go.wait()
        return "a record"

    headers = await _program(clocked, business)
    async with _calling(site.application(clocked, api=[get_slow])) as program:
        asked = asyncio.create_task(program.get(f"/v1/slow/{NORA}", headers=headers))
        await asyncio.wait_for(looked.wait(), 10)
        assert not asked.done()
        assert len(await _looks(database, business, NORA)) == 1
        let_go.set()
        assert (await asked).status_code == 200


async def test_a_look_stays_when_the_handler_fails(clocked: Database, business: Business) -> None:
    headers = await _program(clocked, business)
    async with _calling(site.application(clocked, api=HANDLERS)) as program:
        answer = await program.post(f"/v1/records/{NORA}", headers=headers)
    assert answer.status_code == 409
    async with clocked.read(business.id) as db:
        found = [each async for each in events.export(db, NORA)]
    assert [event.kind for event in found] == [Kind.customer_looked]


async def test_requests_do_not_wait_for_each_others_connections(
    shared_cluster: Cluster, business: Business
) -> None:
    async with (
        open_database(shared_cluster.app_url, KEYS, size=2) as database,
        open_database(shared_cluster.app_url, KEYS, size=1) as looks_database,
    ):
        headers = await _program(database, business)
        app = site.application(database, api=HANDLERS, looks_database=looks_database)
        async with _calling(app) as program:
            path = f"/v1/records/{NORA}"
            asked = (program.get(path, headers=headers) for _ in range(20))
            answers = await asyncio.wait_for(asyncio.gather(*asked), 30)
    assert {answer.status_code for answer in answers} == {200}


async def test_nothing_listed_is_no_look(clocked: Database, business: Business) -> None:
    who = await site.member(clocked, business.id)
    before = await site.kinds(clocked, business.id)
    await Looks(clocked, business.id, who).record([], reason=LISTED)
    assert await site.kinds(clocked, business.id) == before


async def test_an_extra_reason_of_a_program_is_added(clocked: Database, business: Business) -> None:
    new = NewKey(name="Till", scopes=[Scope.customers_read], reason="x" * 490)
    async with clocked.write(business.id) as db:
        key, _ = await staff.add_key(db, Actor.system(), new)
    caller = staff.Caller(id=key.id, name=key.name, scopes=frozenset(), reason=key.reason)
    await Looks(clocked, business.id, caller).record([NORA], reason="export of everything")
    found = await _looks(clocked, business, NORA)
    assert found[0].reason.startswith("x" * 490 + " (export")
    assert len(found[0].reason) == 500


@pytest.mark.parametrize("reason", ["", "  a ", "x" * 501])
async def test_a_reason_has_a_length(clocked: Database, business: Business, reason: str) -> None:
    who = await site.member(clocked, business.id)
    async with clocked.write(business.id) as db:
        with pytest.raises(Invalid):
            await staff.give_reason(db, who, NORA, reason)


async def test_what_was_said_is_exported_and_forgotten(
    clocked: Database, business: Business
) -> None:
    who = await site.member(clocked, business.id)
    async with clocked.write(business.id) as db:
        await staff.give_reason(db, who, NORA, "answering her question")
        await staff.give_reason(db, who, NORA, "answering her letter")
        await staff.give_reason(db, who, OLEG, "another question")
        assert [said.reason for said in await staff.export(db, NORA)] == ["answering her letter"]
        assert await staff.forget(db, NORA) == {"look_reason": 1}
        assert await staff.export(db, NORA) == []
        assert await staff.reason_for(db, who, OLEG) == "another question"


async def test_a_stranger_cannot(
    clocked: Database, business: Business, other_business: Business
) -> None:
    who = await site.member(clocked, business.id)
    async with clocked.write(business.id) as db:
        await staff.give_reason(db, who, NORA, "answering her question")
    async with clocked.write(other_business.id) as db:
        assert await staff.reason_for(db, who, NORA) is None
        assert await staff.export(db, NORA) == []
        assert await staff.forget(db, NORA) == {"look_reason": 0}
