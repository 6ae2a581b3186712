"""How fast a worker goes that signs all it sends, beside what OpenSSL alone can sign."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from statistics import median

import asyncpg

from crm.bench.figure import Beside, Figure, Goal, Missing, Run, Say, interleaved
from crm.bench.relay import Failed, NoCompiler, fast_sink, program
from crm.bench.sending import Show, ours, prepared
from crm.bench.stage import SYSTEM, Cast, Stage
from crm.mail import sending_domains

_NAME = "DKIM"
_SECONDS = 2
_MANY = 1_000
_RANGES = 10
# As if the second key were still waiting for its place in DNS.
_ONLY_RSA = """
UPDATE crm.dkim_key SET state = 'waiting', signing_at = NULL
 WHERE business_id = $1 AND algorithm = 'ed25519'
"""


async def dkim(stage: Stage, messages: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure one worker and two, with RSA-2048 alone and with Ed25519 too, beside OpenSSL."""
    openssl = program("openssl")
    if openssl is None:
        return [Missing(_NAME, "install openssl")]
    rsa, both = [await prepared(stage, messages) for _ in range(2)]
    for cast, _ in (rsa, both):
        await _signs(stage, cast)
    await _only_rsa(stage, rsa[0])
    await stage.settle()
    async with AsyncExitStack() as stack:
        try:
            relay = await stack.enter_async_context(fast_sink(stage.directory))
        except NoCompiler as why:
            return [Missing(_NAME, str(why))]
        one, two = (Show(stage, *each, relay, messages) for each in (rsa, both))
        cpu: list[float] = []
        # Each worker sends one range at a time: there have to be enough for two.
        environ = {"CRM_SENDING__RANGE": str(max(messages // _RANGES, 1))}
        contenders = {
            "openssl speed rsa2048": ("signatures/s", _alone(openssl, messages)),
            "crm worker, RSA": ("messages/s", ours(one, cpu, environ)),
            "crm worker, RSA and Ed25519": ("messages/s", ours(two, [], environ)),
            "two crm workers, RSA": ("messages/s", ours(one, [], environ, count=2)),
        }
        runs = await interleaved(rounds, contenders, say)
    ceiling, alone, twice, pair = runs.values()
    notes = one.notes | {"cpu_seconds_per_1000": median(cpu)}
    return [
        Figure(f"{_NAME}, RSA", alone, [Beside(ceiling, Goal(0.6))], notes),
        Figure(f"{_NAME}, RSA and Ed25519", twice, [Beside(ceiling, Goal(0.5))], two.notes),
        Figure(f"{_NAME}, two workers", pair, [Beside(alone, Goal(1.7))], one.notes),
    ]


async def _signs(stage: Stage, cast: Cast) -> None:
    """Let a business sign, as if its keys had been found in DNS."""
    domain = sending_domains.domain_of(cast.business.sender_address)
    async with stage.quiet.write(cast.business.id) as db:
        await sending_domains.revoke(db, SYSTEM, domain)
        seen = frozenset(key.selector for key in await sending_domains.keys(db, domain))
        await sending_domains.keep(db, domain, (), seen)


async def _only_rsa(stage: Stage, cast: Cast) -> None:
    business_id = cast.business.id
    conn = await asyncpg.connect(
        stage.here.settings.migrate_database_url,
        server_settings={"crm.business_id": str(business_id)},
    )
    try:
        await conn.execute(_ONLY_RSA, business_id)
    finally:
        await conn.close()


def _alone(openssl: str, messages: int) -> Run:
    """Let OpenSSL sign with 2048 bits and nothing else, by one process."""
    # As short as what it stands beside.
    seconds = str(_SECONDS if messages >= _MANY else 1)

    async def run(_: int) -> float:
        running = await asyncio.create_subprocess_exec(
            *(openssl, "speed", "-seconds", seconds, "rsa2048"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        told = (await running.communicate())[0]
        found = [line.split() for line in told.decode().splitlines() if line.startswith("rsa 2048")]
        if not found:
            message = f"openssl speed ended with {running.returncode}"
            raise Failed(message)
        return float(found[0][-2])

    return run
