"""Whatever breaks, a message goes once or says that it may have; and nobody waits for another."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from crm import above, mail
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database, Db
from crm.mail import NewServicePurpose, carrying, jobs, service
from crm.mail.carrying import AT_ONCE, Carrier, turn
from crm.mail.outcome import Outcome
from crm.mail.service import ClaimedMessage
from crm.service import NewServiceMessage, send
from tests import make
from tests.browser import Browser
from tests.campaigns.test_killed import environ
from tests.campaigns.test_relays import relay as entered
from tests.campaigns.test_send import settings
from tests.commands import process
from tests.conftest import KEYS, Cluster
from tests.service.site import DECLARED, asked, carried, declare, read, sent, stands
from tests.smtpd import Fault, Smtpd, smtpd


def later(database: Database, wait: timedelta) -> Database:
    """The database as it is so much later."""

    def clock() -> datetime:
        return database.clock() + wait

    return Database(database.connections, database.keys, database.wake, clock)


async def waiting(database: Database, business: Business, count: int, *, to: int = 1) -> list[UUID]:
    """Have messages wait, each customer getting as many as the next."""
    declared = NewServicePurpose(**DECLARED)  # type: ignore[arg-type]
    ids = []
    async with database.write(business.id) as db:
        await mail.declare_service_purpose(db, make.SYSTEM, "order_confirmation", declared)
        people = [await make.customer(db, address=f"r{n}@example.com") for n in range(to)]
        for number in range(count):
            new = NewServiceMessage(
                purpose="order_confirmation",
                subject=f"Order {number}",
                text="Thank you.",
                customer=people[number % to].id,
            )
            ids.append((await send(db, make.SYSTEM, new)).id)
    return ids


def message_ids(relay: Smtpd) -> Counter[str]:
    """Count what the relay took, by Message-ID."""
    return Counter(str(read(each.content)["message-id"]) for each in relay.messages)


async def cut_off(
    database: Database, business: Business, relay: Smtpd, heard: str, step: str, *, accept: bool
) -> None:
    """Hand over as a worker does, and be gone for good while the relay owes an answer."""
    never = asyncio.Event()
    relay.fails(step, Fault(until=never, accept=accept))
    running = asyncio.create_task(turn(database, business.id, settings(relay.port)))
    await relay.until_heard(heard)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    never.set()


async def test_killed_before_the_relay_heard_of_it(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """Nobody can have it yet, so another worker hands it over."""
    await declare(api)
    message_id = await sent(api, customer)
    async with smtpd() as relay:
        await cut_off(database, business, relay, "EHLO", "ehlo", accept=False)
        held = await stands(api, message_id)
        await carried(database, business, relay)
        still = await stands(api, message_id)
        await carried(later(database, timedelta(minutes=2)), business, relay)
        went = await stands(api, message_id)

    assert (held["state"], still["state"]) == ("sending", "sending")
    assert (went["state"], went["attempts"]) == ("sent", 2)
    assert list(message_ids(relay).values()) == [1]


@pytest.mark.parametrize(("step", "heard"), [("mail", "MAIL"), ("rcpt", "RCPT"), ("dot", ".")])
async def test_killed_when_the_relay_may_have_it(  # noqa: PLR0917
    database: Database, business: Business, api: Browser, customer: Customer, step: str, heard: str
) -> None:
    """It is not handed over again, and says so; the business decides."""
    await declare(api)
    message_id = await sent(api, customer)
    async with smtpd() as relay:
        await cut_off(database, business, relay, heard, step, accept=step == "dot")
        for wait in (timedelta(minutes=2), timedelta(minutes=16), timedelta(hours=2)):
            await carried(later(database, wait), business, relay)
        told = await stands(api, message_id)
        events = (await api.get("/v1/events?limit=100")).json()["rows"]

    assert (told["state"], told["reply"]) == ("uncertain", "interrupted")
    assert max(message_ids(relay).values(), default=0) <= 1
    ended = [each for each in events if each["kind"] == "service_message.uncertain"]
    assert [each["ref"] for each in ended] == [message_id]


async def test_an_answer_that_is_lost_is_told(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """The relay took it and the connection broke: it is not sent again."""
    await declare(api)
    message_id = await sent(api, customer)
    async with smtpd() as relay:
        relay.fails("dot", Fault(drop=True, accept=True))
        await carried(database, business, relay)
        await carried(later(database, timedelta(hours=1)), business, relay)
    told = await stands(api, message_id)

    assert (told["state"], told["reply"]) == ("uncertain", "connection_lost")
    assert list(message_ids(relay).values()) == [1]


async def test_a_relay_that_is_busy_is_tried_again_for_a_day(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """Each time with what it said; after a day nobody waits for it any more."""
    await declare(api)
    soon, never = await sent(api, customer), await sent(api, customer)
    async with smtpd() as relay:
        relay.fails("rcpt", *["451 4.3.2 Busy"] * 2)
        await carried(database, business, relay)
        waits = await stands(api, soon)
        relay.fails("rcpt", *["451 4.3.2 Busy"] * 1)
        await carried(later(database, timedelta(hours=25)), business, relay)
    ended = {(await stands(api, each))["state"] for each in (soon, never)}

    assert (waits["state"], waits["code"], waits["done_at"]) == ("waiting", 451, None)
    assert waits["next_at"]
    assert ended == {"sent", "failed"}


async def test_whose_lease_ended_hands_nothing_over(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """A worker that slept while another took it over finds that out before the relay hears."""
    await declare(api)
    await sent(api, customer)
    async with database.write(business.id) as db:
        (slept,), _ = await service.claim(db, 1)
    later_on = later(database, timedelta(minutes=2))
    async with later_on.write(business.id) as db:
        (taken,), _ = await service.claim(db, 1)
        await service.hand_over(db, taken)
    async with later_on.write(business.id) as db:
        with pytest.raises(service.TakenElsewhere):
            await service.hand_over(db, slept)


async def test_a_flood_starves_neither_others_nor_ways_in(own_database: Database) -> None:
    """A business with few messages has its turn beside one with many; letters pass all of them."""
    many = await make.business(own_database)
    few = await make.business(own_database, sender_address="shop@few.example")
    flood = await waiting(own_database, many, 6 * AT_ONCE, to=5)
    await waiting(own_database, few, 3)
    async with own_database.write(many.id) as db:
        her = await make.customer(db, address="in@example.com")
        letter = mail.Letter(
            kind=mail.LetterKind.sign_in, address=her.address,
            address_hash=KEYS.address_hash(many.id, her.address), customer_id=her.id,
            subject="Sign in", text="Sign in", html="<p>Sign in</p>", locale="en",
        )  # fmt: skip
        await mail.post_letter(db, letter)
    async with smtpd() as relay:
        ctx: jobs.Ctx = {"database": own_database, "settings": settings(relay.port)}
        await jobs.deliver(ctx, str(many.id))
        first = relay.accepted()
        await jobs.carry(ctx)
    order = [str(read(each.content)["from"].addresses[0].domain) for each in relay.messages]

    assert first == ["in@example.com"]
    assert len(order) == 1 + len(flood) + 3
    # Beside the first turns of the other, not behind the last.
    assert max(place for place, each in enumerate(order) if each == "few.example") < 5 * AT_ONCE
    assert set(message_ids(relay).values()) == {1}


async def test_a_relay_that_hangs_holds_up_its_own_business_only(own_database: Database) -> None:
    """The others' go meanwhile; when it answers, so does its own."""
    slow, fast = [await make.business(own_database) for _ in range(2)]
    hangs = asyncio.Event()
    async with smtpd() as tar, smtpd() as relay:
        await entered(own_database, slow, tar.port)
        await entered(own_database, fast, relay.port)
        await waiting(own_database, slow, 1)
        await waiting(own_database, fast, 3)
        tar.fails("greeting", Fault(until=hangs))
        running = asyncio.create_task(Carrier(own_database, settings(1)).carry())
        await relay.until_heard(".", 3)
        waits, still = len(tar.messages), not running.done()
        hangs.set()
        await running

    assert (waits, still) == (0, True)
    assert (len(relay.messages), len(tar.messages)) == (3, 1)


