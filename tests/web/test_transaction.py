"""A GET cannot write, a refusal keeps nothing, and the commit comes before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import pytest
from litestar import Litestar, Request, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody
from litestar.types import Receive, Scope, Send
from msgspec import Struct

from crm.businesses import Business
from crm.db import Database, Db, ReadDb, Statement, open_database
from crm.errors import Conflict, Forbidden
from crm.web.forms import read_form
from crm.web.head import answers_head
from crm.web.refusals import PROBLEMS
from crm.web.transaction import LookUp, in_one_transaction, let_go, transaction
from tests import make
from tests.conftest import KEYS, Cluster

Connection = ASGIConnection[Any, Any, Any, Any]

KEEP = Statement(
    "keep",
    "A row that is easy to make.",
    "INSERT INTO idempotency_key (business_id, scope, key, fingerprint, created_at, expires_at)"
    " VALUES ($1, 'x', $2, '', $3, $3)",
    ("business_id", "key", "now"),
)
COUNT = Statement(
    "count",
    "Rows.",
    "SELECT count(*) FROM idempotency_key WHERE business_id = $1",
    ("business_id",),
)

END_ITSELF = Statement(
    "end_itself", "PostgreSQL ends this connection.", "SELECT pg_terminate_backend($1)", ("pid",)
)
PID = Statement("pid", "Which process serves it.", "SELECT pg_backend_pid()", ())


@get("/rows")
async def get_rows(db: NamedDependency[ReadDb]) -> int:
    """Count."""
    return await db.one(COUNT, int)


@get("/sly")
async def get_sly(db: NamedDependency[ReadDb]) -> int:
    """Write where only reading is allowed."""
    return await Db.run(db, KEEP, key="sly")  # type: ignore[arg-type]


@post("/rows/{key:str}", status_code=200)
async def post_row(key: FromPath[str], db: NamedDependency[Db]) -> int:
    """Write, and refuse some."""
    rows = await db.run(KEEP, key=key)
    if key == "no":
        raise Conflict
    return rows


class Order(Struct):
    """A body."""

    rolls: int


async def looked_up(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard as those do that look up who asks."""
    state = connection.scope["state"]
    async with LookUp(connection, handler, state["business_id"]) as db:
        state["before"] = await db.one(COUNT, int)
    state["looked"] = db
    if "refuse" in connection.query_params:
        raise Forbidden
    if "break" in connection.query_params:
        raise RuntimeError
    if "elsewhere" in connection.app.state:
        state["business_id"] = connection.app.state["elsewhere"]


async def asks_elsewhere(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard as those do that write on their own."""
    await let_go(connection)
    async with connection.app.state.database.read(connection.app.state.business_id) as db:
        connection.scope["state"]["alone"] = await db.one(COUNT, int)


@get("/looked", guards=[looked_up])
async def get_looked(request: Request[Any, Any, Any], db: NamedDependency[ReadDb]) -> bool:
    """Say whether this is the transaction of the guard."""
    await db.one(COUNT, int)
    return request.scope["state"]["looked"] is db


@post("/looked", guards=[looked_up], status_code=200)
async def post_looked(
    request: Request[Any, Any, Any], db: NamedDependency[Db], data: JSONBody[Order]
) -> bool:
    """Write, and say whether this is the transaction of the guard."""
    await db.run(KEEP, key=str(data.rolls))
    if data.rolls > 100:
        raise RuntimeError
    return request.scope["state"]["looked"] is db


@post("/form", guards=[looked_up], status_code=200, request_max_body_size=1000)
async def post_form(request: Request[Any, Any, Any], db: NamedDependency[Db]) -> str:
    """Read a form when the transaction is open."""
    await db.one(COUNT, int)
    return (await read_form(request)).typed("name")


@get("/let-go", guards=[looked_up, asks_elsewhere])
async def get_let_go(request: Request[Any, Any, Any], db: NamedDependency[ReadDb]) -> bool:
    """Go on after a guard that let go of the transaction."""
    await db.one(COUNT, int)
    return request.scope["state"]["looked"] is db


@post("/alone", guards=[looked_up], status_code=200)
async def post_alone(request: Request[Any, Any, Any]) -> int:
    """Take no `db`, and write in a transaction of one's own."""
    async with request.app.state.database.write(request.app.state.business_id) as db:
        rows: int = await db.run(KEEP, key="alone")
    return rows


@post("/endless", guards=[looked_up])
async def post_endless(request: Request[Any, Any, Any], db: NamedDependency[Db]) -> None:
    """Write, and never come to an end."""
    await db.run(KEEP, key="endless")
    request.app.state.begun.set()
    await asyncio.Event().wait()


@post("/cut/{when:str}", status_code=200)
async def post_cut(
    request: Request[Any, Any, Any], when: FromPath[str], db: NamedDependency[Db]
) -> None:
    """Write, and lose the connection."""
    await db.run(KEEP, key=when)
    pid = await db.one(PID, int)
    if when == "during":
        await db.run(END_ITSELF, pid=pid)
        return
    await request.app.state.end(pid)
    while not db._conn.is_closed():  # noqa: ASYNC110, SLF001  (asyncpg tells nobody)
        await asyncio.sleep(0)
    if when == "between":
        await db.run(KEEP, key="more")


HANDLERS = [
    post_endless,
    post_cut,
    get_rows,
    get_sly,
    post_row,
    get_looked,
    post_looked,
    post_form,
    get_let_go,
    post_alone,
]


def web(
    database: Database, business: Business | None, *, wrapped: bool = True, **state: Any
) -> httpx2.AsyncClient:
    """Ask, with or without a business behind the host."""
    app: Any = Litestar(
        HANDLERS,
        dependencies={"db": Provide(transaction)},
        exception_handlers=PROBLEMS,
        logging_config=None,
        openapi_config=None,
        state=State({"database": database, "business_id": business and business.id, **state}),
    )
    if wrapped:
        app = in_one_transaction(app)

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"business_id": business.id} if business else {}
        await app(scope, receive, send)

    asgi: Any = answers_head(asked)
    transport = httpx2.ASGITransport(app=asgi)
    return httpx2.AsyncClient(transport=transport, base_url="http://bakery.example")


