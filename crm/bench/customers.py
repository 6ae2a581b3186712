"""How fast a shop is answered about its customers: one brought up to date, one read, a page listed.

Among as many others as are asked for, a million by `--customers 1000000`.
"""

from __future__ import annotations

from statistics import median
from uuid import UUID

import msgspec

from crm.bench import web
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Run, Say, Series, interleaved
from crm.bench.requests import (
    BY_SEVERAL,
    PROCESSES,
    benched,
    keyed,
    numbered,
    pgbench,
    served,
    transcript,
)
from crm.bench.stage import Stage, crowd
from crm.bench.traffic import CONNECTIONS, Traffic, drive, request
from crm.customers.putting import Put
from crm.staff import Scope

# Of 99 in 100 requests, as a multiple of the median.
_LATE = 5.0
_PAGE, _PAGE_MS, _PAGES = 100, 10.0, 40


async def upsert(
    stage: Stage, count: int, asked: int, rounds: int, say: Say
) -> list[Figure | Missing]:
    """Measure PUT /v1/customers, a name changed, beside the same transaction in pgbench."""
    bench = pgbench()
    if bench is None:
        return [Missing("customer upsert", "install PostgreSQL's client programs for pgbench")]
    each = max(asked // CONNECTIONS, 1)
    asked = each * CONNECTIONS
    say(f"adding {count:,} customers")
    cast = await crowd(stage, count)
    # A key that reads nobody: then there is no look to commit, and all is in one transaction.
    key, first = await keyed(stage, cast, [Scope.customers_write]), 4
    await numbered(stage, cast, first + 2 * rounds * asked)
    traffic: list[Traffic] = []
    async with served(stage, processes=PROCESSES) as port:
        path = await transcript(
            stage, "customer-upsert", lambda begin, many: _said(key, begin, many), say
        )
        await stage.settle()

        async def ours(number: int) -> float:
            said = _said(key, first + 2 * number * asked, asked)
            traffic.append(await drive(port, said, 204))
            return traffic[-1].per_second

        async def ceiling(number: int) -> float:
            return await benched(stage, bench, path, first + (2 * number + 1) * asked, each)

        contenders: dict[str, tuple[str, Run]] = {
            "PUT customers": ("requests/s", ours),
            "pgbench": ("transactions/s", ceiling),
        }
        runs = await interleaved(rounds, contenders, say)
    notes: Notes = {"customers": count, "requests": asked, **BY_SEVERAL}
    beside = [Beside(runs["pgbench"], Goal(0.45))]
    figure = Figure("customer upsert", runs["PUT customers"], beside, notes)
    return [figure, _late("customer upsert", traffic)]


async def read(
    stage: Stage, count: int, asked: int, rounds: int, say: Say
) -> list[Figure | Missing]:
    """Measure a read, whose look is committed before the answer, beside an empty handler."""
    say(f"adding {count:,} customers")
    cast = await crowd(stage, count)
    key = await keyed(stage, cast)
    await numbered(stage, cast, asked)
    wanted = [
        request("GET", f"/v1/customers/{UUID(int=number)}", key) for number in range(1, asked + 1)
    ]
    nothing = [request("GET", web.PATH, key)] * asked
    page = [request("GET", f"/v1/customers?limit={_PAGE}", key)] * _PAGES
    traffic: list[Traffic] = []
    async with served(stage, bench=True) as port:
        await stage.settle()

        async def ours(_: int) -> float:
            traffic.append(await drive(port, wanted, 200))
            return traffic[-1].per_second

        async def ceiling(_: int) -> float:
            return (await drive(port, nothing, 200)).per_second

        async def listed(_: int) -> float:
            return (await drive(port, page, 200, connections=1)).median_ms

        contenders: dict[str, tuple[str, Run]] = {
            "GET customers/{id}": ("requests/s", ours),
            "empty handler": ("requests/s", ceiling),
            "GET customers": ("ms", listed),
        }
        runs = await interleaved(rounds, contenders, say)
    notes: Notes = {"customers": count, "requests": asked, "connections": CONNECTIONS}
    beside = [Beside(runs["empty handler"], Goal(0.35))]
    figure = Figure("customer read", runs["GET customers/{id}"], beside, notes)
    limit = Beside(Series("the goal", "ms", [_PAGE_MS]), Goal(1, at_most=True))
    of_hundred = Figure("customer list", runs["GET customers"], [limit], {"rows": _PAGE})
    return [figure, _late("customer read", traffic), of_hundred]


def _late(what: str, traffic: list[Traffic]) -> Figure:
    """Compare the slow ones with the usual."""
    late = Series(f"{what}, p99", "ms", [each.p99_ms for each in traffic])
    usual = Series("the median", "ms", [each.median_ms for each in traffic])
    notes: Notes = {"median_ms": median(usual.runs)}
    return Figure(late.what, late, [Beside(usual, Goal(_LATE, at_most=True))], notes)


def _said(key: str, first: int, count: int) -> list[bytes]:
    return [
        request(
            *("PUT", "/v1/customers", key),
            msgspec.json.encode(Put(address=f"numbered{number}@example.com", name="Renamed")),
        )
        for number in range(first, first + count)
    ]
