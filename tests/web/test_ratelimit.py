"""A quota holds exactly, across processes, and says what is left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from litestar import Litestar, get
from litestar.datastructures import State
from redis.asyncio import Redis

from crm.web.headers import secured
from crm.web.ratelimit import Limit, by_address
from crm.web.refusals import PROBLEMS


@get("/strict", guards=[Limit("strict", quota=2, seconds=600, open=False)], sync_to_thread=False)
def get_strict() -> str:
    """Answer twice in ten minutes."""
    return "yes"


@get(
    "/easy",
    guards=[Limit("burst", quota=1, seconds=600), Limit("day", quota=9, seconds=86_400)],
    sync_to_thread=False,
)
def get_easy() -> str:
    """Answer within two quotas, and always without Redis."""
    return "yes"


def web(redis: Redis, address: str) -> httpx2.AsyncClient:
    """Ask from an address."""
    app: Any = Litestar(
        [get_strict, get_easy],
        exception_handlers=PROBLEMS,
        before_send=[secured(https=False)],
        logging_config=None,
        openapi_config=None,
        state=State({"redis": redis}),
    )
    transport = httpx2.ASGITransport(app=app, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://bakery.example")


async def test_a_quota_runs_out_and_says_so(redis: Redis) -> None:
    async with web(redis, "192.0.2.1") as client:
        answers = [await client.get("/strict") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"strict";q=2;w=600'
    assert answers[0].headers["ratelimit"] == '"strict";r=1;t=300'
    assert answers[2].headers["ratelimit"].startswith('"strict";r=0;t=')
    assert 290 < int(answers[2].headers["retry-after"]) <= 300
    told = answers[2].json()
    assert told["type"].endswith("#quota-exceeded")
    assert told["violated-policies"] == ["strict"]


async def test_somebody_else_is_not_counted(redis: Redis) -> None:
    async with web(redis, "192.0.2.2") as one, web(redis, "192.0.2.3") as other:
        assert [(await one.get("/strict")).status_code for _ in range(3)] == [200, 200, 429]
        assert (await other.get("/strict")).status_code == 200


async def test_two_quotas_are_told_together(redis: Redis) -> None:
    async with web(redis, "192.0.2.4") as client:
        answer = await client.get("/easy")
    assert answer.headers["ratelimit-policy"] == '"burst";q=1;w=600, "day";q=9;w=86400'


async def test_a_quota_holds_against_many_at_once(redis: Redis) -> None:
    limit = Limit("crowd", quota=50, seconds=3600)
    left = await asyncio.gather(*(limit.count(redis, "all") for _ in range(200)))
    assert sum(one.passed for one in left) == 50


async def test_a_quota_comes_back_by_and_by(redis: Redis) -> None:
    limit = Limit("drip", quota=1000, seconds=1)
    passed = 0
    while (await limit.count(redis, "one")).passed:
        passed += 1
        assert passed < 100_000
    # One returns every millisecond, and no call of Redis is quicker than many of those.
    async with asyncio.timeout(5):
        while not (await limit.count(redis, "one")).passed:
            pass
    assert passed >= 1000


async def test_redis_keeps_no_address_and_forgets(redis: Redis) -> None:
    await redis.flushdb()
    limit = Limit("sign-in", quota=5, seconds=60)
    await limit.count(redis, "nora@example.com")
    keys = await redis.keys("*")
    assert len(keys) == 1
    assert b"nora" not in keys[0]
    assert 0 < await redis.pttl(keys[0]) <= 60_000


async def test_without_redis_what_guesses_waits_and_the_rest_goes_on(tmp_path: Path) -> None:
    gone = Redis.from_url(f"unix://{tmp_path}/nothing")
    async with web(gone, "192.0.2.5") as client:
        strict, easy = await client.get("/strict"), await client.get("/easy")
    await gone.aclose()
    assert (strict.status_code, strict.headers["retry-after"]) == (503, "10")
    assert easy.status_code == 200
    assert "ratelimit" not in easy.headers


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("testclient", "testclient"),
    ],
)
def test_a_home_is_one(host: str, counted: str) -> None:
    class Connection:
        """All that the count asks of a connection."""

        class client:  # noqa: N801
            """Where it comes from."""

    Connection.client.host = host  # type: ignore[attr-defined]
    assert by_address(Connection) == counted  # type: ignore[arg-type]
