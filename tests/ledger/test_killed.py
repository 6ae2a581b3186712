"""The sequencer is killed again and again, while entries come in: nothing signed is ever denied."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from multiprocessing.connection import Connection, Pipe
from uuid import UUID

from crm import ledger
from crm.businesses import Business
from crm.db import Database
from crm.journal import CHECKPOINT, Journal
from crm.ledger.checkpoint import checkpoint_of
from tests import make
from tests.commands import ended, forked
from tests.conftest import Cluster
from tests.ledger.conftest import entered
from tests.ledger.sequencer import sequence
from tests.ledger.test_seal import ALL, head_of, prove


@asynccontextmanager
async def sequencer(
    cluster: Cluster, business: Business, journal: Journal
) -> AsyncIterator[Connection]:
    """Run a sequencer that is killed at the end, wherever it is by then."""
    said, rounds = Pipe(duplex=False)
    with said, rounds:
        place = make.place_of(journal)
        running = forked(sequence, cluster.app_url, business.id, place, rounds)
        # What it holds alone ends with it.
        rounds.close()
        try:
            yield said
        finally:
            running.kill()
            await ended(running)


async def seen(database: Database, business: Business, journal: Journal) -> list[str]:
    """Every signed head that anybody could have read by now."""
    async with database.read(business.id) as db:
        published = [each.note for each in await ledger.signed_heads(db)]
    kept = journal.read(business.id, CHECKPOINT)
    return [*published, kept] if kept else published


async def test_no_two_heads_contradict_each_other(
    *, database: Database, business: Business, shared_cluster: Cluster, journal: Journal
) -> None:
    """SIGKILL, wherever it lands: in the transaction, before the journal, or after it."""
    chance = random.Random(business.id.int)
    known: set[str] = set()
    entries: list[UUID] = []
    for _ in range(6):
        async with sequencer(shared_cluster, business, journal) as said:
            for _ in range(chance.randrange(1, 8)):
                entries += await entered(database, business.id, chance.randrange(1, 200))
                assert await asyncio.to_thread(said.recv) == "done"
                known.update(await seen(database, business, journal))
        known.update(await seen(database, business, journal))
    # What the last one held is free when PostgreSQL has seen its end.
    while (await head_of(database, business)).signed_size < len(entries):
        await ledger.seal(database, business.id, journal, most=ALL)
    known.update(await seen(database, business, journal))

    assert sorted(await prove(database, business, entries)) == list(range(len(entries)))
    assert (await head_of(database, business)).stopped_why is None
    heads = sorted((checkpoint_of(each) for each in known), key=lambda each: each.size)
    assert len(heads) > 6
    assert len({each.size for each in heads}) == len(heads), "two heads of one size"
    async with database.read(business.id) as db:
        for earlier, later in pairwise(heads):
            path = await ledger.consistency(db, earlier.size, later.size)
            ledger.check_consistency(earlier.size, later.size, path, earlier.root, later.root)
