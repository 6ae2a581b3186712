"""/health tells apart what is missing, and says nothing more."""

from __future__ import annotations

import asyncio

import pytest
from litestar import Litestar
from redis.asyncio import Redis

from crm.web.health import Need, health, look, stores
from tests.conftest import Cluster
from tests.web.sample import client


async def fine() -> str:
    return ""


async def behind() -> str:
    return "3 migrations to apply"


async def broken() -> str:
    raise OSError("postgresql://crm:secret@db/crm")


async def silent() -> str:
    await asyncio.Event().wait()
    return ""


@pytest.mark.parametrize(
    ("database", "redis", "status", "body"),
    [
        (fine, fine, 200, {"status": "ok", "checks": {"database": "ok", "redis": "ok"}}),
        (
            fine,
            broken,
            200,
            {"status": "degraded", "checks": {"database": "ok", "redis": "not reached"}},
        ),
        (
            behind,
            silent,
            503,
            {
                "status": "failing",
                "checks": {"database": "3 migrations to apply", "redis": "does not answer"},
            },
        ),
    ],
)
async def test_each_need_is_told(
    database: object,
    redis: object,
    status: int,
    body: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crm.web.health._PATIENCE", 0.05)
    needs = {"database": Need(database), "redis": Need(redis, vital=False)}  # type: ignore[arg-type]
    app = Litestar([health(needs)], logging_config=None, openapi_config=None)
    async with client(app) as web:
        answer = await web.get("/health")
    assert (answer.status_code, answer.json()) == (status, body)


async def test_it_looks_once_in_a_moment() -> None:
    looked = 0

    async def count() -> str:
        nonlocal looked
        looked += 1
        return ""

    app = Litestar([health({"x": Need(count)})], logging_config=None, openapi_config=None)
    async with client(app) as web:
        answers = await asyncio.gather(*(web.get("/health") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert looked == 1


async def test_real_stores_are_looked_at(
    shared_cluster: Cluster, cluster: Cluster, redis: Redis
) -> None:
    assert (await look(stores(shared_cluster.app_url, redis))).status == "ok"
    empty = await look(stores(cluster.app_url, redis))
    assert empty.checks["database"] == "ok"
    assert "to apply" in empty.checks["migrations"]
    gone = await look(stores(shared_cluster.named("nowhere").app_url, redis))
    assert gone.checks == {"database": "not reached", "migrations": "not reached", "redis": "ok"}
