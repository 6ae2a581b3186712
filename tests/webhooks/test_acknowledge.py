"""Whoever was told of a withdrawal says so, it is kept, and the customer reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from crm import consent, events, privacy, webhooks
from crm.businesses import Business
from crm.consent import Method
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor, Kind
from crm.webhooks import Endpoint, jobs, telling
from crm.webhooks.model import Answer
from tests import make
from tests.browser import Browser
from tests.conftest import Cluster
from tests.webhooks.conftest import Clock
from tests.webhooks.receiver import Heard, Receiver, Reply
from tests.webhooks.site import SYSTEM, added, happened, reload, turn


def _heeds(heard: Heard) -> Reply:
    return Reply(200, body=msgspec.json.encode({"acknowledged": heard.id}))


async def _withdrawn(database: Database, business: Business, customer: Customer) -> None:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, name="The Corner Letter")
        notice = await make.notice(db, purpose.id)
        word = await make.own_word(db, customer.id)
        me = Actor.customer(customer.id)
        await consent.give(db, me, customer.id, notice.question, word)
        await consent.withdraw(db, me, customer.id, purpose.id, method=Method.portal)


async def test_a_withdrawal_is_told_acknowledged_and_on_her_page(
    database: Database, business: Business, customer: Customer, portal: Browser, there: Receiver
) -> None:
    endpoint, _ = await added(
        database, business, there, Kind.consent_given, Kind.consent_withdrawn, acknowledges=True
    )
    assert "Nothing to tell so far" in (await portal.get("/me/told")).text
    await _withdrawn(database, business, customer)
    await turn(database, business, endpoint)
    # Taken, and not acknowledged: another id, or no body, is none.
    assert there.kinds == ["consent.given", "consent.withdrawn"]
    assert [each.told["data"].get("acknowledge") for each in there.heard] == [None, True]
    page = (await portal.get("/me/told")).text
    assert "The Corner Letter" in page
    assert "Shop" in page
    assert "It has not yet said that it keeps to it" in page
    there.answer = _heeds
    async with database.write(business.id) as db:
        await webhooks.replay(db, SYSTEM, endpoint.id, UUID(there.heard[-1].id))
    await turn(database, business, endpoint)
    assert "that it keeps to it" in (await portal.get("/me/told")).text
    assert "not yet said" not in (await portal.get("/me/told")).text
    async with database.read(business.id) as db:
        (told,) = await webhooks.told(db, customer.id)
    assert told.told_at is not None
    assert told.acknowledged_at is not None
    assert told.told_at <= told.acknowledged_at
    assert told.acknowledged_by == "answer"


async def test_a_program_acknowledges_afterwards_and_once(
    database: Database, business: Business, api: Browser, stranger_api: Browser, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there, acknowledges=True)
    async with database.write(business.id) as db:
        her = await make.customer(db)
        await events.record(db, SYSTEM, Kind.consent_withdrawn, customer_id=her.id)
    async with database.read(business.id) as db:
        assert await webhooks.told(db, her.id) == []
    await turn(database, business, endpoint)
    event_id = next(each.id for each in there.heard if each.kind == "consent.withdrawn")
    path = f"/v1/webhooks/{endpoint.id}/deliveries/{event_id}/acknowledgement"
    assert (await stranger_api.post(path)).status_code == 404
    first = await api.post(path)
    assert first.status_code == 200, first.text
    assert (await api.post(path)).json() == first.json()
    # What asks for none takes none.
    other = next(each.id for each in there.heard if each.kind != "consent.withdrawn")
    assert (await api.post(path.replace(event_id, other))).status_code == 404


async def test_a_program_acknowledges_before_its_answer_is_on_record(
    database: Database, business: Business, api: Browser, there: Receiver
) -> None:
    """Answered 200, while others of the same round are still on their way."""
    endpoint, _ = await added(
        database, business, there, Kind.consent_withdrawn, acknowledges=True
    )  # fmt: skip
    nora, zoe = uuid4(), uuid4()
    async with database.write(business.id) as db:
        for her in (nora, zoe):
            await events.record(db, SYSTEM, Kind.consent_withdrawn, customer_id=her, ref=uuid4())
    slow = asyncio.Event()
    there.answer = lambda heard: Reply(
        holds=slow if heard.told["data"]["customer_id"] == str(zoe) else None
    )
    worker = asyncio.create_task(turn(database, business, endpoint))
    while len(there.heard) < 2:
        there.came.clear()
        await there.came.wait()
    hers = next(each for each in there.heard if each.told["data"]["customer_id"] == str(nora))
    path = f"/v1/webhooks/{endpoint.id}/deliveries/{hers.id}/acknowledgement"
    said = await api.post(path)
    slow.set()
    await worker
    assert said.status_code == 200, said.text
    assert (await api.post(path)).json() == said.json()
    async with database.read(business.id) as db:
        (told,) = await webhooks.told(db, nora)
    assert told.acknowledged_by == "key"
    assert told.told_at == told.acknowledged_at


async def test_an_acknowledgement_is_kept_where_the_answer_was_lost(
    database: Database, business: Business, api: Browser, there: Receiver
) -> None:
    """It is tried again, and whatever becomes of the endpoint, it was told."""
    endpoint, _ = await added(
        database, business, there, Kind.consent_withdrawn, acknowledges=True
    )  # fmt: skip
    her = uuid4()
    async with database.write(business.id) as db:
        await events.record(db, SYSTEM, Kind.consent_withdrawn, customer_id=her, ref=uuid4())
    there.answer = lambda _: Reply(500)
    await turn(database, business, endpoint)
    path = f"/v1/webhooks/{endpoint.id}/deliveries/{there.heard[0].id}/acknowledgement"
    assert (await api.post(path)).status_code == 200
    async with database.write(business.id) as db:
        (post,) = await webhooks.posts(db, endpoint.id)
        assert post.state == "waiting"
        await webhooks.remove(db, SYSTEM, endpoint.id)
        (told,) = await webhooks.told(db, her)
    assert told.told_at is not None
    assert told.acknowledged_by == "key"


async def test_what_was_never_sent_cannot_be_acknowledged(
    database: Database, business: Business, api: Browser, there: Receiver
) -> None:
    """It waits behind another of the same customer: whoever names it cannot have heeded it."""
    endpoint, _ = await added(
        database, business, there, Kind.consent_withdrawn, acknowledges=True
    )  # fmt: skip
    her = uuid4()
    async with database.write(business.id) as db:
        for _ in range(2):
            await events.record(db, SYSTEM, Kind.consent_withdrawn, customer_id=her, ref=uuid4())
    there.answer = lambda _: Reply(500)
    await turn(database, business, endpoint)
    async with database.read(business.id) as db:
        second, first = await webhooks.posts(db, endpoint.id)
    path = f"/v1/webhooks/{endpoint.id}/deliveries/{{}}/acknowledgement"
    refused = await api.post(path.format(second.event_id))

    assert [each.id for each in there.heard] == [str(first.event_id)]
    assert refused.status_code == 404
    assert "was sent to this endpoint yet" in refused.text
    async with database.read(business.id) as db:
        assert all(each.told_at is None for each in await webhooks.told(db, her))
    assert (await api.post(path.format(first.event_id))).status_code == 200


async def test_what_is_left_at_the_end_of_a_turn_was_not_sent(
    database: Database,
    business: Business,
    api: Browser,
    there: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint, _ = await added(
        database, business, there, Kind.consent_withdrawn, acknowledges=True
    )  # fmt: skip
    her = uuid4()
    async with database.write(business.id) as db:
        for _ in range(2):
            await events.record(db, SYSTEM, Kind.consent_withdrawn, customer_id=her, ref=uuid4())
    times = iter((0.0, 0.0))
    monkeypatch.setattr(jobs, "monotonic", lambda: next(times, 10_000.0))
    await turn(database, business, endpoint)
    async with database.read(business.id) as db:
        second, first = await webhooks.posts(db, endpoint.id)
    path = f"/v1/webhooks/{endpoint.id}/deliveries/{second.event_id}/acknowledgement"

    assert (first.state, second.state) == ("told", "waiting")
    assert (await api.post(path)).status_code == 404
    monkeypatch.undo()
    await turn(database, business, endpoint)
    assert (await api.post(path)).status_code == 200


async def test_what_is_not_acknowledged_for_days_is_shown_to_staff(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    endpoint, _ = await added(clocked, business, there, Kind.customer_erased, acknowledges=True)
    async with clocked.write(business.id) as db:
        her = await make.customer(db)
        await privacy.erase(db, SYSTEM, her.id)
    await turn(clocked, business, endpoint)
    assert (await reload(clocked, business, endpoint)).unacknowledged == 0
    clock.move(timedelta(days=3, seconds=1))
    assert (await reload(clocked, business, endpoint)).unacknowledged == 1
    # Of whom it was: her number, which is empty now.
    assert there.heard[-1].told["data"]["customer_id"] == str(her.id)


async def test_whoever_hears_of_withdrawals_hears_of_one_who_was_erased_meanwhile(
    clocked: Database, business: Business, customer: Customer, there: Receiver, clock: Clock
) -> None:
    """Of her withdrawal nothing goes any more; her erasure says the same of every consent."""
    endpoint, _ = await added(clocked, business, there, Kind.consent_withdrawn)
    await _withdrawn(clocked, business, customer)
    there.answer = lambda _: Reply(503)
    await turn(clocked, business, endpoint)
    async with clocked.write(business.id) as db:
        await privacy.erase(db, SYSTEM, customer.id)
    there.answer = lambda _: Reply(200)
    clock.move(timedelta(minutes=1))
    await turn(clocked, business, endpoint)
    assert there.kinds == ["consent.withdrawn", "customer.erased"]
    assert there.heard[-1].told["data"]["customer_id"] == str(customer.id)


async def test_an_erasure_takes_with_it_what_a_worker_records_at_that_moment(
    database: Database, shared_cluster: Cluster, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there, Kind.interaction_recorded)
    async with database.write(business.id) as db:
        her = await make.customer(db)
        await happened(db, her.id, "Rang about the course")
        await events.number(db)
        await db.run(jobs.sql.wake_endpoints)
        held = await telling.take(db, endpoint.id)
        assert held is not None
        batch = await telling.go_on(db, held, [])
    assert batch is not None

    async def erased() -> None:
        async with database.write(business.id) as db:
            await privacy.erase(db, SYSTEM, her.id)

    conn = await asyncpg.connect(shared_cluster.superuser_url)
    try:
        async with database.write(business.id) as db:
            await telling.go_on(db, held, [telling.Went(batch.posts[0], Answer(status=500))])
            erasure = asyncio.create_task(erased())
            while not erasure.done() and not await conn.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            ):
                continue
        await erasure
    finally:
        await conn.close()
    async with database.read(business.id) as reading:
        assert await webhooks.tries(reading, endpoint.id) == []


async def test_a_backlog_of_an_erased_customer_says_nothing_of_her(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    endpoint, _ = await added(clocked, business, there, acknowledges=True)
    there.answer = lambda _: Reply(500)
    async with clocked.write(business.id) as db:
        nora, zoe = await make.customer(db), await make.customer(db)
        await happened(db, nora.id, "Rang about the course", "Rang again")
        await events.record(db, SYSTEM, Kind.consent_withdrawn, customer_id=nora.id)
        await happened(db, zoe.id, "Rang too")
    await turn(clocked, business, endpoint)
    tried = len(there.heard)
    async with clocked.write(business.id) as db:
        await privacy.erase(db, Actor.customer(nora.id), nora.id)
        waiting = await webhooks.posts(db, endpoint.id, limit=200)
        assert [each async for each in webhooks.export(db, nora.id)] == []
    assert waiting
    there.answer = lambda _: Reply(200)
    clock.move(timedelta(minutes=10))
    await turn(clocked, business, endpoint)
    after = [each for each in there.heard[tried:] if str(nora.id) in each.body.decode()]
    assert [each.kind for each in after] == ["customer.erased"]
    assert any(str(zoe.id) in each.body.decode() for each in there.heard[tried:])
    # Told once more from the beginning it is no more than that.
    async with clocked.write(business.id) as db:
        await webhooks.replay_since(db, SYSTEM, endpoint.id, clock.now - timedelta(days=1))
    again = len(there.heard)
    await turn(clocked, business, endpoint)
    after = [each for each in there.heard[again:] if str(nora.id) in each.body.decode()]
    assert [each.kind for each in after] == ["customer.erased"]


async def test_a_post_made_while_she_is_erased_is_found_and_forgotten(
    database: Database, business: Business, there: Receiver
) -> None:
    """The next minute's sweep finds whoever has something left."""
    await added(database, business, there)
    async with database.write(business.id) as db:
        nora = await make.customer(db)
        await events.record(db, SYSTEM, Kind.customer_changed, customer_id=nora.id)
        await privacy.erase(db, SYSTEM, nora.id)
        assert nora.id not in await privacy.traces(db)
        await events.record(db, SYSTEM, Kind.customer_changed, customer_id=nora.id)
        assert nora.id in await privacy.traces(db)
        await privacy.erase_again(db, nora.id)
        assert nora.id not in await privacy.traces(db)


