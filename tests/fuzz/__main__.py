"""`make fuzz`: the API with whatever its document allows or forbids, and with a stranger's ids."""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from litestar.types import ASGIApp

from crm.db import Database, open_database
from crm.embedded import Embedded, embedded
from crm.migrate import migrate
from crm.web.openapi import operations
from tests import make
from tests.conftest import KEYS, Cluster, whole
from tests.fuzz.place import Place, place
from tests.fuzz.run import PHASES, Plan, Wrong, tried
from tests.fuzz.strangers import mixed
from tests.test_strangers import let_in, met

# So many cases the coverage of the whole document has, about.
_OF_COVERAGE = 5_000


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


async def main(seed: int, examples: int, strangers: int) -> int:
    """Say what is tried and what came of it; 1 if something is not as the document says."""
    _say(f"seed {seed}, {examples} examples, {strangers} requests with a stranger's ids")
    directory = Path(tempfile.mkdtemp(prefix="fh-"))
    # The servers run as another user when root runs this.
    directory.chmod(0o755)  # noqa: ASYNC240  (once, before anything runs)
    try:
        async with embedded(directory / "data", fsync=False) as servers:
            await migrate(servers.migrate_database_url)
            async with (
                open_database(servers.database_url, KEYS, size=10) as database,
                whole(servers.database_url, servers.redis_url) as site,
            ):
                async with place(site, database) as here:
                    wrong = await _examples(here, seed, examples)
                wrong += await _strangers(site, database, servers, seed, strangers)
    finally:
        shutil.rmtree(directory)
    _say(f"{wrong} wrong")
    return int(wrong > 0)


async def _examples(here: Place, seed: int, examples: int) -> int:
    """Go through the phases with seeds of their own until so many requests were answered."""
    each = max(1, examples // (2 * len(list(operations(here.document)))))
    began, statuses, wrong = monotonic(), Counter[int](), dict[tuple[str, str], Wrong]()
    rounds = 0
    while statuses.total() < examples:
        # Coverage draws nothing: once is enough.
        phases = PHASES if not rounds else [each for each in PHASES if each != "coverage"]
        one_in = max(1, _OF_COVERAGE // examples)
        plan = Plan(seed=seed + rounds, examples=min(each, 20), phases=phases, one_in=one_in)
        found = await asyncio.to_thread(
            tried, here.document, here.url, here.make_key, plan, lambda line: _say(f"  {line}")
        )
        statuses += found.statuses
        for key in found.wrong.keys() - wrong.keys():
            wrong[key] = found.wrong[key]
            _say(f"seed {plan.seed}: {found.wrong[key]}")
        rounds += 1
        _say(f"{statuses.total()} requests in {monotonic() - began:.0f} s, {len(wrong)} wrong")
    _say(f"  {dict(sorted(statuses.items()))}")
    return len(wrong)


async def _strangers(
    site: ASGIApp, database: Database, servers: Embedded, seed: int, count: int
) -> int:
    cluster = Cluster(
        servers.superuser_database_url, servers.migrate_database_url, servers.database_url
    )
    # A superuser is led elsewhere unless she says where.
    name = urlsplit(servers.database_url).path.removeprefix("/")
    async with met(database, cluster.named(name)) as two:
        async with database.write(two.b.id) as db:
            theirs = await make.customer(db)
        before = await two.mark()
        async with let_in(site, database, two.b, theirs) as intruder:
            found = await mixed(two, intruder.program, random.Random(seed), count)
        touched = await two.mark() != before
    for line in found.told:
        _say(f"told apart: {line}")
    if touched:
        _say("rows of the other business have changed")
    _say(f"a stranger's ids: {dict(sorted(found.statuses.items()))}")
    return len(found.told) + touched


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="make fuzz")
    options.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    options.add_argument("--examples", type=int, default=20_000)
    options.add_argument("--strangers", type=int, default=10_000)
    given = options.parse_args()
    sys.exit(asyncio.run(main(given.seed, given.examples, given.strangers)))