async def test_a_worker_that_is_stopped_waits_for_the_answer(own_database: Database) -> None:
    """Nothing is in doubt then that the relay answers within a moment."""
    business = await make.business(own_database)
    (message_id,) = await waiting(own_database, business, 1)
    held = asyncio.Event()
    async with smtpd() as relay:
        relay.fails("dot", Fault(until=held))
        running = asyncio.create_task(Carrier(own_database, settings(relay.port)).carry())
        await relay.until_heard(".")
        running.cancel()
        asyncio.get_running_loop().call_soon(held.set)
        with suppress(asyncio.CancelledError):
            await running
    async with own_database.read(business.id) as db:
        told = await mail.service_message(db, message_id)

    assert told.state == "sent"


async def test_a_look_that_fails_cuts_off_nothing(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on its way stays so, and others' turns come at the next look."""
    slow, other = [await make.business(own_database) for _ in range(2)]
    (first,) = await waiting(own_database, slow, 1)
    held, looked = asyncio.Event(), asyncio.Event()
    looks, look = 0, above.businesses_with_service_messages

    async def looking(database: Database) -> list[UUID]:
        nonlocal looks
        looks += 1
        if looks == 2:
            looked.set()
            raise asyncpg.AdminShutdownError("terminating connection")
        return await look(database)

    monkeypatch.setattr(above, "businesses_with_service_messages", looking)
    monkeypatch.setattr(carrying, "_REST", 0.01)
    monkeypatch.setattr(carrying, "_GRACE", 0.0)
    async with smtpd() as relay:
        relay.fails("dot", Fault(until=held))
        running = asyncio.create_task(Carrier(own_database, settings(relay.port)).carry())
        await relay.until_heard(".")
        await looked.wait()
        (second,) = await waiting(own_database, other, 1)
        heard = asyncio.create_task(relay.until_heard(".", 2))
        await asyncio.wait({running, heard}, return_when=asyncio.FIRST_COMPLETED)
        held.set()
        await running
    told = [await _state(own_database, slow, first), await _state(own_database, other, second)]
    assert told == ["sent", "sent"]


async def test_what_became_of_a_message_is_written_by_another_connection(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one ends; and one of which it cannot be written costs no other its word."""
    business = await make.business(own_database)
    ids = await waiting(own_database, business, 3)
    record, tried = service.record, Counter[UUID]()

    async def recorded(db: Db, message: ClaimedMessage, outcome: Outcome) -> None:
        tried[message.message_id] += 1
        if message.message_id == ids[0]:
            raise ZeroDivisionError
        if tried[message.message_id] == 1:
            raise asyncpg.AdminShutdownError("terminating connection")
        await record(db, message, outcome)

    monkeypatch.setattr(service, "record", recorded)
    async with smtpd() as relay:
        assert not await turn(own_database, business.id, settings(relay.port))
    states = [await _state(own_database, business, each) for each in ids]
    assert (states, len(relay.messages)) == (["sending", "sent", "sent"], 3)


async def _state(database: Database, business: Business, message_id: UUID) -> str:
    async with database.read(business.id) as db:
        return (await mail.service_message(db, message_id)).state


async def test_a_worker_that_is_killed(
    own_database: Database, own_cluster: Cluster, redis_url: str, tmp_path: object
) -> None:
    """A real one, by SIGKILL with a content in the relay's hands: nothing arrives twice."""
    assert asked(None)
    business = await make.business(own_database)
    ids = await waiting(own_database, business, 3)
    redis = Redis.from_url(redis_url)
    async with smtpd() as relay:
        relay.fails("dot", Fault(until=asyncio.Event(), accept=True))
        plain = environ(own_cluster, redis_url, relay, tmp_path)  # type: ignore[arg-type]
        async with process("worker", environ=plain) as running:
            async with asyncio.timeout(60):
                await relay.until_heard(".", 3)
            running.kill()
        await redis.flushall()
        await carried(later(own_database, timedelta(minutes=16)), business, relay)
    await redis.aclose()
    async with own_database.read(business.id) as db:
        states = Counter([(await mail.service_message(db, each)).state for each in ids])

    assert max(message_ids(relay).values()) == 1
    assert states["uncertain"] >= 1
    assert states["uncertain"] + states["sent"] == 3
