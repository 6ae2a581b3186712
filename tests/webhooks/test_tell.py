"""Events are told signed, at least once, in order for each customer, until they are taken."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from crm import events, webhooks
from crm.businesses import Business
from crm.client import BadSignature, verify
from crm.db import Database, open_database
from crm.events import Kind
from crm.ids import instant_of
from crm.keys import KeyWrong
from crm.statements import parse
from crm.webhooks import jobs, telling
from crm.webhooks.model import (
    MOST,
    Answer,
    NewEndpoint,
    NotAnEndpoint,
    TooManyEndpoints,
    UnknownPost,
    checked,
    next_try,
)
from tests import make
from tests.commands import ended, forked
from tests.conftest import KEYS, Cluster
from tests.webhooks import stopped
from tests.webhooks.conftest import Clock
from tests.webhooks.receiver import Heard, Receiver, Reply
from tests.webhooks.site import SYSTEM, added, ctx, happened, reload, turn

NORA, ZOE = uuid4(), uuid4()
RECORDED = Kind.interaction_recorded
_LETTERS, _FREED = parse("""-- name: letters
-- Whom letters wait for.
SELECT m.address FROM crm.service_message m WHERE m.business_id = :business_id;

-- name: freed
-- As when the lease of a worker that failed is over.
UPDATE crm.endpoint e SET leased_until = NULL
 WHERE e.business_id = :business_id AND e.endpoint_id = :endpoint_id;""")


async def _tell(database: Database, business: Business, customer: UUID | None, *whats: str) -> None:
    async with database.write(business.id) as db:
        await happened(db, customer, *whats)


def _of(there: Receiver, customer: UUID) -> list[str]:
    return [each.id for each in there.heard if each.told["data"]["customer_id"] == str(customer)]


async def _ids(database: Database, business: Business, customer: UUID) -> list[str]:
    """The events of a customer in the order in which they happened."""
    async with database.read(business.id) as db:
        found = await events.following(db, limit=200)
    return [str(each.id) for each in found if each.customer_id == customer]


async def test_it_works(database: Database, business: Business, there: Receiver) -> None:
    endpoint, secret = await added(database, business, there, RECORDED)
    await _tell(database, business, NORA, "Rang about the course")
    await turn(database, business, endpoint)

    (heard,) = there.heard
    verify(secret, heard.headers, heard.body, now=database.clock().timestamp())
    assert heard.headers["content-type"] == "application/json"
    (event_id,) = await _ids(database, business, NORA)
    assert heard.id == event_id
    # Thin: a kind, when, and ids.
    assert heard.told["type"] == "interaction.recorded"
    assert heard.told["data"] == {"id": event_id, "customer_id": str(NORA), "ref": None}
    assert set(heard.told) == {"type", "timestamp", "data"}
    await turn(database, business, endpoint)
    assert len(there.heard) == 1


async def test_kinds_that_are_not_wanted_stay_here(
    database: Database, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there, Kind.customer_changed)
    async with database.write(business.id) as db:
        await happened(db, NORA, "not wanted")
        await events.record(db, SYSTEM, Kind.customer_changed, customer_id=NORA)
        await events.look(db, SYSTEM, [NORA], "a look is never told")
    await turn(database, business, endpoint)
    assert there.kinds == ["customer.changed"]


async def test_what_waits_of_a_kind_that_is_wanted_no_more_is_not_told(
    database: Database, business: Business, there: Receiver
) -> None:
    """What was told before, and was asked for once more, stays told."""
    endpoint, _ = await added(database, business, there, RECORDED, Kind.customer_changed)
    await _tell(database, business, NORA, "told")
    await turn(database, business, endpoint)
    there.answer = lambda _: Reply(500)
    async with database.write(business.id) as db:
        await webhooks.replay(db, SYSTEM, endpoint.id, UUID(there.heard[0].id))
        await happened(db, ZOE, "waits")
        await events.record(db, SYSTEM, Kind.customer_changed, customer_id=ZOE)
    await turn(database, business, endpoint)
    async with database.write(business.id) as db:
        new = NewEndpoint(name="Shop", url=there.url, kinds=[Kind.customer_changed])
        changed = await webhooks.change(db, SYSTEM, endpoint.id, new, local=True)
        states = [(each.kind.value, each.state) for each in await webhooks.posts(db, endpoint.id)]
    assert states == [("customer.changed", "waiting"), ("interaction.recorded", "told")]
    assert changed.waiting == 1


async def test_a_look_is_told_to_nobody(
    database: Database, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there)
    async with database.write(business.id) as db:
        await events.look(db, SYSTEM, [NORA], "else reading because of an event would make one")
        await happened(db, NORA, "told")
    await turn(database, business, endpoint)
    assert _of(there, NORA) == await _ids(database, business, NORA)
    assert "customer.looked" not in there.kinds


async def test_a_failing_event_holds_back_hers_and_nobody_elses(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    endpoint, _ = await added(clocked, business, there, RECORDED)
    for what in ("first", "second", "third"):
        await _tell(clocked, business, NORA, what)
        await _tell(clocked, business, ZOE, what)
    hers, zoes = [await _ids_numbered(clocked, business, each) for each in (NORA, ZOE)]
    there.answer = lambda heard: Reply(500 if heard.id == hers[0] else 200)
    await turn(clocked, business, endpoint)
    assert _of(there, ZOE) == zoes
    assert _of(there, NORA) == hers[:1]
    # Not before its time, and then again in her order.
    await turn(clocked, business, endpoint)
    assert _of(there, NORA) == hers[:1]
    there.answer = lambda _: Reply(204)
    clock.move(timedelta(seconds=10))
    await turn(clocked, business, endpoint)
    assert _of(there, NORA) == [hers[0], *hers]
    assert _of(there, ZOE) == zoes


async def _ids_numbered(database: Database, business: Business, customer: UUID) -> list[str]:
    async with database.write(business.id) as db:
        await events.number(db)
    return await _ids(database, business, customer)


async def test_a_worker_killed_before_it_records_tells_it_again_under_the_same_id(
    clocked: Database,
    business: Business,
    there: Receiver,
    clock: Clock,
    shared_cluster: Cluster,
) -> None:
    endpoint, _ = await added(clocked, business, there, RECORDED)
    await _tell(clocked, business, NORA, "once")
    await _ids_numbered(clocked, business, NORA)
    async with clocked.write(business.id) as db:
        await db.run(jobs.sql.wake_endpoints)
    holds = asyncio.Event()
    there.answer = lambda _: Reply(200, holds=holds)
    worker = forked(stopped.tell, shared_cluster.app_url, str(business.id), str(endpoint.id))
    await there.came.wait()
    worker.kill()
    await ended(worker)
    holds.set()
    there.answer = lambda _: Reply(200)
    # Whoever comes meanwhile finds it taken.
    await turn(clocked, business, endpoint)
    assert len(there.heard) == 1
    clock.move(telling.LEASE + timedelta(minutes=1))
    await turn(clocked, business, endpoint)
    assert there.heard[0].id == there.heard[1].id
    async with clocked.read(business.id) as db:
        (post,) = await webhooks.posts(db, endpoint.id)
    assert (post.state, post.attempts) == ("told", 1)


async def test_a_worker_that_is_stopped_leaves_it_to_the_next_one_at_once(
    clocked: Database, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(clocked, business, there, RECORDED)
    await _tell(clocked, business, NORA, "once")
    holds = asyncio.Event()
    there.answer = lambda _: Reply(200, holds=holds)
    worker = asyncio.create_task(turn(clocked, business, endpoint))
    await there.came.wait()
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    holds.set()
    there.answer = lambda _: Reply(200)
    await turn(clocked, business, endpoint)
    assert there.heard[0].id == there.heard[1].id


async def test_a_worker_that_was_only_slow_records_nothing(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    endpoint, _ = await added(clocked, business, there, RECORDED)
    await _tell(clocked, business, NORA, "once")
    await _ids_numbered(clocked, business, NORA)
    async with clocked.write(business.id) as db:
        await db.run(jobs.sql.wake_endpoints)
        slow = await telling.take(db, endpoint.id)
        assert slow is not None
        batch = await telling.go_on(db, slow, [])
    assert batch is not None
    clock.move(telling.LEASE)
    await jobs.tell(ctx(clocked), str(business.id), str(endpoint.id))
    went = [telling.Went(batch.posts[0], Answer(status=500))]
    async with clocked.write(business.id) as db:
        assert await telling.go_on(db, slow, went) is None
        (post,) = await webhooks.posts(db, endpoint.id)
    assert (post.state, len(there.heard)) == ("told", 1)


async def test_nothing_is_lost_when_redis_and_wakes_are(
    own_database: Database, there: Receiver
) -> None:
    """Numbers come by the sweep, whatever the order of commits; a late one comes after."""
    business = await make.business(own_database)
    endpoint, _ = await added(own_database, business, there, RECORDED)
    async with own_database.write(business.id) as slow:
        await happened(slow, NORA, "began first")
        await _tell(own_database, business, ZOE, "committed first")
        await jobs.sweep(ctx(own_database))
        await jobs.tell(ctx(own_database), str(business.id), str(endpoint.id))
        assert [len(_of(there, each)) for each in (NORA, ZOE)] == [0, 1]
    await jobs.sweep(ctx(own_database))
    await jobs.tell(ctx(own_database), str(business.id), str(endpoint.id))
    assert [len(_of(there, each)) for each in (NORA, ZOE)] == [1, 1]


async def test_410_switches_it_off_and_owners_are_told(
    database: Database, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there, RECORDED)
    async with database.write(business.id) as db:
        await make.employ(db, "olga@bakery.example")
        await happened(db, NORA, "first", "second")
    there.answer = lambda _: Reply(410)
    await turn(database, business, endpoint)
    found = await reload(database, business, endpoint)
    assert (found.state, found.off_why, found.waiting) == ("off", "gone", 2)
    # What happens meanwhile waits; switched on, all of it goes in its order.
    there.answer = lambda _: Reply(200)
    await _tell(database, business, NORA, "third")
    await turn(database, business, endpoint)
    assert len(there.heard) == 1
    async with database.write(business.id) as db:
        await webhooks.switch(db, SYSTEM, endpoint.id, on=True)
    await turn(database, business, endpoint)
    assert _of(there, NORA)[1:] == await _ids(database, business, NORA)
    async with database.read(business.id) as db:
        letters = await db.many(_LETTERS, str)
    assert letters == ["olga@bakery.example"]


async def test_long_failure_switches_it_off_and_one_poisonous_event_does_not(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    endpoint, _ = await added(clocked, business, there, RECORDED)
    await _tell(clocked, business, NORA, "poison")
    poison = (await _ids_numbered(clocked, business, NORA))[0]
    there.answer = lambda heard: Reply(500 if heard.id == poison else 200)
    await turn(clocked, business, endpoint)
    await _tell(clocked, business, ZOE, "taken")
    for _ in range(9):
        clock.move(timedelta(hours=27))
        await turn(clocked, business, endpoint)
    assert len([each for each in there.heard if each.id == poison]) == 10
    async with clocked.read(business.id) as db:
        states = {str(each.event_id): each.state for each in await webhooks.posts(db, endpoint.id)}
    assert states[poison] == "failed"
    assert (await reload(clocked, business, endpoint)).is_on

    clock.move(timedelta(hours=1))
    there.answer = lambda _: Reply(503)
    await _tell(clocked, business, NORA, "nothing is taken")
    await turn(clocked, business, endpoint)
    for _ in range(9):
        clock.move(timedelta(hours=27))
        await turn(clocked, business, endpoint)
    found = await reload(clocked, business, endpoint)
    assert (found.state, found.off_why, found.waiting) == ("off", "failing", 1)


async def test_whoever_asks_for_a_rest_has_it(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    endpoint, _ = await added(clocked, business, there, RECORDED)
    await _tell(clocked, business, NORA, "first")
    there.answer = lambda _: Reply(429, {"retry-after": "600"})
    await turn(clocked, business, endpoint)
    await _tell(clocked, business, ZOE, "meanwhile")
    clock.move(timedelta(seconds=590))
    await turn(clocked, business, endpoint)
    assert len(there.heard) == 1
    there.answer = lambda _: Reply(200)
    clock.move(timedelta(seconds=10))
    await turn(clocked, business, endpoint)
    assert len(there.heard) == 3


async def test_what_failed_often_is_asked_with_one_post_until_it_takes_one(
    clocked: Database, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(clocked, business, there, RECORDED)
    for _ in range(30):
        await _tell(clocked, business, uuid4(), "waits")
    async with clocked.write(business.id) as db:
        await events.number(db)
        await db.run(jobs.sql.wake_endpoints)
        held = await telling.take(db, endpoint.id)
        assert held is not None
        batch = await telling.go_on(db, held, [])
        sizes = []
        for status in (500, 500, 500, 500, 500, 200):
            assert batch is not None
            went = [telling.Went(batch.posts[0], Answer(status=status))]
            batch = await telling.go_on(db, held, went)
            sizes.append(len(batch.posts) if batch else 0)
    assert sizes == [16, 16, 16, 16, 1, 16]


async def test_an_answer_of_any_depth_is_an_answer(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    """What one says keeps none of its round from being recorded."""
    endpoint, _ = await added(clocked, business, there, RECORDED)
    for her, what in ((NORA, "first"), (NORA, "second"), (ZOE, "hers")):
        await _tell(clocked, business, her, what)
    deep = Reply(200, body=b'{"x":' + b"[" * 4000)
    there.answer = lambda heard: deep if heard.told["data"]["customer_id"] == str(NORA) else Reply()
    for _ in range(2):
        await turn(clocked, business, endpoint)
        clock.move(timedelta(minutes=2))
    async with clocked.read(business.id) as db:
        states = [each.state for each in await webhooks.posts(db, endpoint.id)]
    assert (len(there.heard), states) == (3, ["told"] * 3)


async def test_a_redirect_is_not_followed_and_little_is_heard(
    database: Database, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there, RECORDED)
    await _tell(database, business, NORA, "redirected")
    there.answer = lambda _: Reply(307, {"location": there.url}, b"x" * 5_000_000)
    await turn(database, business, endpoint)
    assert len(there.heard) == 1
    async with database.read(business.id) as db:
        (tried,) = await webhooks.tries(db, endpoint.id)
    assert (tried.status, tried.trouble, tried.arrived) == (307, "redirect", False)


async def test_a_replaced_secret_signs_beside_the_new_one_for_a_while(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    endpoint, former = await added(clocked, business, there, RECORDED)
    async with clocked.write(business.id) as db:
        found, new = await webhooks.rotate(db, SYSTEM, endpoint.id, timedelta(days=1))
    assert found.former_secret_ends_at == clock.now + timedelta(days=1)
    await _tell(clocked, business, NORA, "both")
    await turn(clocked, business, endpoint)
    _check(there.heard[-1], clock, former, new)
    clock.move(timedelta(days=1))
    await _tell(clocked, business, NORA, "the new one alone")
    await turn(clocked, business, endpoint)
    _check(there.heard[-1], clock, new)
    with pytest.raises(BadSignature):
        _check(there.heard[-1], clock, former)


async def test_where_no_secret_can_be_read_nothing_goes_until_there_is_a_new_one(
    database: Database, shared_cluster: Cluster, business: Business, there: Receiver
) -> None:
    """Never unsigned: what happens waits."""
    endpoint, _ = await added(database, business, there, RECORDED)
    await _tell(database, business, NORA, "waits")
    others = structs.replace(KEYS, storage_keys=((2, b"t" * 32),))
    async with open_database(shared_cluster.app_url, others) as rotated:
        with pytest.raises(KeyWrong):
            await turn(rotated, business, endpoint)
        assert there.heard == []
        async with rotated.write(business.id) as db:
            _, new = await webhooks.rotate(db, SYSTEM, endpoint.id)
            await db.run(_FREED, endpoint_id=endpoint.id)
        await turn(rotated, business, endpoint)
    (heard,) = there.heard
    verify(new, heard.headers, heard.body, now=database.clock().timestamp())


def _check(heard: Heard, clock: Clock, *secrets: str) -> None:
    for each in secrets:
        verify(each, heard.headers, heard.body, now=clock.now.timestamp())


async def test_told_once_more_it_is_the_same(
    database: Database, business: Business, there: Receiver
) -> None:
    begun = database.clock()
    endpoint, _ = await added(database, business, there, RECORDED)
    await _tell(database, business, NORA, "first", "second")
    await turn(database, business, endpoint)
    first, second = (each.id for each in there.heard)
    async with database.write(business.id) as db:
        await webhooks.replay(db, SYSTEM, endpoint.id, UUID(second))
    await turn(database, business, endpoint)
    assert [each.id for each in there.heard] == [first, second, second]
    async with database.write(business.id) as db:
        await webhooks.replay_since(db, SYSTEM, endpoint.id, begun)
    await turn(database, business, endpoint)
    assert [each.id for each in there.heard] == [first, second, second, first, second]
    async with database.write(business.id) as db:
        with pytest.raises(UnknownPost):
            await webhooks.replay(db, SYSTEM, endpoint.id, uuid4())


async def test_since_an_instant_is_all_since_then_whatever_was_committed_late(
    database: Database, business: Business, there: Receiver
) -> None:
    """A long transaction is numbered last, though its events have the earlier ids."""
    endpoint, _ = await added(database, business, there, RECORDED)
    async with database.write(business.id) as slow:
        await happened(slow, NORA, "began first")
        await _tell(database, business, ZOE, "committed first")
        await turn(database, business, endpoint)
    await turn(database, business, endpoint)
    first = [each.id for each in there.heard]
    # A minute is allowed for clocks that differ.
    since = instant_of(UUID(first[1])) + timedelta(minutes=1)
    async with database.write(business.id) as db:
        await webhooks.replay_since(db, SYSTEM, endpoint.id, since)
    await turn(database, business, endpoint)
    assert [each.id for each in there.heard] == first * 2


async def test_a_test_goes_to_the_one_that_is_tested(
    database: Database, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there, RECORDED)
    other, _ = await added(database, business, there)
    async with database.write(business.id) as db:
        await webhooks.try_out(db, SYSTEM, endpoint.id)
    await turn(database, business, endpoint)
    assert there.kinds == ["webhook.tested"]
    await turn(database, business, other)
    assert there.kinds.count("webhook.tested") == 1


async def test_a_name_that_leads_into_a_private_network_is_not_asked(
    database: Database, business: Business, there: Receiver
) -> None:
    """Also where a name was public when it was entered: each connection is looked at."""
    endpoint, _ = await added(database, business, there, RECORDED)
    await _tell(database, business, NORA, "nowhere")
    await _ids_numbered(database, business, NORA)
    async with database.write(business.id) as db:
        await db.run(jobs.sql.wake_endpoints)
    await jobs.tell(ctx(database, local=False), str(business.id), str(endpoint.id))
    assert there.heard == []
    async with database.read(business.id) as db:
        (tried,) = await webhooks.tries(db, endpoint.id)
    assert (tried.status, tried.trouble) == (None, "name_private")


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/events",
        "https://localhost/events",
        "https://127.0.0.1/events",
        "https://[::1]/events",
        "https://[::ffff:10.0.0.1]/events",
        "https://10.1.2.3/events",
        "https://169.254.169.254/latest/meta-data",
        "https://[64:ff9b::a9fe:a9fe]/latest/meta-data",
        "https://224.0.0.1/events",
        "https://user:secret@shop.example/",
        "https://shop.example/#part",
        "https://shop.example:0/",
        "https://shop.example:99999/",
        "https://shop.example\\@10.0.0.1/",
        "https://shop.exa mple/",
        "https://bäckerei.example/",
        "ftp://shop.example/",
        "https:///events",
    ],
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(NotAnEndpoint):
        checked(NewEndpoint(name="Shop", url=url), local=False)


def test_the_schedule_is_that_of_the_specification(clock: Clock) -> None:
    seconds = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    waits = [next_try(attempts, clock.now, 0) for attempts in range(1, 11)]
    assert waits == [*(clock.now + timedelta(seconds=each) for each in seconds), None]
    assert next_try(2, clock.now, 1) == clock.now + timedelta(seconds=330)


async def test_numbers_go_on_above_those_that_a_lost_time_has_given(
    database: Database, business: Business, there: Receiver
) -> None:
    """Whoever had followed further than the backup goes misses nothing after a restore."""
    endpoint, _ = await added(database, business, there, RECORDED)
    async with database.write(business.id) as db:
        await events.number(db)
        lost = (await events.following(db, limit=200))[-1].number + 1000
        await events.leap(db)
        await happened(db, NORA, "after the restore")
    await turn(database, business, endpoint)
    async with database.read(business.id) as db:
        (found,) = await events.following(db, after=lost)
    assert there.heard[-1].id == str(found.id)


async def test_a_business_has_so_many_endpoints(database: Database, business: Business) -> None:
    """Each event is a post for each of them."""
    new = NewEndpoint(name="Shop", url="https://shop.example/events")
    async with database.write(business.id) as db:
        for _ in range(MOST):
            await webhooks.add(db, SYSTEM, new, local=False)
        with pytest.raises(TooManyEndpoints):
            await webhooks.add(db, SYSTEM, new, local=False)
