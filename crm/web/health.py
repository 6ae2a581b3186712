"""/health: what this process needs, each told apart, and nothing that a stranger can use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import asyncpg
import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from redis.asyncio import Redis

from crm.journal import Watch
from crm.migrate import missing
from crm.web.closed import ANSWERS

# A load balancer gives up at about five seconds; so does a person.
_PATIENCE = 2.0
# However often it is asked, it looks once in this time: looking opens a connection.
_FRESH = 1.0

Check = Callable[[], Awaitable[str]]


class Need(Struct, frozen=True):
    """One thing to look at: `check` returns "" when all is well, or what is wrong in a few words.

    Without what is `vital` nothing can be served; without the rest, work waits (Redis).
    """

    check: Check
    vital: bool = True


class Health(Struct, frozen=True):
    """What was found: ok, degraded (something not vital is missing) or failing."""

    status: str
    checks: dict[str, str]


def health(needs: Mapping[str, Need]) -> HTTPRouteHandler:
    """Make the handler: 503 when something vital is missing, 200 otherwise."""
    looking = asyncio.Lock()
    seen: list[tuple[float, Health]] = []

    @get("/health", include_in_schema=False, opt=ANSWERS)
    async def get_health() -> Response[bytes]:
        """Look at everything at once, or answer what was found a moment ago."""
        async with looking:
            if not seen or time.monotonic() - seen[0][0] > _FRESH:
                seen[:] = [(time.monotonic(), await look(needs))]
        found = seen[0][1]
        status = 503 if found.status == "failing" else 200
        body = msgspec.json.encode(found)
        return Response(body, status_code=status, media_type="application/json")

    return get_health


async def look(needs: Mapping[str, Need]) -> Health:
    """Check every need at once; none takes longer than two seconds."""
    found = await asyncio.gather(*(_looked(need) for need in needs.values()))
    wrong = dict(zip(needs, found, strict=True))
    failing = any(wrong[name] and need.vital for name, need in needs.items())
    status = "failing" if failing else "degraded" if any(found) else "ok"
    return Health(status, {name: words or "ok" for name, words in wrong.items()})


def stores(database_url: str, redis: Redis) -> dict[str, Need]:
    """Make the needs of every process: the database, its migrations, and Redis."""

    async def database() -> str:
        await (await asyncpg.connect(database_url)).close()
        return ""

    async def migrations() -> str:
        conn = await asyncpg.connect(database_url)
        try:
            lacking = await missing(conn)
        finally:
            await conn.close()
        return f"{len(lacking)} to apply: run crm migrate" if lacking else ""

    async def pinged() -> str:
        return "" if await redis.exists("health") >= 0 else "does not answer"

    return {
        "database": Need(database),
        "migrations": Need(migrations),
        "redis": Need(pinged, vital=False),
    }


def of_journal(watch: Watch) -> dict[str, Need]:
    """Make the needs that have to do with the journal; only a database that is behind is vital."""

    async def behind() -> str:
        found = watch.found
        if found is None or not watch.compared:
            return "not compared with the journal yet"
        count = len(found.put_back)
        return f"put back, behind the journal for {count} businesses: crm restore" if count else ""

    async def journal() -> str:
        found = watch.found
        if found is None:
            return ""
        if found.away:
            return f"cannot be read: {found.away}"
        if found.unread:
            return f"damaged, or not readable, for {len(found.unread)} businesses"
        if found.lost:
            return f"lost, or an older one is in its place, for {len(found.lost)} businesses"
        return f"{found.owed} entries wait to be written" if found.owed else ""

    return {"restored": Need(behind), "journal": Need(journal, vital=False)}


async def _looked(need: Need) -> str:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await need.check()
    except TimeoutError:
        return "does not answer"
    except Exception:  # noqa: BLE001  (whatever it is, it is not reached, and its words stay here)
        return "not reached"
