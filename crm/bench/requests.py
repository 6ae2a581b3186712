"""How fast the API answers: a consent event beside pgbench, a check beside an empty handler."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request

from crm import staff
from crm.bench import web
from crm.bench.figure import Beside, Figure, Missing, Notes, Run, Say, interleaved
from crm.bench.relay import Failed, answers, program
from crm.bench.stage import SYSTEM, Cast, Stage, found, free_port
from crm.bench.traffic import CONNECTIONS, drive, request
from crm.bench.transcript import Recording, Said, script
from crm.consent import api as consent_api
from crm.consent.api import NewConsentEvent
from crm.db import Statements
from crm.embedded.programs import POSTGRES_FOLDER
from crm.staff import Caller, NewKey, Scope
from crm.up import process, stop

_WHEEL = Path(asyncpg.__file__).resolve().parent.parent / POSTGRES_FOLDER / "bin"
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_EVIDENCE = {"kind": "former_double_opt_in"}
customers_sql = Statements("customers")


async def event(stage: Stage, count: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure consent events through the web process beside the same transaction in pgbench."""
    bench = _pgbench()
    if bench is None:
        return [Missing("consent event", "install PostgreSQL's client programs for pgbench")]
    each = max(count // CONNECTIONS, 1)
    count = each * CONNECTIONS
    cast = await found(stage.quiet)
    key = await _key(stage, cast)
    # Two for the transcript, then a block for every run of either; nobody decides twice.
    await _numbered(stage, cast, 2 + 2 * rounds * count)
    path = stage.directory / "consent-event.pgbench"
    path.write_text(await _transcript(stage, cast))
    late: list[float] = []
    async with _served(stage) as port:
        await stage.settle()

        async def ours(number: int) -> float:
            asked = _events(cast, key, 3 + 2 * number * count, count)
            traffic = await drive(port, asked, 201)
            late.append(traffic.p99_ms)
            return traffic.per_second

        async def ceiling(number: int) -> float:
            return await _benched(stage, bench, path, 3 + (2 * number + 1) * count, each)

        contenders: dict[str, tuple[str, Run]] = {
            "POST consent-events": ("requests/s", ours),
            "pgbench": ("transactions/s", ceiling),
        }
        runs = await interleaved(rounds, contenders, say)
    notes: Notes = {
        "requests": count,
        "connections": CONNECTIONS,
        "p99_ms": median(late),
        "ceiling": "the statements of that request's transaction, taken down while it ran",
    }
    ours_runs, beside = runs["POST consent-events"], [Beside(runs["pgbench"])]
    return [Figure("consent event", ours_runs, beside, notes)]


async def check(stage: Stage, count: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure a consent check beside a handler that does nothing, both behind the same guards."""
    cast = await found(stage.quiet)
    key = await _key(stage, cast)
    await _numbered(stage, cast, count)
    late: list[float] = []
    async with _served(stage, bench=True) as port:
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
    ours_runs, beside = runs["GET consents/check"], [Beside(runs["empty handler"])]
    return [Figure("consent check", ours_runs, beside, notes)]


@asynccontextmanager
async def _served(stage: Stage, *, bench: bool = False) -> AsyncIterator[int]:
    port = free_port()
    environ = stage.environ(WEB__HOST="127.0.0.1", WEB__PORT=port)
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


async def _key(stage: Stage, cast: Cast) -> str:
    new = NewKey(name="Bench", scopes=sorted(Scope), reason="to measure")
    async with stage.quiet.write(cast.business.id) as db:
        _, text = await staff.add_key(db, SYSTEM, new)
    return text


async def _numbered(stage: Stage, cast: Cast, count: int) -> None:
    """Add customers whose ids are 1, 2, 3 …: all that pgbench can compute is a number."""
    async with stage.quiet.write(cast.business.id) as db:
        addresses = [f"reader{number}@example.com" for number in range(1, count + 1)]
        await db.run(
            customers_sql.add_customers,
            customer_ids=[UUID(int=number) for number in range(1, count + 1)],
            addresses=addresses,
            folded=addresses,
            address_hashes=[db.keys.address_hash(db.business_id, each) for each in addresses],
            names=[""] * count,
            locales=[""] * count,
            source="api",
            import_id=None,
        )


def _events(cast: Cast, key: str, first: int, count: int) -> list[bytes]:
    body = msgspec.json.encode(_decision(cast))
    return [
        request(
            *("POST", f"/v1/customers/{UUID(int=number)}/consent-events", key, body),
            f'Idempotency-Key: "{UUID(int=number)}"\r\n',
        )
        for number in range(first, first + count)
    ]


def _decision(cast: Cast) -> NewConsentEvent:
    return NewConsentEvent(
        purpose=cast.purpose.id, status="given", notice=cast.notice.id, evidence=dict(_EVIDENCE)
    )


async def _transcript(stage: Stage, cast: Cast) -> str:
    said = [await _said(stage, cast, UUID(int=number)) for number in (1, 2)]
    return script(cast.business.id, *said)


async def _said(stage: Stage, cast: Cast, customer_id: UUID) -> list[Said]:
    """Run the handler itself for one customer, and take down its statements."""
    caller = Caller(id=UUID(int=1), name="Bench", scopes=frozenset(Scope), reason="to measure")
    async with stage.quiet.write(cast.business.id) as db:
        recording = Recording(db._conn, db.business_id, db.now, db.keys)  # noqa: SLF001
        asked = _request(f"/v1/customers/{customer_id}/consent-events", str(customer_id))
        handle: Callable[..., object] = consent_api.post_consent_event.fn
        answer = handle(
            request=asked, db=recording, caller=caller, id=customer_id, data=_decision(cast)
        )
        if asyncio.iscoroutine(answer):
            await answer
    return recording.said


class _Asked(Request[Any, Any, Any]):
    """What the handler reads of a request, without a server around it."""

    async def body(self) -> bytes:
        """Return what its fingerprint is made from."""
        return b"{}"


def _request(path: str, key: str) -> _Asked:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"idempotency-key", key.encode())],
        "state": {},
    }
    return _Asked(scope)  # type: ignore[arg-type]  # less than a server gives


def _pgbench() -> str | None:
    wheel = _WHEEL / "pgbench"
    if wheel.exists():
        return str(wheel)
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    return str(debian[-1]) if debian else program("pgbench")


async def _benched(stage: Stage, bench: str, path: Path, first: int, each: int) -> float:
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
