"""How service messages are handed over: each by itself, in bounded time, and not for ever."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from crm import mail, worker
from crm.businesses import Business
from crm.db import Database, Db, Transaction
from crm.mail import actions, jobs
from crm.mail.actions import post_written
from crm.mail.model import ClaimedLetter
from crm.mail.outcome import Outcome
from crm.mail.session import Limits
from tests import make
from tests.campaigns.test_send import settings
from tests.smtpd import Fault, smtpd


def later(database: Database, wait: timedelta) -> Database:
    """The database as it is so much later."""

    def clock() -> datetime:
        return database.clock() + wait

    return Database(database.connections, database.keys, database.wake, clock)


async def posted(database: Database, business: Business) -> str:
    """Have a letter wait for its customer; return to whom it goes."""
    async with database.write(business.id) as db:
        nora = await make.customer(db)
        address = nora.address or ""
        letter = mail.Letter(
            kind=mail.LetterKind.sign_in, address=address,
            address_hash=db.keys.address_hash(business.id, address), customer_id=nora.id,
            subject="Your way in", text="Here.", html="<p>Here.</p>", locale="en",
        )  # fmt: skip
        await mail.post_letter(db, letter)
    return address


async def stand(database: Database, business: Business) -> list[tuple[str, str]]:
    """Say where the letters of a business stand, and what was said last."""
    async with database.read(business.id) as db:
        rows = await db._conn.fetch(  # noqa: SLF001
            "SELECT state, coalesce(reply, '') AS reply FROM crm.service_message"
            " ORDER BY created_at, message_id"
        )
    return [(row["state"], row["reply"]) for row in rows]


@pytest.mark.parametrize("name", ["Bäckerei Öztürk", "The Corner Bakery of Mill Lane"])
async def test_service_messages_of_any_sender_go(database: Database, name: str) -> None:
    """Its name makes two lines of From, and what comes back still comes to its address."""
    business = await make.business(database, sender_name=name)
    address = await posted(database, business)
    async with smtpd() as server:
        ctx: jobs.Ctx = {"database": database, "settings": settings(server.port)}
        await jobs.deliver(ctx, str(business.id))
    (message,) = server.messages
    assert (message.sender, message.recipients) == (business.sender_address, [address])


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: Hello\r\n\r\nHello\r\n",
        b"From: Corner Bakery\r\n\r\nHello\r\n",
        b"From: <\xff@bakery.example>\r\n\r\nHello\r\n",
    ],
)
async def test_one_that_cannot_be_read_costs_no_other(
    database: Database, business: Business, content: bytes
) -> None:
    """It has failed, with a reason, and those claimed with it go."""
    async with database.write(business.id) as db:
        await post_written(
            db,
            mail.LetterKind.canary,
            address="canary@bakery.example",
            address_hash=db.keys.address_hash(business.id, "canary@bakery.example"),
            content=content,
        )
    address = await posted(database, business)
    async with smtpd() as server:
        await jobs.deliver(
            {"database": database, "settings": settings(server.port)}, str(business.id)
        )
    assert server.accepted() == [address]
    (broken, other) = await stand(database, business)
    assert (broken, other[0]) == (("failed", "bad_content"), "sent")


async def test_a_letter_to_a_slow_relay_ends(database: Database, business: Business) -> None:
    """It takes the mail, and each job is ended before it says so: not a copy for ever."""
    await posted(database, business)
    async with smtpd() as server:
        held = asyncio.Event()
        server.fails("dot", *[Fault(until=held, accept=True) for _ in range(20)])
        for hours in range(0, 10, 3):
            ctx: jobs.Ctx = {
                "database": later(database, timedelta(hours=hours)),
                "settings": settings(server.port),
            }
            running = asyncio.create_task(jobs.deliver(ctx, str(business.id)))
            waiting = asyncio.create_task(server.until_heard(".", hours // 3 + 1))
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            for each in (running, waiting):
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each
        held.set()
    assert sum(line.startswith("DATA") for _, line in server.commands) == 2
    assert await stand(database, business) == [("failed", "stale")]


async def test_one_that_waited_for_a_worker_is_tried(
    database: Database, business: Business
) -> None:
    """However old it is by then: nobody had it yet."""
    address = await posted(database, business)
    async with smtpd() as server:
        late = later(database, timedelta(days=1))
        await jobs.deliver({"database": late, "settings": settings(server.port)}, str(business.id))
    assert server.accepted() == [address]


async def test_a_slow_answer_keeps_no_other_from_being_written(
    database: Database, business: Business
) -> None:
    """Each is over when its own answer is there."""
    slow = await posted(database, business)
    for _ in range(3):
        await posted(database, business)
    async with smtpd() as server:
        held = asyncio.Event()
        server.fails_for(slow, "dot", Fault(until=held))
        ctx: jobs.Ctx = {"database": database, "settings": settings(server.port)}
        running = asyncio.create_task(jobs.deliver(ctx, str(business.id)))
        during: list[str] = []
        for _ in range(200):
            during = [state for state, _ in await stand(database, business)]
            if during.count("sent") == 3:
                break
            await asyncio.sleep(0.05)
        held.set()
        await running
        after = [state for state, _ in await stand(database, business)]
    assert (during, after) == (["sending", *["sent"] * 3], ["sent"] * 4)


class _CutOff(Database):
    """PostgreSQL ends one connection, as it is asked for the next letter in line after one went."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.connections, database.keys, database.wake, database.clock)
        self.looked = asyncio.Event()
        self._asked = 0

    def write(self, business_id: UUID) -> Transaction[Db]:
        """Fail at the third: a first look, what became of one letter, and the next look."""
        self._asked += 1
        if self._asked == 3:
            self.looked.set()
            raise asyncpg.AdminShutdownError("terminating connection")
        return super().write(business_id)


