"""A GET cannot write, a refusal keeps nothing, and the commit comes before the answer."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from litestar import Litestar, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.types import Receive, Scope, Send

from crm.businesses import Business
from crm.db import Database, Db, ReadDb, Statement
from crm.errors import Conflict
from crm.web.head import answers_head
from crm.web.refusals import PROBLEMS
from crm.web.transaction import transaction

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


def web(database: Database, business: Business | None) -> httpx2.AsyncClient:
    """Ask, with or without a business behind the host."""
    app: Any = Litestar(
        [get_rows, get_sly, post_row],
        dependencies={"db": Provide(transaction)},
        exception_handlers=PROBLEMS,
        logging_config=None,
        openapi_config=None,
        state=State({"database": database}),
    )

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