async def _days(
    clocked: Database, business: Business, endpoint: Endpoint, clock: Clock
) -> AsyncIterator[int]:
    """Longer than the whole schedule, while something else is taken; yields what is shown."""
    for _ in range(14):
        async with clocked.write(business.id) as db:
            await happened(db, uuid4(), "is told")
        await turn(clocked, business, endpoint)
        yield (await reload(clocked, business, endpoint)).unacknowledged
        clock.move(timedelta(hours=27))


async def test_what_was_never_taken_is_not_acknowledged_either(
    clocked: Database, business: Business, api: Browser, there: Receiver, clock: Clock
) -> None:
    """Of one that takes all else, and gives up a withdrawal: shown, and kept beyond a month."""
    wanted = (Kind.consent_withdrawn, Kind.interaction_recorded)
    endpoint, _ = await added(clocked, business, there, *wanted, acknowledges=True)
    there.answer = lambda heard: Reply(500 if heard.kind == "consent.withdrawn" else 200)
    her = uuid4()
    async with clocked.write(business.id) as db:
        await events.record(db, SYSTEM, Kind.consent_withdrawn, customer_id=her, ref=uuid4())
    shown = [each async for each in _days(clocked, business, endpoint, clock)]
    # After three days, also while it is still tried.
    assert shown == [0, 0, 0, *[1] * 11]
    async with clocked.read(business.id) as db:
        given_up = (await webhooks.posts(db, endpoint.id))[-1]
        (told,) = await webhooks.told(db, her)
    assert (given_up.state, told.state, told.told_at) == ("failed", "failed", None)

    clock.move(webhooks.KEPT)
    async with clocked.write(business.id) as db:
        await webhooks.lapse(db, UUID(int=0), 100)
        (kept,) = await webhooks.posts(db, endpoint.id)
    assert kept == given_up
    path = f"/v1/webhooks/{endpoint.id}/deliveries/{kept.event_id}/acknowledgement"
    assert (await api.post(path)).status_code == 200
    assert (await reload(clocked, business, endpoint)).unacknowledged == 0


