"""Erasure while things are under way: a campaign to her, her copy, her other tab, an import."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from crm import access, campaigns, consent, customers, privacy
from crm.businesses import Business
from crm.campaigns import jobs
from crm.consent import EvidenceKind, Method, Notice, Status
from crm.customers import Customer, UnknownCustomer
from crm.db import Database, Db
from crm.events import Actor
from crm.imports import Progress
from crm.privacy import Fingerprint, merging
from crm.privacy.copies.building import build_next
from crm.tokens import Stop
from tests import make
from tests.campaigns.test_send import settings
from tests.conftest import KEYS, Cluster
from tests.consent.conftest import imported, say_yes
from tests.imports.lists import HEADER, letter, row, take, tally
from tests.privacy import site
from tests.privacy.life import Life, erase_traces, lived
from tests.privacy.search import Mark, Places, search
from tests.races import second
from tests.smtpd import Fault, smtpd

KEY = Actor.key(UUID(int=9), "Till")


async def _erase(database: Database, business: Business, customer_id: UUID) -> None:
    async with database.write(business.id) as db:
        await privacy.erase(db, Actor.customer(customer_id), customer_id)


async def _swept(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        await erase_traces(db)


async def _left(cluster: Cluster, redis_url: str, address: str) -> set[str]:
    """Name the tables in which an address still stands."""
    found = await search(
        Places(cluster.superuser_url, redis_url, ()), [Mark("address", address.encode())]
    )
    return {each.place for each in found}


async def _started(database: Database, business: Business) -> tuple[UUID, list[Customer]]:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        ids = sorted(await make.audience(db, notice, 40, prefix=f"meanwhile{purpose.id.hex}"))
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
        found = await customers.of_ids(db, ids)
    return campaign.id, [found[each] for each in ids]


async def test_a_campaign_on_its_way_to_her(
    database: Database, business: Business, shared_cluster: Cluster, redis_url: str
) -> None:
    """One whose mail is on the wire, and one who waits: the sums hold, and nothing is left.

    The relay's answer comes after the erasure, and says the address back.
    """
    campaign_id, people = await _started(database, business)
    on_the_wire, waits = people[0], people[-1]
    released = asyncio.Event()
    async with smtpd() as relay:
        said = f"250 2.0.0 kept for {on_the_wire.address}"
        relay.fails_for(on_the_wire.address, "dot", Fault(reply=said, until=released))
        ctx: jobs.Ctx = {
            "database": database,
            "settings": settings(relay.port, batch=5, connections=1, range=1000),
            "sending": asyncio.Lock(),
        }
        await jobs.fill(ctx, str(business.id), str(campaign_id))
        sending = asyncio.create_task(jobs.send(ctx, str(business.id), str(campaign_id)))
        await relay.until_heard(".")
        for each in (on_the_wire, waits):
            await _erase(database, business, each.id)
        released.set()
        await sending
    await _swept(database, business)

    async with database.read(business.id) as db:
        counts = await campaigns.recount(db, campaign_id)
    assert counts.audience == len(people)
    assert counts.reasons == {"erased": 1}
    assert counts.sent + counts.excluded == len(people)
    assert waits.address not in relay.accepted()
    for each in (on_the_wire, waits):
        assert await _left(shared_cluster, redis_url, each.address) == set()


async def test_her_copy_is_being_made(
    database: Database, business: Business, shared_cluster: Cluster, redis_url: str
) -> None:
    """It is whole and then gone, or it is not to be had; what it recorded goes as well."""
    nora = await lived(database, business, f"nora{uuid4().hex}@example.com", "Nora")

    async def copied() -> privacy.Copy | None:
        try:
            async with database.write(business.id) as db:
                await privacy.ask(db, nora.actor, nora.customer.id)
            return await build_next(database, business.id)
        except UnknownCustomer:
            return None

    await asyncio.gather(copied(), _erase(database, business, nora.customer.id))
    late = await copied()
    await _swept(database, business)

    assert late is None
    assert await _left(shared_cluster, redis_url, nora.customer.address) == set()
    async with database.read(business.id) as db:
        signed = await privacy.certificate(db, nora.customer.id)
    assert signed.certificate.record == nora.customer.id


async def test_her_session_in_another_tab(
    database: Database, business: Business, ada: Customer
) -> None:
    """It is over at once: a page leads to the sign-in, and a form changes nothing."""
    async with (
        await site.her_browser(database, business, ada) as one,
        await site.her_browser(database, business, ada) as other,
    ):
        page = await other.get("/me/delete")
        path = "/me/deletion?fingerprint=keep"
        done = await one.fill(path, "/me/deletion/confirmation", fingerprint="keep", when="now")
        token = site.CSRF.search(page.text)
        assert token is not None
        looked = await other.get("/me")
        sent = await other.post("/me/restriction", data={"csrf": token[1], "decision": "freeze"})
        twice = await other.post(
            "/me/deletion/confirmation", data={"csrf": token[1], "fingerprint": "drop"}
        )

    assert (done.status_code, looked.status_code) == (303, 303)
    assert looked.headers["location"] == "/sign-in"
    assert {each.status_code for each in (sent, twice)} == {401}


async def test_an_import_brings_her_at_the_same_time(
    database: Database, business: Business
) -> None:
    """Whichever is first, no list makes her mailable: her fingerprint keeps her out."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        her = await make.customer(db, address="nora@example.com")
    rows = [row(f"reader{each}@example.com", "R") for each in range(6000)]
    text = HEADER + "".join([*rows, row("nora@example.com", "Nora")])
    begun = asyncio.Event()

    def watch(_: Progress) -> None:
        begun.set()

    running = asyncio.create_task(take(database, business.id, text, watch=watch))
    await begun.wait()
    await _erase(database, business, her.id)
    await running
    await _swept(database, business)

    async with database.read(business.id) as reading:
        back = await customers.by_address(reading, "nora@example.com")
        history = await consent.history(reading, her.id)
    assert (back, history) == (None, [])


