"""What can happen to a deletion: a freeze that ends, another tab, a worker, somebody faster."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from crm import access, consent, customers, events, mail, privacy
from crm.businesses import Business
from crm.customers import Customer, UnknownCustomer
from crm.db import Database, Db
from crm.events import Actor, Kind
from crm.mail import Scope, Why
from crm.mail.actions import claim_letters
from crm.privacy import (
    GRACE,
    Fingerprint,
    NewRequest,
    NothingToCallOff,
    RequestKind,
    jobs,
    requests,
    restriction,
)
from crm.privacy.erasure import grace
from crm.privacy.requests.model import Proof, RequestState, Way
from crm.privacy.restriction import actions as restricting
from crm.staff import BeingErased
from tests import make
from tests.alone import Alone
from tests.conftest import KEYS, Cluster
from tests.privacy import site
from tests.privacy.conftest import Clock
from tests.privacy.life import Life, erase_traces, sign_up


async def _until_somebody_waits(cluster: Cluster) -> None:
    """Ask the server until a transaction waits for another one."""
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        waiting = 0
        while not waiting:
            waiting = await conn.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
    finally:
        await conn.close()


async def _gone(database: Database, customer: Customer, business: Business) -> bool:
    async with database.read(business.id) as db:
        return customer.id not in {each.id for each in await customers.page(db)} and (
            (await customers.of_ids(db, [customer.id]))[customer.id].erased_at is not None
        )


async def _frozen(database: Database, customer: Customer, business: Business) -> bool:
    async with database.read(business.id) as db:
        return (await customers.get(db, customer.id)).restricted_at is not None


async def _row_of_an_end(database: Database, customer: Customer, business: Business) -> None:
    """Bring about by hand what no front door allows: a freeze that is to end, and a wish."""
    async with database.write(business.id) as db:
        await db.run(
            restricting.sql.announce_end,
            customer_id=customer.id,
            due_at=db.now + restricting.NOTICE,
            actor_kind="system",
            actor_id=None,
            actor_name="",
        )


async def test_a_freeze_that_was_to_end_stops_nobodys_deletion(
    *,
    clocked: Database,
    clock: Clock,
    business: Business,
    other_business: Business,
    ada: Customer,
    foreign: Customer,
) -> None:
    """Neither hers nor that of a business behind; and her freeze does not end before it."""
    ctx: jobs.Ctx = {"database": Alone(clocked, business.id, other_business.id)}
    for where, her in ((business, ada), (other_business, foreign)):
        async with clocked.write(where.id) as db:
            await privacy.plan(db, her, Fingerprint.keep)
        await _row_of_an_end(clocked, her, where)
    clock.move(timedelta(days=4))
    await jobs.sweep(ctx)
    still = [
        await _frozen(clocked, ada, business),
        await _frozen(clocked, foreign, other_business),
    ]
    clock.move(GRACE)
    await jobs.sweep(ctx)

    assert still == [True, True]
    assert await _gone(clocked, ada, business)
    assert await _gone(clocked, foreign, other_business)


async def test_no_end_of_a_freeze_is_announced_while_she_waits(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """What was announced before is over with her wish; called off, it has to be said anew."""
    async with clocked.write(business.id) as db:
        await privacy.freeze(db, ada.id)
    clock.move(timedelta(hours=1))
    async with clocked.write(business.id) as db:
        await restriction.announce(db, make.SYSTEM, ada.id)
        await privacy.plan(db, ada, Fingerprint.keep)
        with pytest.raises(BeingErased):
            await restriction.announce(db, make.SYSTEM, ada.id)
        await privacy.call_off(db, ada.id)
        told = await restriction.ending(db, ada.id)
    clock.move(timedelta(days=4))
    await jobs.sweep({"database": clocked})

    assert told is None
    assert await _frozen(clocked, ada, business)


async def test_a_notice_ends_no_younger_freeze(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """Freed and frozen again since, she was not told of the end of this one (Art. 18(3))."""
    async with clocked.write(business.id) as db:
        await customers.restrict(db, make.SYSTEM, ada.id)
        await restriction.announce(db, make.SYSTEM, ada.id)
    clock.move(timedelta(days=1))
    async with clocked.write(business.id) as db:
        await customers.unrestrict(db, make.SYSTEM, ada.id)
        await customers.restrict(db, make.SYSTEM, ada.id)
    clock.move(timedelta(days=3))
    await jobs.sweep({"database": clocked})

    assert await _frozen(clocked, ada, business)


async def test_one_that_cannot_be_done_keeps_nobody_waiting(
    clocked: Database, clock: Clock, business: Business, ada: Customer, monkeypatch: Any
) -> None:
    """Each deletion stands for itself, and what failed is done at a later turn."""
    async with clocked.write(business.id) as db:
        zoe = await make.customer(db, address="zoe.behind@example.com")
        await privacy.plan(db, ada, Fingerprint.keep)
    clock.move(timedelta(minutes=1))
    async with clocked.write(business.id) as db:
        await privacy.plan(db, zoe, Fingerprint.keep)
    clock.move(GRACE)

    async def fails(db: Db, me: Customer, fingerprint: Fingerprint) -> privacy.Erased:
        if me.id == ada.id:
            raise RuntimeError
        return await privacy.erase_herself(db, me, fingerprint)

    with monkeypatch.context() as broken:
        broken.setattr(grace, "erase_herself", fails)
        await jobs.sweep({"database": clocked})
    first = [await _gone(clocked, each, business) for each in (ada, zoe)]
    await jobs.sweep({"database": clocked})

    assert first == [False, True]
    assert await _gone(clocked, ada, business)


async def test_now_in_one_tab_and_later_in_the_other(
    *, clocked: Database, clock: Clock, business: Business, ada: Customer, shared_cluster: Cluster
) -> None:
    """Whoever is first decides; nothing of the wish survives her, and no job is stopped by it."""

    async def now() -> None:
        async with clocked.write(business.id) as db:
            await privacy.erase_herself(db, ada, Fingerprint.keep)

    async def later() -> None:
        async with clocked.write(business.id) as db:
            await privacy.plan(db, ada, Fingerprint.keep)

    async with clocked.write(business.id) as db:
        await privacy.plan(db, ada, Fingerprint.keep)
        pressed = asyncio.create_task(now())
        await _until_somebody_waits(shared_cluster)
    await pressed
    with pytest.raises(UnknownCustomer):
        await later()
    clock.move(GRACE)
    await jobs.sweep({"database": clocked})

    async with clocked.read(business.id) as read:
        assert await privacy.wish(read, ada.id) is None
        assert await grace.due(read) == []
        told = (await privacy.certificate(read, ada.id)).certificate
    assert {each.table: each.gone for each in told.stores}["erasure_wish"] == 1


async def test_called_off_while_it_is_carried_out(
    *, clocked: Database, clock: Clock, business: Business, ada: Customer, shared_cluster: Cluster
) -> None:
    """Of the two one is first, and the other finds nothing to do; nobody waits for ever."""

    async def off() -> None:
        with pytest.raises(NothingToCallOff):
            async with clocked.write(business.id) as db:
                await privacy.call_off(db, ada.id)

    for called_off_first in (True, False):
        async with clocked.write(business.id) as db:
            await privacy.plan(db, ada, Fingerprint.keep)
        clock.move(GRACE)
        async with clocked.write(business.id) as db:
            if called_off_first:
                await privacy.call_off(db, ada.id)
                other = asyncio.create_task(jobs.sweep({"database": clocked}))
            else:
                assert await grace.carry_out(db, ada.id)
                other = asyncio.create_task(off())
            await _until_somebody_waits(shared_cluster)
        await other
        assert await _gone(clocked, ada, business) is not called_off_first


async def test_a_freeze_in_the_other_tab_stays(
    clocked: Database, business: Business, ada: Customer
) -> None:
    """She wants it deleted in one tab, frozen in the other, and calls the deletion off."""
    async with clocked.write(business.id) as db:
        await privacy.plan(db, ada, Fingerprint.keep)
        await privacy.freeze_herself(db, ada)
        await privacy.call_off(db, ada.id)

    assert await _frozen(clocked, ada, business)


async def test_a_worker_that_is_stopped_in_the_middle(
    *, clocked: Database, clock: Clock, business: Business, ada: Customer, shared_cluster: Cluster
) -> None:
    """All of it or nothing: the wish stands, and the next worker does it."""
    async with clocked.write(business.id) as db:
        await privacy.plan(db, ada, Fingerprint.keep)
    clock.move(GRACE)
    ctx: jobs.Ctx = {"database": clocked}
    async with clocked.write(business.id) as db:
        await customers.hold(db, ada.id)
        working = asyncio.create_task(jobs.sweep(ctx))
        await _until_somebody_waits(shared_cluster)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    first = await _gone(clocked, ada, business)
    await jobs.sweep(ctx)

    assert (first, await _gone(clocked, ada, business)) == (False, True)


async def test_what_she_says_last_about_the_fingerprint_counts(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """The day stays that of the first press, and the link of the mail too."""
    async with clocked.write(business.id) as db:
        first = await privacy.plan(db, ada, Fingerprint.keep)
    clock.move(timedelta(days=1))
    async with clocked.write(business.id) as db:
        second = await privacy.plan(db, ada, Fingerprint.drop)
    clock.move(GRACE - timedelta(days=1))
    await jobs.sweep({"database": clocked})

    assert (second.due_at, second.fingerprint) == (first.due_at, Fingerprint.drop)
    assert await _kept(clocked, business, ada.address) is None


async def test_staff_who_are_faster_do_as_she_chose(
    clocked: Database, business: Business, ada: Customer
) -> None:
    """Her wish says that the fingerprint goes: a member or a program may not keep it."""
    async with clocked.write(business.id) as db:
        await privacy.plan(db, ada, Fingerprint.drop)
        await privacy.erase(db, Actor.key(ada.id, "Till"), ada.id)
        told = (await privacy.certificate(db, ada.id)).certificate

    assert await _kept(clocked, business, ada.address) is None
    assert not [each for each in told.stays if each.what.startswith("The fingerprint")]


async def test_a_trace_of_any_age_goes(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """Written while no worker ran: days later the hourly round still finds it."""
    async with clocked.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        word = await make.own_word(db, ada.id)
        await consent.give(db, Actor.customer(ada.id), ada.id, notice.question, word)
        await privacy.erase(db, make.SYSTEM, ada.id)
    clock.move(timedelta(days=5))
    async with clocked.write(business.id) as db:
        await access.send_link(db, customers.parse("ada@example.com"), "a browser")
        await consent.withdraw(
            db, make.SYSTEM, ada.id, notice.purpose_id, method=consent.Method.erasure
        )
        assert await erase_traces(db) == 0
    await jobs.retain_of(clocked, business.id)

    async with clocked.read(business.id) as db:
        assert await consent.history(db, ada.id) == []


async def test_a_sign_up_made_while_she_is_erased_goes_with_her(
    *, clocked: Database, clock: Clock, business: Business, ada: Customer, shared_cluster: Cluster
) -> None:
    """It hangs on her address alone, which is known to nobody by then."""
    hashed = KEYS.address_hash(business.id, customers.fold(ada.address))

    async def erase() -> None:
        async with clocked.write(business.id) as db:
            await privacy.erase(db, Actor.customer(ada.id), ada.id)

    async with clocked.write(business.id) as db:
        await customers.hold(db, ada.id)
        erasing = asyncio.create_task(erase())
        await _until_somebody_waits(shared_cluster)
        clock.move(timedelta(seconds=5))
        async with clocked.write(business.id) as beside:
            notice = await make.notice(beside, (await make.purpose(beside)).id)
            await access.start(beside, sign_up(ada.address, "Ada", notice))
    await erasing

    async with clocked.write(business.id) as db:
        assert (await access.forget_address(db, hashed, None))["signup"] == 0


async def test_a_former_address_that_is_anothers_now(
    database: Database, business: Business, nora: Life
) -> None:
    """Her erasure reaches what was hers under it, and nothing of whoever has it since."""
    address = f"earlier.{nora.customer.address}"
    asks = NewRequest(kind=RequestKind.access, address=address, words="What do you hold of me?")
    async with database.write(business.id) as db:
        asked = await requests.receive(db, make.SYSTEM, asks, way=Way.letter)
        await access.start(db, sign_up(address, "Bea", nora.notice))
        bea = await make.customer(db, address=address, name="Bea")
        hashed = KEYS.address_hash(business.id, customers.fold(address))
        await mail.suppress(db, Actor.customer(bea.id), hashed, Scope.marketing, Why.objected)
        await access.send_link(db, customers.parse(address), "a browser")
    async with database.write(business.id) as db:
        her = Actor.customer(nora.customer.id)
        await privacy.erase(db, her, nora.customer.id, fingerprint=Fingerprint.drop)
    async with database.write(business.id) as db:
        open_still = await requests.get(db, asked.id)
        letters = [each for each in await claim_letters(db, 20) if each.address == address]
        waiting = await access.forget_address(db, hashed, None)

    assert await _kept(database, business, address) is not None
    assert await _kept(database, business, nora.customer.address) is None
    assert (open_still.words, open_still.closed_at) == (asks.words, None)
    # The way in, and the mail that asks to confirm.
    assert len(letters) == 2
    assert waiting == {"signup": 1}


async def test_a_former_address_that_is_nobodys(
    database: Database, business: Business, nora: Life
) -> None:
    """It is wholly hers: with the last of it goes the fingerprint, where she wants that."""
    address = f"earlier.{nora.customer.address}"
    before = await _kept(database, business, address)
    async with database.write(business.id) as db:
        her = Actor.customer(nora.customer.id)
        await privacy.erase(db, her, nora.customer.id, fingerprint=Fingerprint.drop)

    assert before is not None
    assert await _kept(database, business, address) is None


async def test_what_was_decided_since_about_a_former_address_stands(
    database: Database, business: Business, nora: Life
) -> None:
    """Nobody has it, and still that is not hers to lift."""
    address = f"earlier.{nora.customer.address}"
    hashed = KEYS.address_hash(business.id, customers.fold(address))
    async with database.write(business.id) as db:
        await mail.suppress(db, make.SYSTEM, hashed, Scope.all, Why.staff)
    async with database.write(business.id) as db:
        her = Actor.customer(nora.customer.id)
        await privacy.erase(db, her, nora.customer.id, fingerprint=Fingerprint.drop)

    found = await _kept(database, business, address)
    assert found is not None
    assert found.reason is Why.staff


async def test_what_she_asked_is_not_said_to_be_done(
    database: Database, business: Business, ada: Customer
) -> None:
    """A request that waits when she goes has lost its object, but one for just this is done."""
    asked = {}
    async with database.write(business.id) as db:
        for kind, proof in (
            (RequestKind.access, None),
            (RequestKind.rectification, Proof.session),
            (RequestKind.erasure, Proof.session),
            (RequestKind.erasure, None),
        ):
            new = NewRequest(kind=kind, customer_id=ada.id, words="Please.")
            way = Way.portal if proof else Way.letter
            found = await requests.receive(db, make.SYSTEM, new, way=way, proof=proof)
            asked[found.id] = (kind, proof)
        await privacy.erase(db, make.SYSTEM, ada.id)
        ended = [await requests.get(db, each) for each in asked]

    states = [each.state for each in ended]
    assert states == [RequestState.moot, RequestState.moot, RequestState.done, RequestState.moot]
    assert [each.proof for each in ended] == [None, Proof.session, Proof.session, None]
    assert {(each.words, each.customer_id, each.open) for each in ended} == {("", None, False)}


async def test_whoever_is_no_customer_is_erased_too(database: Database, business: Business) -> None:
    """Asked by letter while a sign-up waits: all of it goes, and the fingerprint stays as told."""
    address = "bea@example.com"
    new = NewRequest(kind=RequestKind.erasure, address=address, name="Bea", words="All of it.")
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        await access.start(db, sign_up(address, "Bea", notice))
        asked = await requests.receive(db, make.SYSTEM, new, way=Way.letter, proof=Proof.person)
        member = await make.owner(db)
        closed = await privacy.fulfil(db, member.actor, asked.id, "All of it is deleted.")
        waiting = [each.address for each in await claim_letters(db, 10)]
        hashed = KEYS.address_hash(business.id, customers.fold(address))
        left = await privacy.forget_address(db, hashed)

    assert (closed.state, closed.words, closed.address, closed.name) == ("done", "", "", "")
    # The answer is on its way, the mail that asked to confirm is not.
    assert waiting == [address]
    assert left["signup"] == left["privacy_request"] == 0
    kept = await _kept(database, business, address)
    assert kept is not None
    assert kept.reason is Why.erased


async def test_who_has_signed_up_since_is_erased_as_she_asked(
    database: Database, business: Business
) -> None:
    """The letter says that everything is deleted, and so it is."""
    address = "bea@example.com"
    new = NewRequest(kind=RequestKind.erasure, address=address)
    async with database.write(business.id) as db:
        asked = await requests.receive(db, make.SYSTEM, new, way=Way.letter, proof=Proof.person)
        bea = await make.customer(db, address=address)
        member = await make.owner(db)
        await privacy.fulfil(db, member.actor, asked.id, "All of it is deleted.")

    assert await _gone(database, bea, business)


async def test_one_line_with_her_number_stays(
    database: Database, business: Business, nora: Life, shared_cluster: Cluster
) -> None:
    """She left, moved and objected: what she did went with her, and was hers to read before."""
    async with database.write(business.id) as db:
        await privacy.object_herself(db, nora.customer)
        hers = [each async for each in events.export(db, nora.customer.id)]
        await privacy.erase(db, nora.actor, nora.customer.id)
    number = str(nora.customer.id)
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    try:
        rows = await conn.fetch(
            "SELECT kind, e::text AS line FROM crm.event e WHERE business_id = $1", business.id
        )
    finally:
        await conn.close()

    assert Kind.address_suppressed in {each.kind for each in hers}
    assert [row["kind"] for row in rows if number in row["line"]] == [Kind.customer_erased]


async def test_an_objection_stands_whatever_silenced_her_before(
    database: Database, business: Business, ada: Customer
) -> None:
    """After a bounce or a complaint too; pressed again it is one request."""
    hashed = KEYS.address_hash(business.id, customers.fold(ada.address))
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        await mail.suppress(db, make.SYSTEM, hashed, Scope.all, Why.bounced)
        before = await privacy.objected_at(db, ada)
    async with await site.her_browser(database, business, ada) as her:
        for _ in range(2):
            await her.fill("/me/requests", "/me/objection")
        page = await her.get("/me/requests")
    async with database.write(business.id) as db:
        asked = await requests.of_customer(db, ada.id)
        since = await privacy.objected_at(db, ada)
        works = await mail.works_again(db, Actor.customer(ada.id), hashed, db.now + timedelta(1))
        still = await privacy.objected_at(db, ada)
        word = await make.own_word(db, ada.id)
        await consent.give(db, Actor.customer(ada.id), ada.id, notice.question, word)
        after = await privacy.objected_at(db, ada)

    assert [each.kind for each in asked] == [RequestKind.objection]
    assert (before, since) == (None, asked[0].closed_at)
    assert (works, still) == (True, since)
    assert 'action="/me/objection"' not in page.text
    assert after is None


async def _kept(database: Database, business: Business, address: str) -> mail.Suppression | None:
    async with database.read(business.id) as db:
        return await mail.suppressed(db, KEYS.address_hash(business.id, customers.fold(address)))