async def test_what_is_answered_is_kept(database: Database, business: Business) -> None:
    async with web(database, business) as client:
        assert (await client.post("/rows/a")).status_code == 200
        assert (await client.get("/rows")).json() == 1
        assert (await client.head("/rows")).status_code == 200


async def test_a_refusal_keeps_nothing(database: Database, business: Business) -> None:
    async with web(database, business) as client:
        refused = await client.post("/rows/no")
        rows = await client.get("/rows")
    assert (refused.status_code, rows.json()) == (409, 0)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_get_cannot_write(method: str, database: Database, business: Business) -> None:
    async with web(database, business) as client:
        assert (await client.request(method, "/sly")).status_code == 500
        assert (await client.get("/rows")).json() == 0


async def test_a_text_with_nul_is_refused(database: Database, business: Business) -> None:
    async with web(database, business) as client:
        answer = await client.post("/rows/a%00b")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_no_business_answers_elsewhere(database: Database) -> None:
    async with web(database, None) as client:
        answer = await client.get("/rows")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_business")


@pytest.fixture
async def single(shared_cluster: Cluster) -> AsyncIterator[Database]:
    """A database with one connection, so that one request that keeps it ends all others."""
    async with open_database(shared_cluster.app_url, KEYS, size=1) as opened:
        yield opened


async def test_a_handler_goes_on_in_the_transaction_of_the_guard(
    single: Database, business: Business
) -> None:
    async with web(single, business) as client:
        assert (await client.get("/looked")).json() is True
        assert (await client.head("/looked")).status_code == 200
        assert (await client.post("/looked", json={"rolls": 6})).json() is True
        assert (await client.get("/rows")).json() == 1


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("GET", "/looked?refuse", {}, 403),
        ("HEAD", "/looked?refuse", {}, 403),
        ("GET", "/looked?break", {}, 500),
        ("OPTIONS", "/looked", {}, 204),
        ("DELETE", "/looked", {}, 405),
        ("POST", "/looked?refuse", {"json": {"rolls": 6}}, 403),
        ("POST", "/looked", {"content": b"{"}, 400),
        ("POST", "/looked", {"content": b""}, 422),
        ("POST", "/looked", {"json": {"rolls": "six"}}, 422),
        ("POST", "/looked", {"json": {"rolls": 101}}, 500),
        ("POST", "/form", {"content": b"x" * 1001}, 413),
        ("POST", "/form", {"data": {"name": "x" * 1001}}, 413),
        ("POST", "/form?refuse", {"data": {"name": "Ada"}}, 403),
    ],
)
async def test_what_is_refused_keeps_no_connection(
    single: Database,
    business: Business,
    *,
    method: str,
    path: str,
    sent: dict[str, Any],
    status: int,
    wrapped: bool,
) -> None:
    async with web(single, business, wrapped=wrapped) as client, asyncio.timeout(30):
        for _ in range(20):
            answer = await client.request(method, path, **sent)
            assert answer.status_code == status, answer.text
        assert (await client.get("/rows")).json() == 0


async def test_hundreds_of_refusals_do_not_exhaust_two_connections(
    shared_cluster: Cluster, business: Business
) -> None:
    async with (
        open_database(shared_cluster.app_url, KEYS, size=2) as two,
        web(two, business) as client,
        asyncio.timeout(60),
    ):
        kinds: list[tuple[str, dict[str, Any]]] = [
            ("/looked?refuse", {"json": {"rolls": 6}}),
            ("/looked", {"content": b"{"}),
            ("/looked", {"json": {"rolls": 101}}),
            ("/alone", {"content": b"", "params": {"refuse": ""}}),
        ]
        asked = [client.post(path, **sent) for path, sent in kinds * 100]
        answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} == {400, 403, 500}
        assert (await client.get("/rows")).json() == 0


