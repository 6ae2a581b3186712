"""A handler whose transaction PostgreSQL ended for the sake of another begins anew."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx2
import pytest
from litestar import Litestar, Request, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from crm.businesses import Business
from crm.db import Database, Db, ReadDb
from crm.web.refusals import PROBLEMS
from crm.web.transaction import LookUp, ask_first, attempt, in_one_transaction, transaction
from tests.web.test_transaction import COUNT, KEEP


async def _asks(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    app = connection.app.state
    connection.scope["state"]["business_id"] = app.business_id

    async def first(_: Db) -> None:
        app.said.append("asked")

    ask_first(connection, first)
    async with LookUp(connection, handler, app.business_id):
        pass


@get("/rows", guards=[_asks])
async def _get_rows(db: NamedDependency[ReadDb]) -> int:
    return await db.one(COUNT, int)


@post("/rows/{deadlocks:int}", guards=[_asks], status_code=200)
async def _post_row(
    request: Request[Any, Any, Any], db: NamedDependency[Db], deadlocks: FromPath[int]
) -> int:
    said = request.app.state.said

    async def act(db: Db) -> int:
        await db.run(KEEP, key=str(len(said)))
        db.wake("job", str(len(said)))
        said.append("tried")
        if said.count("tried") <= deadlocks:
            raise asyncpg.DeadlockDetectedError
        return await db.one(COUNT, int)

    return await attempt(request, db, act)


@pytest.mark.parametrize(("deadlocks", "status", "rows"), [(0, 200, 1), (2, 200, 1), (3, 503, 0)])
async def test_it_is_done_once_or_not_at_all(
    database: Database, business: Business, deadlocks: int, status: int, rows: int
) -> None:
    """What the guard asked is asked in each transaction, and of what is over nothing is told."""
    woken: list[str] = []
    said: list[str] = []

    async def wake(job: str, _args: tuple[str, ...], _slot: str) -> None:
        woken.append(job)

    beside = Database(database.connections, database.keys, wake, database.clock)
    app: Any = Litestar(
        [_get_rows, _post_row],
        dependencies={"db": Provide(transaction)},
        exception_handlers=PROBLEMS,
        logging_config=None,
        openapi_config=None,
        state=State({"database": beside, "business_id": business.id, "said": said}),
    )
    asgi: Any = in_one_transaction(app)
    transport = httpx2.ASGITransport(app=asgi)
    async with httpx2.AsyncClient(transport=transport, base_url=business.origin) as client:
        answer = await client.post(f"/rows/{deadlocks}")
        assert (await client.get("/rows")).json() == rows

    assert answer.status_code == status
    assert said == ["asked", "tried"] * min(deadlocks + 1, 3)
    assert len(woken) == rows
