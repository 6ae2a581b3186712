"""One campaign through a series of faults; what must hold when it is over."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email import message_from_bytes
from uuid import UUID

import httpx2
from msgspec import Struct, field

from crm import campaigns, customers
from crm.businesses import Business
from crm.campaigns import Counts, DeliveryState, State
from crm.consent import Purpose
from crm.customers import Customer
from crm.db import BROKEN
from crm.events import Actor
from crm.tokens import Stop, stop_token
from tests import make
from tests.conftest import KEYS
from tests.faults.world import BATCH, CONNECTIONS, WORKERS, World
from tests.smtpd import Fault

Act = Callable[[World, random.Random], Awaitable[None]]


async def _worker(world: World, chance: random.Random) -> None:
    worker = chance.choice(world.workers)
    await worker.kill()
    await worker.start()


async def _web(world: World, _: random.Random) -> None:
    await world.web.kill()
    await world.web.start()


async def _relay_says(world: World, chance: random.Random) -> None:
    step, fault = chance.choice(SAID)
    world.relay.fails(step, *[fault] * chance.randint(1, 5))


async def _reset_relay(world: World, _: random.Random) -> None:
    world.to_relay.reset()


async def _reset_database(world: World, _: random.Random) -> None:
    world.to_database.reset()


async def _clock(world: World, chance: random.Random) -> None:
    chance.choice(world.workers).set_clock(chance.choice([-1, 1]))
    await asyncio.sleep(1.2)  # until it is looked at


async def _stall(world: World, chance: random.Random) -> None:
    step = chance.choice(["greeting", "ehlo", "mail", "rcpt", "data", "dot", "quit"])
    world.relay.fails(step, *[Fault(until=asyncio.Event())] * chance.randint(1, CONNECTIONS))


SAID: list[tuple[str, Fault | str]] = [
    ("greeting", "421 4.3.2 Busy"),
    ("greeting", "garbage"),
    ("ehlo", Fault(drop=True)),
    ("mail", "451 4.3.0 Later"),
    ("mail", "421 4.3.2 Closing"),
    ("rcpt", "450 4.2.0 Later"),
    ("rcpt", "421 4.3.2 Closing"),
    ("rcpt", "250-a\r\n251 b"),
    ("data", Fault(drop=True)),
    ("data", "250 What"),
    ("dot", "451 4.3.0 Later"),
    ("dot", "garbage"),
    ("dot", Fault(drop=True)),
    ("dot", Fault(drop=True, accept=True)),
    ("dot", Fault(drop=True, after=5)),
]
# As the first act it comes before the start; it is back when the campaign is over.
AWAY = "Valkey away to the end"
ACTS: dict[str, Act] = {
    "SIGKILL worker": _worker,
    "SIGKILL web": _web,
    "SIGKILL Valkey, away 1 s": lambda world, _: world.servers.kill_cache(1.0),
    "SIGKILL PostgreSQL": lambda world, _: world.servers.kill_database(),
    "PostgreSQL restarted": lambda world, _: world.servers.restart_database(),
    "relay cut": _reset_relay,
    "relay silent 1 s": lambda world, _: world.to_relay.black_hole(1.0),
    "relay slow": lambda world, _: world.to_relay.slow(1.0, 0.05),
    "relay misbehaves": _relay_says,
    "relay stalls": _stall,
    "database cut": _reset_database,
    "database silent 1 s": lambda world, _: world.to_database.black_hole(1.0),
    "database slow": lambda world, _: world.to_database.slow(1.0, 0.02),
    "disk full": lambda world, _: world.servers.fill_disk(2.0),
    "worker's clock jumps": _clock,
    AWAY: lambda world, _: world.servers.lose_cache(),
}


class Run(Struct):
    """What was done, and what came of it."""

    acts: list[str]
    business: Business
    purpose: Purpose
    campaign_id: UUID
    people: list[Customer]
    # How the delivery stood just after a withdrawal had been answered.
    answered: dict[str, DeliveryState] = field(default_factory=dict)
    # Withdrawals that were answered as if a fault were our mistake: nobody tries those again.
    bugs: int = 0
    cheap: Counts | None = None
    counted: Counts | None = None
    accepted: list[str] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)

    def wrong(self) -> list[str]:
        """Every promise that did not hold; empty when all did."""
        cheap, counted = self.cheap, self.counted
        assert cheap is not None
        assert counted is not None
        times = Counter(self.accepted)
        kills = self.acts.count("SIGKILL worker")
        per_kill = 2 * BATCH + CONNECTIONS
        others = (len(self.acts) - kills) * 5 * CONNECTIONS * WORKERS
        # Who left while the list was being written may still wait: the claim leaves her out.
        unclaimed = (DeliveryState.excluded, DeliveryState.waiting)
        gone = {who for who, state in self.answered.items() if state in unclaimed}
        found = {
            "the sum is not the audience": counted.audience != len(self.people),
            "counts and rows differ": any(
                getattr(cheap, state) != getattr(counted, state) for state in DeliveryState
            ),
            "somebody still waits": counted.waiting + counted.sending > 0,
            "somebody got it twice": any(count > 1 for count in times.values()),
            "a Message-ID was accepted twice": len(set(self.message_ids)) < len(self.message_ids),
            "the relay's log and the rows differ": not (
                counted.sent <= len(times) <= counted.sent + counted.uncertain
            ),
            "claimed after a withdrawal was answered": bool(gone & set(times)),
            "a fault was answered as a bug": self.bugs > 0,
            "more in doubt than allowed": counted.uncertain > kills * per_kill + others,
        }
        return [what for what, so in found.items() if so]


async def run(world: World, seed: int, names: list[str], size: int = 600) -> Run:
    """Send one campaign while these faults happen, one after the other, and people leave."""
    chance = random.Random(seed)
    before = len(world.relay.messages)
    if names[:1] == [AWAY]:
        await ACTS[AWAY](world, chance)
    done = await _started(world, names, size)
    leaving = asyncio.create_task(_leave(world, done, chance))
    try:
        for at, name in enumerate(names):
            heard = (at + 1) * size // (len(names) + 2)
            with suppress(TimeoutError):
                async with asyncio.timeout(8):
                    await world.relay.until_heard(".", before + heard)
            await ACTS[name](world, chance)
        async with asyncio.timeout(100):
            await _ended(world, done)
    finally:
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await world.servers.mend()
    messages = world.relay.messages[before:]
    done.accepted = [recipient for each in messages for recipient in each.recipients]
    done.message_ids = [message_from_bytes(each.content)["Message-ID"] for each in messages]
    return done


async def _started(world: World, names: list[str], size: int) -> Run:
    business = await make.business(world.database)
    async with world.database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        ids = await make.audience(db, notice, size, prefix=f"r{business.id.hex[:8]}-")
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, Actor.system(), campaign.id)
        known = await customers.of_ids(db, ids)
    return Run(names, business, purpose, campaign.id, [known[each] for each in sorted(ids)])


async def _leave(world: World, done: Run, chance: random.Random) -> None:
    """Customers press the link of a former mail until the campaign is over."""
    origin = f"http://127.0.0.1:{world.web_port}"
    host = {"host": done.business.origin.removeprefix("http://")}
    for customer in chance.sample(done.people, len(done.people)):
        hashed = KEYS.address_hash(done.business.id, customers.fold(customer.address))
        token = stop_token(KEYS, Stop(done.business.id, hashed, done.purpose.code))
        form = {"List-Unsubscribe": "One-Click"}
        try:
            async with httpx2.AsyncClient(base_url=origin, headers=host, timeout=5) as client:
                answer = await client.post(f"/u/{token}", data=form)
        except httpx2.HTTPError:
            await asyncio.sleep(0.2)
            continue
        done.bugs += answer.status_code == 500
        if answer.status_code == 200:
            done.answered[customer.address] = await _state(world, done, customer)
        await asyncio.sleep(0.05)


async def _state(world: World, done: Run, customer: Customer) -> DeliveryState:
    while True:
        with suppress(*BROKEN):
            async with world.database.read(done.business.id) as db:
                found = await campaigns.received_one(db, done.campaign_id, customer.id)
                return DeliveryState.excluded if found is None else found.state
        await asyncio.sleep(0.1)


async def _ended(world: World, done: Run) -> None:
    """Wait for the campaign to end by itself; what a relay puts off is made due at once."""
    while True:
        for process in (*world.workers, world.web):
            await process.ensure()
        with suppress(*BROKEN):
            async with world.database.write(done.business.id) as db:
                for statement in _DUE:
                    await db._conn.execute(statement, done.campaign_id)  # noqa: SLF001
                if (await campaigns.get(db, done.campaign_id)).state is State.done:
                    done.cheap = await campaigns.counts(db, done.campaign_id)
                    done.counted = await campaigns.recount(db, done.campaign_id)
                    return
        await asyncio.sleep(0.5)


# Nobody here waits five minutes for a second try.
_DUE = (
    "UPDATE crm.retry SET due_at = now() WHERE campaign_id = $1 AND due_at > now()",
    "UPDATE crm.lease SET due_at = now() WHERE campaign_id = $1 AND due_at > now() AND open",
)
