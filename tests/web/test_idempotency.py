"""The same request twice is done once, and another one under its key is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from crm.businesses import Business
from crm.db import Database, Db, Statement
from crm.web import idempotency
from crm.web.idempotency import Claim, KeyMalformed, bare, needs_key, once, sql
from crm.web.refusals import PROBLEMS
from crm.web.transaction import transaction
from tests.conftest import Cluster


class Order(Struct):
    """A body."""

    rolls: int


class Oven:
    """Counts what is really done, and can be made to wait in the middle."""

    def __init__(self) -> None:
        self.baked = 0
        self.busy = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()


@post("/bake", status_code=200)
async def post_bake(request: Request[Any, Any, Any], db: NamedDependency[Db]) -> Any:
    """Bake what the body says, once."""
    if "strict" in request.headers:
        needs_key(request)
    oven: Oven = request.app.state.oven
    order = await request.json()

    async def bake() -> dict[str, int]:
        if order["rolls"] > 100:
            raise RuntimeError
        oven.baked += order["rolls"]
        oven.busy.set()
        await oven.go_on.wait()
        return {"baked": oven.baked}

    return await once(request, db, "key-1", bake, status=201)


def web(database: Database, business: Business, oven: Oven) -> httpx2.AsyncClient:
    """Ask as one API key of one business."""
    app = Litestar(
        [post_bake],
        dependencies={"db": Provide(transaction)},
        exception_handlers=PROBLEMS,
        logging_config=None,
        openapi_config=None,
        state=State({"database": database, "oven": oven}),
    )
    transport = httpx2.ASGITransport(app=_of(app, business))
    return httpx2.AsyncClient(transport=transport, base_url="http://bakery.example")


def _of(app: ASGIApp, business: Business) -> Any:
    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"business_id": business.id}
        await app(scope, receive, send)

    return asked


async def test_a_request_is_done_once(database: Database, business: Business) -> None:
    oven = Oven()
    async with web(database, business, oven) as client:
        first = await client.post("/bake", json={"rolls": 6}, headers={"idempotency-key": '"a"'})
        again = await client.post("/bake", json={"rolls": 6}, headers={"idempotency-key": "a"})
        other = await client.post("/bake", json={"rolls": 6}, headers={"idempotency-key": "b"})
        none = await client.post("/bake", json={"rolls": 6})
    assert (first.status_code, first.json()) == (201, {"baked": 6})
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (other.json(), none.json()) == ({"baked": 12}, {"baked": 18})


async def test_a_key_with_another_request_is_refused(
    database: Database, business: Business
) -> None:
    headers = {"idempotency-key": "a"}
    async with web(database, business, Oven()) as client:
        await client.post("/bake", json={"rolls": 6}, headers=headers)
        body = await client.post("/bake", json={"rolls": 7}, headers=headers)
        query = await client.post("/bake?x=1", json={"rolls": 6}, headers=headers)
    assert (body.status_code, body.json()["code"]) == (422, "key_reused")
    assert query.status_code == 422


async def test_a_key_is_of_one_business(
    database: Database, business: Business, other_business: Business
) -> None:
    headers = {"idempotency-key": "a"}
    oven = Oven()
    async with web(database, business, oven) as one, web(database, other_business, oven) as other:
        await one.post("/bake", json={"rolls": 6}, headers=headers)
        answer = await other.post("/bake", json={"rolls": 1}, headers=headers)
    assert answer.json() == {"baked": 7}


async def test_a_second_request_in_flight_is_told(database: Database, business: Business) -> None:
    oven = Oven()
    oven.go_on.clear()
    headers = {"idempotency-key": "a"}
    async with web(database, business, oven) as client:
        running = asyncio.create_task(client.post("/bake", json={"rolls": 6}, headers=headers))
        async with asyncio.timeout(10):
            await oven.busy.wait()
        early = await client.post("/bake", json={"rolls": 6}, headers=headers)
        oven.go_on.set()
        first = await running
        late = await client.post("/bake", json={"rolls": 6}, headers=headers)
    assert (early.status_code, early.json()["code"]) == (409, "in_flight")
    assert late.content == first.content
    assert oven.baked == 6


async def test_of_many_at_once_one_is_done(database: Database, business: Business) -> None:
    """Each of the others is told to wait, or what the one was answered; never another answer."""
    oven = Oven()
    headers = {"idempotency-key": "a"}
    async with web(database, business, oven) as client:
        asked = [client.post("/bake", json={"rolls": 6}, headers=headers) for _ in range(40)]
        answers = await asyncio.gather(*asked)
        late = await client.post("/bake", json={"rolls": 6}, headers=headers)
    assert oven.baked == 6
    done = [answer for answer in answers if answer.status_code == 201]
    assert {answer.json()["code"] for answer in answers if answer not in done} <= {"in_flight"}
    assert {answer.content for answer in [*done, late]} == {b'{"baked":6}'}
    assert [answer.headers.get("idempotency-replayed") for answer in done].count(None) == 1


async def test_a_claim_sees_what_was_committed_while_it_waited(
    shared_cluster: Cluster, database: Database, business: Business
) -> None:
    """Its snapshot is older than the answer, and yet it does not do the work again.

    The statement is begun before the first request commits, and gets the lock after that.
    """
    late = """
        WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock($5)::text AS held)
        SELECT c.* FROM held, crm.claim_answer($1, $2 || held, $3, $4) c
    """
    gate = uuid4().int % 2**62
    keeper, second = [await asyncpg.connect(shared_cluster.app_url) for _ in range(2)]
    await keeper.execute("SELECT pg_advisory_lock($1)", gate)
    async with database.write(business.id) as first:
        assert (await first.one(sql.claim_answer, Claim, scope="s", key="k")).mine
        transaction = second.transaction()
        await transaction.start()
        await second.execute("SELECT crm.begin_business($1)", business.id)
        arguments = (business.id, "s", "k", first.now, gate)
        claiming = asyncio.create_task(second.fetchrow(late, *arguments))
        await _until_waiting(keeper)
        await first.run(
            sql.keep_idempotency_key,
            scope="s",
            key="k",
            fingerprint=b"f",
            status=201,
            body=b"b",
            content_type="text/plain",
            expires_at=first.now + timedelta(hours=1),
        )
    await keeper.execute("SELECT pg_advisory_unlock($1)", gate)
    found = await claiming
    assert found is not None
    assert (found["mine"], found["fingerprint"], found["status"]) == (True, b"f", 201)
    await transaction.rollback()
    await keeper.close()
    await second.close()


async def _until_waiting(conn: asyncpg.Connection) -> None:
    """Wait until somebody waits for a lock that `conn` holds; PostgreSQL tells nobody."""
    async with asyncio.timeout(10):
        while not await conn.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted"
            " AND (classid, objid) IN (SELECT classid, objid FROM pg_locks"
            " WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid())"
        ):
            continue


async def test_a_failure_is_not_kept(database: Database, business: Business) -> None:
    headers = {"idempotency-key": "a"}
    async with web(database, business, Oven()) as client:
        failed = await client.post("/bake", json={"rolls": 101}, headers=headers)
        again = await client.post("/bake", json={"rolls": 6}, headers=headers)
    assert (failed.status_code, again.status_code) == (500, 201)


async def test_a_key_can_be_required(database: Database, business: Business) -> None:
    async with web(database, business, Oven()) as client:
        answer = await client.post("/bake", json={"rolls": 6}, headers={"strict": "yes"})
    assert (answer.status_code, answer.json()["code"]) == (400, "key_missing")


async def test_an_answer_is_forgotten_and_unreadable_until_then(
    database: Database, business: Business
) -> None:
    async with web(database, business, Oven()) as client:
        await client.post("/bake", json={"rolls": 6}, headers={"idempotency-key": "a"})
    bodies = Statement(
        "x", "x", "SELECT body FROM idempotency_key WHERE business_id = $1", ("business_id",)
    )
    async with database.write(business.id) as db:
        kept = await db.many(bodies, bytes)
        assert len(kept) == 1
        assert b"baked" not in kept[0]
        await idempotency.forget(db)
        assert len(await db.many(bodies, bytes)) == 1
        db.now += timedelta(hours=25)
        await idempotency.forget(db)
        assert await db.many(bodies, bytes) == []


@pytest.mark.parametrize(
    ("text", "key"), [('"a b"', "a b"), ("a", "a"), (" a ", "a"), ("x" * 200, "x" * 200)]
)
def test_a_key_is_read_quoted_or_bare(text: str, key: str) -> None:
    assert bare(text) == key


@pytest.mark.parametrize("text", ["", '""', '"', 'a"b', "é", "x" * 201, "a\tb"])
def test_a_bad_key_is_refused(text: str) -> None:
    with pytest.raises(KeyMalformed):
        bare(text)