async def test_a_guard_of_another_business_opens_nothing_of_it_to_the_handler(
    single: Database, business: Business, other_business: Business
) -> None:
    async with web(single, business) as client:
        await client.post("/rows/a")
    async with web(single, business, elsewhere=other_business.id) as client:
        assert (await client.get("/looked")).json() is False
        assert (await client.post("/looked", json={"rolls": 6})).json() is False
    async with web(single, other_business) as client:
        assert (await client.get("/rows")).json() == 1


async def test_a_guard_that_asks_elsewhere_lets_go_first(
    single: Database, business: Business
) -> None:
    async with web(single, business) as client, asyncio.timeout(10):
        assert (await client.get("/let-go")).json() is False


async def test_a_handler_without_a_transaction_holds_none(
    single: Database, business: Business
) -> None:
    async with web(single, business) as client, asyncio.timeout(10):
        assert (await client.post("/alone")).json() == 1
        assert (await client.get("/rows")).json() == 1


@pytest.mark.parametrize(
    ("path", "media", "first", "rest"),
    [
        ("/looked", "application/json", b'{"rolls"', b": 6}"),
        ("/looked", "application/json", b"", b'{"rolls": 6}'),
        ("/form", "application/x-www-form-urlencoded", b"na", b"me=Ada"),
        (
            "/form",
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="na',
            b'me"\r\n\r\nAda\r\n--x--\r\n',
        ),
    ],
)
async def test_no_transaction_waits_for_a_slow_client(
    single: Database, business: Business, *, path: str, media: str, first: bytes, rest: bytes
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield first
        begun.set()
        await go_on.wait()
        yield rest

    async with web(single, business) as client, asyncio.timeout(10):
        headers = {"content-type": media}
        slow = asyncio.create_task(client.post(path, content=slowly(), headers=headers))
        await begun.wait()
        assert (await client.get("/rows")).status_code == 200
        go_on.set()
        assert (await slow).text in ("false", "Ada")


async def test_who_waits_to_be_asked_for_the_body_is_refused_without(
    single: Database, business: Business
) -> None:
    """Expect: 100-continue (RFC 9110 §10.1.1): the answer comes before the body, or instead."""
    asked = False

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal asked
        asked = True
        yield b'{"rolls": 6}'

    headers = {"expect": "100-continue", "content-type": "application/json"}
    async with web(single, business) as client:
        refused = await client.post("/looked?refuse", content=pieces(), headers=headers)
        assert (refused.status_code, asked) == (403, False)
        taken = await client.post("/looked", content=pieces(), headers=headers)
        assert (taken.status_code, asked) == (200, True)


async def test_a_client_that_leaves_keeps_nothing(single: Database, business: Business) -> None:
    app: Any = Litestar(
        HANDLERS,
        dependencies={"db": Provide(transaction)},
        exception_handlers=PROBLEMS,
        logging_config=None,
        openapi_config=None,
        state=State({"database": single, "business_id": business.id}),
    )
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/looked",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "state": {"business_id": business.id},
    }

    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def unheard(_: Any) -> None:
        return None

    for _ in range(3):
        await in_one_transaction(app)({**scope}, gone, unheard)  # type: ignore[arg-type]
    async with web(single, business) as client, asyncio.timeout(10):
        assert (await client.get("/rows")).json() == 0


async def test_a_request_that_is_cancelled_keeps_nothing(
    single: Database, business: Business
) -> None:
    begun = asyncio.Event()
    async with web(single, business, begun=begun) as client, asyncio.timeout(10):
        for _ in range(3):
            begun.clear()
            task = asyncio.create_task(client.post("/endless"))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await client.get("/rows")).json() == 0


@pytest.mark.parametrize("when", ["during", "between", "before"])
async def test_a_lost_connection_is_told_and_keeps_nothing(
    when: str, single: Database, business: Business, shared_cluster: Cluster
) -> None:
    """In a statement, between two, and before the commit: busy, with nothing done."""

    async def end(pid: int) -> None:
        conn = await asyncpg.connect(shared_cluster.superuser_url)
        await conn.execute("SELECT pg_terminate_backend($1, 10000)", pid)
        await conn.close()

    async with web(single, business, end=end) as client, asyncio.timeout(30):
        answer = await client.post(f"/cut/{when}")
        rows = await client.get("/rows")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == "busy"
    assert rows.json() == 0


async def test_a_connection_lost_in_the_commit_leaves_doubt(
    own_cluster: Cluster,
) -> None:
    """Nobody can say whether it was kept, so nobody is told that nothing was done."""
    root = await asyncpg.connect(own_cluster.superuser_url)
    await root.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON crm.idempotency_key"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    async with (
        open_database(own_cluster.app_url, KEYS, size=1) as database,
        asyncio.timeout(30),
    ):
        business = await make.business(database)
        async with web(database, business) as client:
            asked = asyncio.ensure_future(client.post("/rows/late"))
            ended = 0
            while not ended:
                ended = await root.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE wait_event = 'PgSleep' AND datname = current_database()"
                )
            answer = await asked
    await root.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "in_doubt")
    assert answer.headers["retry-after"] == "1"
    assert "whether" in answer.json()["detail"]
