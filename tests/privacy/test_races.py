"""Whatever is written of a customer while she is erased is refused, or gone with the next sweep."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from structlog.testing import capture_logs

from crm import access, consent, customers, events, privacy, rhythm, staff
from crm.access import jobs as access_jobs
from crm.access import new_address
from crm.consent import Method
from crm.consent import jobs as consent_jobs
from crm.customers import Changes, NewInteraction, NewReply
from crm.db import Database, Db, open_database
from crm.errors import Refused
from crm.inbound import jobs as inbound_jobs
from crm.mail import jobs as mail_jobs
from crm.privacy import Fingerprint, NewRequest, RequestKind, brought, requests, restriction
from crm.privacy import jobs as privacy_jobs
from crm.privacy.brought.foreign import Brought
from crm.privacy.requests.model import Proof, Way
from crm.rhythm import Wanted
from crm.staff import jobs as staff_jobs
from crm.tokens import Stop
from crm.trust import jobs as trust_jobs
from tests import make
from tests.alone import Alone
from tests.campaigns.test_send import settings
from tests.conftest import KEYS, Cluster
from tests.privacy.life import Life, erase_traces, sign_up

T = TypeVar("T")

Write = Callable[[Db, Life], Awaitable[Any]]

# Of these the row stays, and what it says is on the certificate.
_STAY = {"customer", "delivery", "erasure"}


async def _request(db: Db, her: Life) -> None:
    new = NewRequest(kind=RequestKind.access, customer_id=her.customer.id, words="All of it.")
    await requests.receive(db, her.member.actor, new, way=Way.letter, proof=Proof.person)


async def _give(db: Db, her: Life) -> None:
    word = await make.own_word(db, her.customer.id)
    await consent.give(db, her.actor, her.customer.id, her.notice.question, word)


async def _session(db: Db, her: Life) -> None:
    await access.open_session(db, await make.entered(db, her.customer.id))


async def _bring(db: Db, her: Life) -> None:
    told = Brought("letters", db.now, "Old Bakery", {"subject": "Late", "kind": "notice"})
    await brought.bring(db, her.customer.id, told, "Too late")


WRITES: dict[str, Write] = {
    "rhythm": lambda db, her: rhythm.change(db, her.customer.id, Wanted(2)),
    "digest": lambda db, her: rhythm.choose_digest(
        db, her.customer.id, her.notice.purpose_id, weekly=True
    ),
    "details": lambda db, her: customers.change(
        db, her.actor, her.customer.id, Changes(name="Nora L.")
    ),
    "attribute": lambda db, her: customers.set_attributes(
        db, her.member.actor, her.customer.id, {"usual_shop": "Mill Lane"}
    ),
    "purchase": lambda db, her: customers.interact(
        db, her.member.actor, her.customer.id, NewInteraction(kind="purchase", title="Rye")
    ),
    "note": lambda db, her: customers.note(db, her.member.actor, her.customer.id, "Rang again"),
    "reply": lambda db, her: customers.reply(
        db,
        her.customer.id,
        NewReply(subject="Rye?", text="On Sundays?", message_id="<a@b.c>"),
    ),
    "reason": lambda db, her: staff.give_reason(
        db, her.member, her.customer.id, "answering your question"
    ),
    "look": lambda db, her: events.look(db, her.member.actor, [her.customer.id], "list"),
    "file": lambda db, her: consent.add_file(
        db, her.member.actor, her.customer.id, "form.jpg", b"A photograph"
    ),
    "yes": _give,
    "no": lambda db, her: consent.withdraw(
        db, her.actor, her.customer.id, her.notice.purpose_id, method=Method.portal
    ),
    "leaving": lambda db, her: access.leave(
        db,
        Stop(
            db.business_id,
            db.keys.address_hash(db.business_id, customers.fold(her.customer.address)),
            None,
        ),
        method=Method.one_click,
    ),
    "move": lambda db, her: new_address.ask(
        db, her.customer, customers.parse("new.nora@example.com")
    ),
    "way in": lambda db, her: access.send_link(
        db, customers.parse(her.customer.address), "a browser"
    ),
    "session": _session,
    "sign-up": lambda db, her: access.start(db, sign_up(her.customer.address, "Nora", her.notice)),
    "copy": lambda db, her: privacy.ask(db, her.actor, her.customer.id),
    "request": _request,
    "freeze": lambda db, her: privacy.freeze_herself(db, her.customer),
    "end": lambda db, her: restriction.announce(db, her.member.actor, her.customer.id),
    "wish": lambda db, her: privacy.plan(db, her.customer, Fingerprint.keep),
    "objection": lambda db, her: privacy.object_herself(db, her.customer),
    "brought": _bring,
}


# These are taken whatever else is under way.
_LEAVE = {"no", "leaving"}

# Of what is done about one customer at the same moment, in another order each time.
_ROUNDS = 5

# What runs by itself, and what a woken worker does for one business.
_JOBS: list[Callable[[Any], Coroutine[Any, Any, None]]] = [
    access_jobs.tidy,
    consent_jobs.lapse,
    consent_jobs.watch,
    inbound_jobs.tidy,
    mail_jobs.sweep,
    privacy_jobs.sweep,
    privacy_jobs.remind,
    privacy_jobs.retain,
    staff_jobs.sweep,
    trust_jobs.count,
]


class Once(Alone):
    """The same, where a deadlock that is tried again is one all the same."""

    async def attempt(self, business_id: UUID, act: Callable[[Db], Awaitable[T]]) -> T:
        """Try once."""
        async with self.write(business_id) as db:
            return await act(db)


async def _write(database: Database, her: Life, write: Write) -> None:
    async with database.write(her.business.id) as db:
        await write(db, her)


class _CalledOff(Exception):
    """She is there for the next round."""


async def _erase_for_a_moment(database: Database, her: Life) -> None:
    async def erase(db: Db) -> None:
        await privacy.erase(db, her.actor, her.customer.id)
        raise _CalledOff

    with suppress(_CalledOff):
        # One that PostgreSQL ends for the sake of another is begun anew, as by every job.
        await database.attempt(her.business.id, erase)


async def _until_all_wait(conn: asyncpg.Connection, tasks: list[asyncio.Task[None]]) -> None:
    """Ask the server until each of them is done or waits for a lock."""
    while True:
        waiting = await conn.fetchval("SELECT count(*) FROM pg_stat_activity "
                                      "WHERE wait_event_type = 'Lock'")  # fmt: skip
        if waiting >= sum(not task.done() for task in tasks):
            return


async def _rows(conn: asyncpg.Connection, her: Life) -> dict[str, int]:
    """Count what names her, in every table that has a column for that."""
    tables = await conn.fetch(
        "SELECT table_name FROM information_schema.columns "
        "WHERE table_schema = 'crm' AND column_name = 'customer_id' ORDER BY table_name"
    )
    left = {}
    for (table,) in tables:
        count = await conn.fetchval(
            f"SELECT count(*) FROM crm.{table} WHERE customer_id = $1",  # noqa: S608
            her.customer.id,
        )
        if count:
            left[table] = count
    return left


async def test_nothing_written_meanwhile_is_left(
    database: Database, shared_cluster: Cluster, nora: Life
) -> None:
    """By her in another tab, by staff, by a program, by what came in: all at the same moment."""
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    try:
        async with open_database(shared_cluster.app_url, KEYS, size=len(WRITES)) as beside:
            async with database.write(nora.business.id) as db:
                await privacy.erase(db, nora.actor, nora.customer.id)
                tasks = [
                    asyncio.create_task(_write(beside, nora, each)) for each in WRITES.values()
                ]
                await _until_all_wait(conn, tasks)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        async with database.write(nora.business.id) as db:
            await erase_traces(db)
        left = await _rows(conn, nora)
    finally:
        await conn.close()

    failed = {
        name: repr(error)
        for name, error in zip(WRITES, ended, strict=True)
        if error is not None and not isinstance(error, Refused)
    }
    assert failed == {}
    assert set(left) <= _STAY


async def test_no_job_meets_an_erasure_badly(
    database: Database, shared_cluster: Cluster, nora: Life
) -> None:
    """Each waits for it or goes around it, and records nothing of her that stays."""
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    try:
        async with open_database(shared_cluster.app_url, KEYS, size=2 * len(_JOBS)) as beside:
            ctx: Any = {"database": Once(beside, nora.business.id), "settings": settings(1)}
            with capture_logs() as logs:
                async with database.write(nora.business.id) as db:
                    await privacy.erase(db, nora.actor, nora.customer.id)
                    tasks = [asyncio.create_task(job(ctx)) for job in _JOBS]
                    await _until_all_wait(conn, tasks)
                await asyncio.gather(*tasks)
        async with database.write(nora.business.id) as db:
            await erase_traces(db)
        left = await _rows(conn, nora)
    finally:
        await conn.close()

    assert [each for each in logs if each["event"] == "job_failed"] == []
    assert set(left) <= _STAY


async def test_nobody_waits_for_one_who_waits_for_him(shared_cluster: Cluster, nora: Life) -> None:
    """Whatever is done about a customer holds her row first, so that nothing ends in a deadlock.

    Her withdrawal least of all: it is taken whatever else is under way.
    """
    failed: list[str] = []
    async with open_database(shared_cluster.app_url, KEYS, size=12) as beside:
        ctx: Any = {"database": Once(beside, nora.business.id), "settings": settings(1)}
        for number in range(_ROUNDS):
            acts: list[tuple[str, Coroutine[Any, Any, None]]] = [
                *((name, _write(beside, nora, each)) for name, each in WRITES.items()),
                *(("no", _write(beside, nora, WRITES["no"])) for _ in range(3)),
                *(("erasure", _erase_for_a_moment(beside, nora)) for _ in range(4)),
                *((job.__module__, job(ctx)) for job in _JOBS),
            ]
            random.Random(number).shuffle(acts)
            with capture_logs() as logs:
                ended = await asyncio.gather(*(act for _, act in acts), return_exceptions=True)
            failed += [f"{each}" for each in logs if each["event"] == "job_failed"]
            failed += [
                f"{name}: {error!r} {getattr(error, 'detail', '')}"
                for (name, _), error in zip(acts, ended, strict=True)
                if error is not None and (name in _LEAVE or not isinstance(error, Refused))
            ]

    assert failed == []