async def test_a_look_that_fails_cuts_off_nothing(database: Database, business: Business) -> None:
    """What is on the wire is written when the relay answers; then the job has failed."""
    slow, quick = await posted(database, business), await posted(database, business)
    broken, held = _CutOff(database), asyncio.Event()
    async with smtpd() as server:
        server.fails_for(slow, "dot", Fault(until=held))
        ctx: jobs.Ctx = {"database": broken, "settings": settings(server.port)}
        running = asyncio.create_task(jobs.deliver(ctx, str(business.id)))
        await broken.looked.wait()
        held.set()
        with pytest.raises(asyncpg.AdminShutdownError):
            await running
    assert sorted(server.accepted()) == sorted([slow, quick])
    assert [state for state, _ in await stand(database, business)] == ["sent", "sent"]


async def test_what_became_of_a_letter_is_written_by_another_connection(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one ends: the relay has the letter, and would get it again."""
    await posted(database, business)
    record, wrong = actions.record_letter, [asyncpg.AdminShutdownError("terminating connection")]

    async def recorded(db: Db, letter: ClaimedLetter, outcome: Outcome) -> None:
        if wrong:
            raise wrong.pop()
        await record(db, letter, outcome)

    monkeypatch.setattr(actions, "record_letter", recorded)
    async with smtpd() as server:
        ctx: jobs.Ctx = {"database": database, "settings": settings(server.port)}
        await jobs.deliver(ctx, str(business.id))
    assert (len(server.messages), [state for state, _ in await stand(database, business)]) == (
        1,
        ["sent"],
    )


async def test_what_has_no_answer_in_time_is_written_so(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay may have it; it is tried again after a while, not after a lease."""
    await posted(database, business)
    monkeypatch.setattr(jobs, "ANSWER", 0.3)
    async with smtpd() as server:
        held = asyncio.Event()
        server.fails("dot", Fault(until=held, accept=True))
        ctx: jobs.Ctx = {"database": database, "settings": settings(server.port)}
        await jobs.deliver(ctx, str(business.id))
        held.set()
    assert await stand(database, business) == [("waiting", "connection_lost")]


async def test_a_relay_that_does_not_answer_holds_up_its_own_business(
    own_database: Database,
) -> None:
    """The next sweep leaves it alone, and what is due of others goes meanwhile."""
    slow, other = [await make.business(own_database) for _ in range(2)]
    stuck = await posted(own_database, slow)
    answer = asyncio.Event()
    async with smtpd() as server:
        server.fails_for(stuck, "dot", Fault(until=answer, accept=True))
        ctx: jobs.Ctx = {"database": own_database, "settings": settings(server.port)}
        first = asyncio.create_task(jobs.sweep(ctx))
        await server.until_heard(".", 1)
        await posted(own_database, other)
        await jobs.sweep(ctx)
        meanwhile = [
            state for each in (slow, other) for state, _ in await stand(own_database, each)
        ]
        answer.set()
        await first
        afterwards = [state for state, _ in await stand(own_database, slow)]

    assert (meanwhile, afterwards) == (["sending", "sent"], ["sent"])
    assert ctx["sweeping"] == set()


def test_letters_are_over_before_their_job_and_their_lease() -> None:
    """A job that is ended, or a lease, would leave nothing written of what a relay has."""
    known = worker._all()  # noqa: SLF001
    ends = min(known[name][1] for name in ("mail.deliver", "mail.sweep"))
    # Then the relay is told goodbye, and what became of it is written.
    answered = jobs.ANSWER + Limits().quit + 5
    assert ends > jobs.CLAIMING + answered
    assert actions.LEASE.total_seconds() > answered