async def test_what_is_taken_late_is_not_acknowledged_by_that(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    """It was shown, and is until it is acknowledged."""
    endpoint, _ = await added(clocked, business, there, Kind.consent_withdrawn, acknowledges=True)
    her = uuid4()
    async with clocked.write(business.id) as db:
        await events.record(db, SYSTEM, Kind.consent_withdrawn, customer_id=her, ref=uuid4())
    there.answer = lambda _: Reply(500)
    await turn(clocked, business, endpoint)
    clock.move(timedelta(days=3, seconds=1))
    assert (await reload(clocked, business, endpoint)).unacknowledged == 1
    there.answer = lambda _: Reply(200)
    await turn(clocked, business, endpoint)
    async with clocked.read(business.id) as db:
        (told,) = await webhooks.told(db, her)
    assert told.told_at is not None
    assert (await reload(clocked, business, endpoint)).unacknowledged == 1


async def test_what_was_never_taken_and_asked_for_nothing_ends_with_the_month(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    wanted = (Kind.consent_withdrawn, Kind.interaction_recorded)
    endpoint, _ = await added(clocked, business, there, *wanted)
    there.answer = lambda heard: Reply(500 if heard.kind == "consent.withdrawn" else 200)
    async with clocked.write(business.id) as db:
        await events.record(db, SYSTEM, Kind.consent_withdrawn, customer_id=uuid4(), ref=uuid4())
    assert not any([each async for each in _days(clocked, business, endpoint, clock)])
    clock.move(webhooks.KEPT)
    async with clocked.write(business.id) as db:
        await webhooks.lapse(db, UUID(int=0), 100)
        assert await webhooks.posts(db, endpoint.id) == []


@pytest.mark.parametrize("acknowledges", [True, False])
async def test_her_page_says_of_what_was_given_up_that_it_is_tried_no_more(
    clocked: Database,
    business: Business,
    customer: Customer,
    portal: Browser,
    there: Receiver,
    *,
    acknowledges: bool,
) -> None:
    """And that somebody asks why only where it is shown to staff."""
    wanted = (Kind.consent_withdrawn, Kind.interaction_recorded)
    endpoint, _ = await added(clocked, business, there, *wanted, acknowledges=acknowledges)
    there.answer = lambda heard: Reply(500 if heard.kind == "consent.withdrawn" else 200)
    await _withdrawn(clocked, business, customer)
    await turn(clocked, business, endpoint)
    assert "Not reached yet" in (await portal.get("/me/told")).text
    clock = clocked.clock
    assert isinstance(clock, Clock)
    async for _ in _days(clocked, business, endpoint, clock):
        pass
    page = (await portal.get("/me/told")).text
    assert "Not reached, though it was tried for days" in page
    assert ("we see that, and ask" in page) is acknowledges
