"""A worker keeps its own schedule, and does without Redis what it would do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from crm import campaigns, turns
from crm.businesses import Business
from crm.campaigns import State, jobs
from crm.clock import Clock
from crm.connections import Connections, connected
from crm.db import Database, open_database
from crm.turns import Here
from crm.wakes import Waker, open_pool
from tests import make
from tests.campaigns.test_relays import counted
from tests.campaigns.test_send import settings, started
from tests.conftest import KEYS, Cluster
from tests.smtpd import Smtpd, smtpd

AT = datetime(2030, 6, 3, 8, 0, 59, 900_000, tzinfo=UTC)
NOWHERE = "redis://127.0.0.1:1"


async def test_all_workers_give_a_turn_the_same_name() -> None:
    """So that it is taken once; and what is often done is done at once when one begins."""
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def wake(job: str, _args: tuple[str, ...], slot: str) -> None:
        heard.put_nowait((job, slot))

    async def work() -> None:
        raise NotImplementedError

    schedule = {"often.sweep": (work, 5), "seldom.tidy": (work, 60)}
    workers = [asyncio.create_task(turns.keep(schedule, wake, lambda: AT)) for _ in range(2)]
    found = [await heard.get() for _ in range(6)]
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)

    turn = int(AT.timestamp() + 0.1)
    assert sorted(found) == sorted(
        [("often.sweep", ""), ("often.sweep", str(turn // 5)), ("seldom.tidy", str(turn // 60))] * 2
    )


async def test_what_is_woken_while_it_is_done_is_done_once_more() -> None:
    """However often; a failure or a stop in between does not keep it from being done again."""
    began, go_on, times = asyncio.Event(), asyncio.Event(), 0

    async def work(_ctx: Any, which: str) -> None:
        nonlocal times
        assert which == "a"
        times += 1
        began.set()
        await go_on.wait()

    here = Here({"job": (work, 60)}, {})
    wake = Waker(open_pool(NOWHERE), here)
    await wake("job", ("a",), "")
    await began.wait()
    for _ in range(3):
        await wake("job", ("a",), "")
    go_on.set()
    while here._doing:  # noqa: SLF001
        await asyncio.gather(*here._doing.values())  # noqa: SLF001
    await here.close()

    assert times == 2


async def test_a_job_that_takes_too_long_is_ended() -> None:
    """As a worker with Redis ends it."""

    async def work(_ctx: Any) -> None:
        await asyncio.Event().wait()

    here = Here({"job": (work, 0)}, {})
    here("job", (), "")
    await asyncio.gather(*here._doing.values())  # noqa: SLF001
    assert here._doing == {}  # noqa: SLF001


# Clocks ------------------------------------------------------------------------------------------


async def test_the_time_is_that_of_postgresql(shared_cluster: Cluster) -> None:
    """And goes on by itself in between; a jump there is followed."""
    connections = Connections(lambda: connected(shared_cluster.app_url), 1)
    clock = Clock(connections)
    await clock.read()
    first = clock()
    conn = await connections.take()
    theirs = await conn.fetchval("SELECT clock_timestamp()")
    connections.bring(conn)
    assert timedelta(seconds=-1) < theirs - first < timedelta(seconds=1)

    clock._at = theirs - timedelta(hours=1)  # noqa: SLF001  (their clock jumps, seen from here)
    await clock.read()
    assert clock() >= theirs
    await connections.close()


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_campaign_outlives_a_jump_of_the_clock(own_cluster: Cluster, hours: int) -> None:
    """Two workers that hear of it one after the other: the sum holds, and nobody gets it twice."""
    jump = {"first": timedelta(), "second": timedelta()}

    def clock(which: str) -> Callable[[], datetime]:
        return lambda: datetime.now(UTC) + jump[which]

    async with (
        open_database(own_cluster.app_url, KEYS, size=4, clock=clock("first")) as first,
        open_database(own_cluster.app_url, KEYS, size=4, clock=clock("second")) as second,
        smtpd() as server,
    ):
        business = await make.business(first)
        campaign_id, _ = await started(first, business, 200)
        await jobs.fill(context(first, server), str(business.id), str(campaign_id))
        works = [
            asyncio.create_task(work(each, business, campaign_id, server))
            for each in (first, second)
        ]
        for which in jump:
            await server.until_heard(".", 40 if which == "first" else 60)
            jump[which] = timedelta(hours=hours)
        await asyncio.gather(*works)
        during = await counted(first, business, campaign_id)
        # What was put off until an instant that is in the future again waits for it, no longer.
        jump["first"] = jump["second"] = timedelta(hours=2)
        await work(second, business, campaign_id, server)
        after = await counted(first, business, campaign_id)
        async with first.read(business.id) as db:
            state = (await campaigns.get(db, campaign_id)).state

    accepted = server.accepted()
    assert during.audience == after.audience == 200
    assert len(set(accepted)) == len(accepted)
    assert (state, after.waiting, after.sending) == (State.done, 0, 0)
    assert after.sent <= len(accepted) <= after.sent + after.uncertain
    # A worker that is taken for dead leaves what it had in its hands, as a killed one does.
    assert after.uncertain <= 2 * (2 * 20 + 4)


def context(database: Database, relay: Smtpd) -> jobs.Ctx:
    return {
        "database": database,
        "settings": settings(relay.port, range=25),
        "sending": asyncio.Lock(),
    }


async def work(database: Database, business: Business, campaign_id: UUID, relay: Smtpd) -> None:
    """As a worker does it: until there is nothing to do for now."""
    await jobs.send(context(database, relay), str(business.id), str(campaign_id))