async def _decisions(database: Database, business: Business, *ids: UUID) -> list[int]:
    async with database.read(business.id) as db:
        return [len(await consent.history(db, each)) for each in ids]


async def test_a_withdrawal_that_waits_for_her_erasure_writes_nothing(
    database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        her = await make.customer(db)
        await say_yes(db, her.id, notice)

    async def withdraw(db: Db) -> None:
        said = {"said_by": her.address}
        with pytest.raises(UnknownCustomer):
            await consent.withdraw(db, KEY, her.id, notice.purpose_id, method=Method.api, said=said)

    await second(database, business, lambda db: privacy.erase(db, KEY, her.id), withdraw)
    assert await _decisions(database, business, her.id) == [0]


@pytest.mark.parametrize("status", [Status.given, Status.withdrawn])
async def test_decisions_of_many_that_wait_for_an_erasure_leave_her_out(
    database: Database, business: Business, status: Status
) -> None:
    async with database.write(business.id) as db:
        notice = await make.notice(
            db, (await make.purpose(db)).id, accepts=[EvidenceKind.signed_form]
        )
        her, other = await make.customer(db), await make.customer(db)

    async def append(db: Db) -> None:
        rows = [await imported(db, each.id, notice, status) for each in (her, other)]
        assert await consent.append_many(db, make.SYSTEM, rows) == 1
        assert await consent.append_many(db, make.SYSTEM, rows[:1]) == 0

    await second(database, business, lambda db: privacy.erase(db, KEY, her.id), append)
    assert await _decisions(database, business, her.id, other.id) == [0, 1]


@pytest.mark.parametrize("many", [False, True])
async def test_what_waits_under_a_record_that_was_merged_into_hers_writes_nothing(
    database: Database, business: Business, *, many: bool
) -> None:
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        kept, gone = await make.customer(db), await make.customer(db)
        row = await imported(db, gone.id, notice, Status.withdrawn)
        await say_yes(db, kept.id, notice)
        await merging.merge(db, make.SYSTEM, kept.id, gone.id)

    async def late(db: Db) -> None:
        if many:
            assert await consent.append_many(db, make.SYSTEM, [row]) == 0
            return
        with pytest.raises(UnknownCustomer):
            await consent.withdraw(db, KEY, gone.id, notice.purpose_id, method=Method.api)

    await second(database, business, lambda db: privacy.erase(db, KEY, kept.id), late)
    assert await _decisions(database, business, kept.id, gone.id) == [0, 0]


@pytest.mark.parametrize("fingerprint", [Fingerprint.keep, Fingerprint.drop])
async def test_a_row_of_an_import_about_whom_it_finds_erased_is_looked_at_again(
    database: Database,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
    fingerprint: Fingerprint,
) -> None:
    """It is a row about nobody known: kept out by her fingerprint, or somebody new without it."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        her = await make.customer(db, address="nora@example.com")
        await make.customer(db, address="otto@example.com")
    hold_many, erased = consent.hold_many, False

    async def late(db: Db, ids: Sequence[UUID]) -> consent.Held:
        nonlocal erased
        if not erased:
            erased = True
            async with database.write(business.id) as early:
                by = Actor.customer(her.id)
                await privacy.erase(early, by, her.id, fingerprint=fingerprint)
        return await hold_many(db, ids)

    monkeypatch.setattr(consent, "hold_many", late)
    text = HEADER + row("nora@example.com", "Nora") + row("otto@example.com", "Otto")
    done = await take(database, business.id, text)

    dropped = fingerprint is Fingerprint.drop
    assert tally(done) == ((1, 1, 0, 0) if dropped else (0, 1, 0, 1))
    assert done.given == 1 + dropped
    assert await _decisions(database, business, her.id) == [0]
    async with database.read(business.id) as reading:
        back = await customers.by_address(reading, "nora@example.com")
    assert (back is not None and back.id != her.id) is dropped


@pytest.mark.parametrize("all_of_it", [True, False])
async def test_signed_up_again_and_an_old_link(
    *, database: Database, business: Business, nora: Life, all_of_it: bool
) -> None:
    """The link of a mail from her former life stops what she gets in the new one, and only that."""
    async with database.read(business.id) as reading:
        purpose = await consent.purpose(reading, nora.notice.purpose_id)
    await _erase(database, business, nora.customer.id)
    async with database.write(business.id) as writing:
        again = await make.customer(writing, address=nora.customer.address)
        other = await make.notice(writing, (await make.purpose(writing, name="Offers")).id)
        await _said_yes(writing, again, nora.notice)
        await _said_yes(writing, again, other)
    fingerprint = KEYS.address_hash(business.id, customers.fold(nora.customer.address))
    stop = Stop(business.id, fingerprint, None if all_of_it else purpose.code)
    async with database.write(business.id) as leaving:
        done = await access.leave(leaving, stop, method=Method.one_click)
        states = {each.purpose_id: each.status for each in await consent.states(leaving, again.id)}

    assert done.customer is not None
    assert done.customer.id == again.id
    assert states[nora.notice.purpose_id] is Status.withdrawn
    assert states[other.purpose_id] is (Status.withdrawn if all_of_it else Status.given)


async def _said_yes(db: Db, customer: Customer, notice: Notice) -> None:
    word = await make.own_word(db, customer.id)
    await consent.give(db, Actor.customer(customer.id), customer.id, notice.question, word)
