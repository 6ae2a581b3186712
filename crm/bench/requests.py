"""How fast the API answers: a consent event beside pgbench, a check beside an empty handler.

The stage is made like a living installation before the first round: thousands of customers have
decided, as many events and answers are kept, and the statistics are fresh. On an all but empty
database PostgreSQL plans to read whole tables, and what would be measured is how fast they grow.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import msgspec

from crm import staff
from crm.bench import web
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Run, Say, Series, interleaved
from crm.bench.relay import Failed, answers, program
from crm.bench.stage import SYSTEM, Cast, Stage, audience, decided, found, free_port
from crm.bench.traffic import CONNECTIONS, drive, request
from crm.bench.transcript import Said, script, taking_down
from crm.consent.api import Asked, NewConsentEvent
from crm.db import Statements
from crm.embedded.programs import POSTGRES_FOLDER
from crm.staff import NewKey, Scope
from crm.up import process, stop

_WHEEL = Path(asyncpg.__file__).resolve().parent.parent / POSTGRES_FOLDER / "bin"
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_EVIDENCE = {"kind": "former_double_opt_in"}
# For each request of a round, so many customers have decided before.
_BEFORE = 5
_AT_ONCE = 1_000
_LIMIT_MS = 20.0
# Where pgbench may use all processors, the product may.
PROCESSES = len(os.sched_getaffinity(0))
TAKEN_DOWN = (
    "what that request asks PostgreSQL from BEGIN to COMMIT, with the look-up of its key, taken "
    "down while it was answered"
)
BY_SEVERAL: Notes = {"web processes": PROCESSES, "ceiling": TAKEN_DOWN}
customers_sql = Statements("customers")


async def event(stage: Stage, count: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure consent events through the web process beside the same transaction in pgbench."""
    bench = pgbench()
    if bench is None:
        return [Missing("consent event", "install PostgreSQL's client programs for pgbench")]
    each = max(count // CONNECTIONS, 1)
    count = each * CONNECTIONS
    cast, key = await living(stage, _BEFORE * count)
    # Two for the transcript, a block to begin with, one for every run: nobody decides twice.
    first = 3 + count
    await numbered(stage, cast, 2 + count + 2 * rounds * count)
    late: list[float] = []
    async with served(stage, processes=PROCESSES) as port:
        await drive(port, _events(cast, key, 3, count), 201)
        path = await transcript(
            stage, "consent-event", lambda first, many: _events(cast, key, first, many), say
        )
        await stage.settle()

        async def ours(number: int) -> float:
            traffic = await drive(port, _events(cast, key, first + 2 * number * count, count), 201)
            late.append(traffic.p99_ms)
            return traffic.per_second

        async def ceiling(number: int) -> float:
            return await benched(stage, bench, path, first + (2 * number + 1) * count, each)

        contenders: dict[str, tuple[str, Run]] = {
            "POST consent-events": ("requests/s", ours),
            "pgbench": ("transactions/s", ceiling),
        }
        runs = await interleaved(rounds, contenders, say)
    timed = {"requests": count, "connections": CONNECTIONS, "p99_ms": median(late)}
    notes: Notes = {**timed, **BY_SEVERAL}
    beside = [Beside(runs["pgbench"], Goal(0.45))]
    return [Figure("consent event", runs["POST consent-events"], beside, notes)]


async def check(stage: Stage, count: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure a consent check beside a handler that does nothing, both behind the same guards."""
    cast, key = await living(stage, _BEFORE * count)
    await numbered(stage, cast, count)
    await _decide(stage, cast, count)
    late: list[float] = []
    async with served(stage, bench=True) as port:
        await stage.settle()
        path = f"/v1/consents/check?purpose={cast.purpose.id}&customer="
        asked = [request("GET", f"{path}{UUID(int=n)}", key) for n in range(1, count + 1)]
        nothing = [request("GET", web.PATH, key)] * count

        async def ours(_: int) -> float:
            traffic = await drive(port, asked, 200)
            late.append(traffic.p99_ms)
            return traffic.per_second

        async def ceiling(_: int) -> float:
            return (await drive(port, nothing, 200)).per_second

        contenders: dict[str, tuple[str, Run]] = {
            "GET consents/check": ("requests/s", ours),
            "empty handler": ("requests/s", ceiling),
        }
        runs = await interleaved(rounds, contenders, say)
    notes: Notes = {"requests": count, "connections": CONNECTIONS, "p99_ms": median(late)}
    beside = [Beside(runs["empty handler"], Goal(0.55))]
    return [Figure("consent check", runs["GET consents/check"], beside, notes)]


async def bulk(stage: Stage, count: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure how long a check of 1,000 customers takes, beside its transaction by asyncpg alone.

    One client asks, one question after the other: under load it would be the queue that is timed.
    """
    cast, key = await living(stage, _BEFORE * count)
    await numbered(stage, cast, _AT_ONCE)
    await _decide(stage, cast, _AT_ONCE)
    asked = _question(cast, key)
    times = max(count // 40, 1)
    late: list[float] = []
    async with served(stage) as port, taking_down(stage.here.settings) as take_down:
        await drive(port, [asked], 200)
        said = await take_down(asked)
        await stage.settle()

        async def ours(_: int) -> float:
            traffic = await drive(port, [asked] * times, 200, connections=1)
            late.append(traffic.p99_ms)
            return traffic.median_ms

        async def ceiling(_: int) -> float:
            return await _repeated(stage, said, times)

        contenders: dict[str, tuple[str, Run]] = {
            "POST consent-checks": ("ms", ours),
            "asyncpg alone": ("ms", ceiling),
        }
        runs = await interleaved(rounds, contenders, say)
    notes: Notes = {
        "customers": _AT_ONCE,
        "requests": times,
        "p99_ms": median(late),
        "runs": "the median of each",
    }
    limit = Beside(Series("the limit", "ms", [_LIMIT_MS]), Goal(1, at_most=True))
    beside = [Beside(runs["asyncpg alone"]), limit]
    return [Figure("check of 1,000", runs["POST consent-checks"], beside, notes)]


@asynccontextmanager
async def served(stage: Stage, *, bench: bool = False, processes: int = 1) -> AsyncIterator[int]:
    """Run the web process of the product, with an empty handler more for a bench; its port."""
    port = free_port()
    environ = stage.environ(WEB__HOST="127.0.0.1", WEB__PORT=port, WEB__PROCESSES=processes)
    if not bench:
        async with process("web", environ=environ):
            await answers(port)
            yield port
        return
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", web.__name__, env={**os.environ, **environ}, start_new_session=True
    )
    try:
        await answers(port)
        yield port
    finally:
        await stop(running)


async def living(stage: Stage, count: int) -> tuple[Cast, str]:
    """Found a business with so many customers who have decided, and give it a key."""
    cast = await found(stage.quiet)
    await audience(stage.quiet, cast, count)
    return cast, await keyed(stage, cast)


async def keyed(stage: Stage, cast: Cast, scopes: Collection[Scope] = tuple(Scope)) -> str:
    """Give a business a key."""
    new = NewKey(name="Bench", scopes=sorted(scopes), reason="to measure")
    async with stage.quiet.write(cast.business.id) as db:
        _, text = await staff.add_key(db, SYSTEM, new)
    return text


async def numbered(stage: Stage, cast: Cast, count: int) -> None:
    """Add numbered1@example.com with the id 1, numbered2@example.com with 2, and so on.

    All that pgbench can compute is a number. Who is there stays.
    """
    async with stage.quiet.write(cast.business.id) as db:
        addresses = [f"numbered{number}@example.com" for number in range(1, count + 1)]
        await db.run(
            customers_sql.add_customers,
            customer_ids=[UUID(int=number) for number in range(1, count + 1)],
            addresses=addresses,
            folded=addresses,
            address_hashes=[db.keys.address_hash(db.business_id, each) for each in addresses],
            names=[""] * count,
            locales=[""] * count,
            time_zones=[""] * count,
            source="api",
            import_id=None,
        )


async def _decide(stage: Stage, cast: Cast, count: int) -> None:
    async with stage.quiet.write(cast.business.id) as db:
        await decided(db, cast, [UUID(int=number) for number in range(1, count + 1)])


def _events(cast: Cast, key: str, first: int, count: int) -> list[bytes]:
    decision = NewConsentEvent(
        purpose=str(cast.purpose.id),
        status="given",
        notice=cast.notice.id,
        evidence=dict(_EVIDENCE),
    )
    body = msgspec.json.encode(decision)
    return [
        request(
            *("POST", f"/v1/customers/{UUID(int=number)}/consent-events", key, body),
            f'Idempotency-Key: "{UUID(int=number)}"\r\n',
        )
        for number in range(first, first + count)
    ]


def _question(cast: Cast, key: str) -> bytes:
    customers = [UUID(int=number) for number in range(1, _AT_ONCE + 1)]
    body = msgspec.json.encode(Asked(purpose=str(cast.purpose.id), customers=customers))
    return request("POST", "/v1/consent-checks", key, body)


async def transcript(
    stage: Stage, name: str, asked: Callable[[int, int], list[bytes]], say: Say
) -> Path:
    """Write down for pgbench what a request asks, and say it: the figure is worth no more.

    `asked` makes the requests for so many customers from a number on; 1, 2 and 3 are used up.
    """
    async with taking_down(stage.here.settings) as take_down:
        # Answered before: a connection looks up the types it meets once, which is part of neither.
        for each in asked(3, 1):
            await take_down(each)
        written = script(*[await take_down(each) for each in asked(1, 2)])
    say(f"pgbench runs\n{written}")
    path = stage.directory / f"{name}.pgbench"
    path.write_text(written)
    return path


async def _repeated(stage: Stage, said: Sequence[Said], times: int) -> float:
    """Run the statements of one request again and again; return the median in milliseconds."""
    conn = await asyncpg.connect(
        stage.here.settings.database_url, server_settings={"search_path": "crm"}
    )
    took = []
    try:
        for _ in range(times):
            began = perf_counter()
            for each in said:
                if each.values:
                    await conn.fetch(each.sql, *each.values)
                else:
                    await conn.execute(each.sql)
            took.append((perf_counter() - began) * 1000)
    finally:
        await conn.close()
    return median(took)


def pgbench() -> str | None:
    """Find the program, in the wheel or as Debian's."""
    wheel = _WHEEL / "pgbench"
    if wheel.exists():
        return str(wheel)
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    return str(debian[-1]) if debian else program("pgbench")


async def benched(stage: Stage, bench: str, path: Path, first: int, each: int) -> float:
    """Run a transcript for customers from a number on; return transactions a second."""
    url = urlsplit(stage.here.settings.database_url)
    environ = {
        "PGHOST": parse_qs(url.query)["host"][0],
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
        "PGDATABASE": url.path.removeprefix("/"),
        "PGOPTIONS": "-c search_path=crm",
    }
    numbers = {"first": first, "each": each, "i": 0}
    running = await asyncio.create_subprocess_exec(
        *(bench, "--no-vacuum", "--protocol=prepared", f"--file={path}"),
        *(f"--client={CONNECTIONS}", "--jobs=1", f"--transactions={each}"),
        *(f"--define={name}={value}" for name, value in numbers.items()),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, wrong = await running.communicate()
    found_tps = _TPS.search(told.decode())
    if running.returncode or found_tps is None:
        raise Failed(f"pgbench: {wrong.decode()[-500:]}")
    return float(found_tps[1])
