"""Cut short in the middle: cancelled, a transaction lost, PostgreSQL away; the sums still hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import asyncpg
import pytest

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import Counts, State, claiming, jobs, sending
from crm.campaigns.claiming import Claimed
from crm.campaigns.render import Compiled
from crm.campaigns.sending import RangeSender
from crm.db import Database, Db
from crm.events import Actor
from crm.mail.routes import Routes
from tests.campaigns.test_send import settings, started
from tests.smtpd import Fault, Smtpd, smtpd

SYSTEM = Actor.system()
COUNT = 100


async def filled(
    database: Database, business: Business, relay: Smtpd, **changes: int
) -> tuple[jobs.Ctx, UUID]:
    """A campaign open for claims, and the worker's context."""
    campaign_id, _ = await started(database, business, COUNT)
    ctx: jobs.Ctx = {
        "database": database,
        "settings": settings(relay.port, **changes),
        "sending": asyncio.Lock(),
    }
    await jobs.fill(ctx, str(business.id), str(campaign_id))
    return ctx, campaign_id


async def balanced(database: Database, business: Business, campaign_id: UUID) -> Counts:
    """The counts of the rows, which the sums over ranges equal."""
    async with database.read(business.id) as db:
        cheap = await campaigns.counts(db, campaign_id)
        counted = await campaigns.recount(db, campaign_id)
    for state in campaigns.DeliveryState:
        assert getattr(cheap, state) == getattr(counted, state), state
    assert cheap.reasons == counted.reasons
    return counted


async def test_nothing_waits_in_a_cancelled_campaign(
    database: Database, business: Business
) -> None:
    """What was claimed and not yet on its way, or is put off by the relay, is excluded too."""
    held = asyncio.Event()
    async with smtpd() as relay:
        relay.fails("dot", *[Fault(until=held, reply="451 4.3.0 Later")] * 4)
        ctx, campaign_id = await filled(database, business, relay)
        job = asyncio.create_task(jobs.send(ctx, str(business.id), str(campaign_id)))
        await relay.until_heard(".", 4)
        async with database.write(business.id) as db:
            await campaigns.cancel(db, SYSTEM, campaign_id)
        held.set()
        await job
    await jobs.clear(ctx, str(business.id), str(campaign_id))
    counts = await balanced(database, business, campaign_id)

    assert (counts.waiting, counts.sending, counts.uncertain) == (0, 0, 0)
    assert counts.sent == len(relay.accepted()) < COUNT
    assert counts.reasons == {"cancelled": COUNT - counts.sent}


@pytest.mark.parametrize("wrong", [asyncpg.DeadlockDetectedError, ConnectionResetError])
@pytest.mark.parametrize("turn", [1, 2, 3])
async def test_a_lost_transaction_loses_nobody(
    database: Database,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
    wrong: type[Exception],
    turn: int,
) -> None:
    """Its outcomes are written by the next one, and whom it looked at is looked at again."""
    usual, calls = claiming.merge_values, 0

    async def cut_off(
        db: Db, message: Compiled, claimed: list[Claimed]
    ) -> dict[UUID, dict[str, str]]:
        nonlocal calls
        calls += 1
        if calls == turn:
            raise wrong
        return await usual(db, message, claimed)

    monkeypatch.setattr(sending, "merge_values", cut_off)
    async with smtpd() as relay:
        ctx, campaign_id = await filled(database, business, relay)
        with pytest.raises(wrong):
            await jobs.send(ctx, str(business.id), str(campaign_id))
        await balanced(database, business, campaign_id)
        await jobs.send(ctx, str(business.id), str(campaign_id))
    counts = await balanced(database, business, campaign_id)

    assert (counts.sent, counts.uncertain) == (COUNT, 0)
    assert set(Counter(relay.accepted()).values()) == {1}
    async with database.read(business.id) as db:
        assert (await campaigns.get(db, campaign_id)).state is State.done


async def test_outcomes_are_kept_while_postgresql_is_away(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that lives knows what the relay said, and writes it when it can."""
    usual, left = RangeSender._hold, 4  # noqa: SLF001

    async def away(sender: RangeSender, *given: object) -> bool:
        nonlocal left
        if len(relay.accepted()) > 10 and left:
            left -= 1
            raise ConnectionRefusedError
        return await usual(sender, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(sending, "_AGAIN", 0.01)
    monkeypatch.setattr(RangeSender, "_hold", away)
    async with smtpd() as relay:
        ctx, campaign_id = await filled(database, business, relay)
        with pytest.raises(ConnectionRefusedError):
            await jobs.send(ctx, str(business.id), str(campaign_id))
        counts = await balanced(database, business, campaign_id)

    assert left == 0
    assert (counts.sending, counts.uncertain) == (0, 0)
    assert counts.sent == len(relay.accepted()) < COUNT


async def test_a_turn_that_fails_cuts_off_no_answer(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that takes its time has what it was given: that has gone, and is not in doubt."""
    hold, close = RangeSender._hold, Routes.close  # noqa: SLF001
    held, closing = asyncio.Event(), asyncio.Event()

    async def away(sender: RangeSender, db: Db) -> bool:
        if not closing.is_set() and any(line == "DATA" for _, line in relay.commands):
            raise ConnectionRefusedError
        return await hold(sender, db)

    async def closed(routes: Routes, grace: float | None = None) -> None:
        closing.set()
        await close(routes, grace)

    monkeypatch.setattr(sending, "_GRACE", 0.0)
    monkeypatch.setattr(RangeSender, "_hold", away)
    monkeypatch.setattr(Routes, "close", closed)
    async with smtpd() as relay:
        relay.fails("dot", *[Fault(until=held)] * COUNT)
        ctx, campaign_id = await filled(database, business, relay)
        job = asyncio.create_task(jobs.send(ctx, str(business.id), str(campaign_id)))
        await closing.wait()
        held.set()
        with pytest.raises(ConnectionRefusedError):
            await job
        counts = await balanced(database, business, campaign_id)

    assert (counts.sending, counts.uncertain) == (0, 0)
    assert 0 < counts.sent == len(relay.accepted()) < COUNT


async def test_a_campaign_stands_in_line_once(database: Database, business: Business) -> None:
    """However often it is woken, or service messages would wait behind its jobs."""
    held = asyncio.Event()
    async with smtpd() as relay:
        relay.fails("dot", Fault(until=held))
        ctx, campaign_id = await filled(database, business, relay, connections=1)
        job = asyncio.create_task(jobs.send(ctx, str(business.id), str(campaign_id)))
        await relay.until_heard(".")
        async with asyncio.timeout(5):
            await jobs.send(ctx, str(business.id), str(campaign_id))
        assert not job.done()
        held.set()
        await job
    assert len(ctx["line"]) == 0
    assert (await balanced(database, business, campaign_id)).sent == COUNT


async def test_who_waits_behind_the_cursor_is_found_again(
    database: Database, business: Business
) -> None:
    """A server that lost what it had committed leaves nobody waiting for ever."""
    async with smtpd() as relay:
        ctx, campaign_id = await filled(database, business, relay)
        async with database.write(business.id) as db:
            await db._conn.execute(  # noqa: SLF001  (no function of ours does this)
                "UPDATE crm.lease SET cursor = high WHERE campaign_id = $1", campaign_id
            )
        async with asyncio.timeout(20):
            await jobs.send(ctx, str(business.id), str(campaign_id))
    assert (await balanced(database, business, campaign_id)).sent == COUNT
