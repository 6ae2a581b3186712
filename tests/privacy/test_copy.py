"""Taking everything: asked for, built by a job, taken for three days, and gone."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from crm import customers, events, privacy
from crm.businesses import Business
from crm.consent.terms import Party
from crm.customers import Changes, Customer
from crm.db import Database
from crm.events import Actor, Kind
from crm.languages import speaking
from crm.mail.actions import claim_letters
from crm.privacy import NotReady, UnknownCopy, copies, jobs, requests
from crm.privacy.copies import building
from crm.privacy.copies.building import build_next
from crm.privacy.copies.contents import contents
from crm.privacy.copies.model import LEASE, State
from crm.privacy.copies.readme import readme
from crm.privacy.retention import sweeping
from crm.privacy.retention.sweeps import SWEEPS
from tests import make
from tests.conftest import Cluster
from tests.privacy import site
from tests.privacy.conftest import Clock
from tests.privacy.life import Life
from tests.privacy.taken import built, content, inside, lines, taken

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "copy.md"


async def test_the_documents_name_every_list(database: Database, known: Life) -> None:
    """Whoever reads a copy by program looks there, and finds neither more nor less."""
    async with database.read(known.business.id) as db:
        found = await contents(db, known.customer.id)
    said = _DOCUMENT.read_text().partition("The lists are")[2].partition("; each is there")[0]

    assert sorted(re.findall(r"`(\w+)`", said)) == sorted(each.name for each in found.lists)


async def test_every_decision_stands_beside_its_words(known: Life, packed: bytes) -> None:
    """The double opt-in has both instants, and the exact text with its digest (promise 5)."""
    files = inside(packed)
    given = next(
        each for each in lines(files, "decisions") if each["event"]["method"] == "double_opt_in"
    )

    assert given["purpose"] == "The Corner Letter"
    assert given["notice"]["text"] == known.notice.text
    assert given["notice"]["control_label"] == known.notice.control_label
    assert given["notice"]["sha256"] == known.notice.sha256.hex()
    step = given["event"]["opt_in"]
    assert step["mailed_at"] <= step["confirmed_at"] == given["event"]["at"]
    networks = [each["network"]["address"] for each in lines(files, "networks")]
    assert networks == ["192.0.2.44", "192.0.2.45"]


async def test_every_mail_names_its_warrant(known: Life, packed: bytes) -> None:
    """A campaign that went out points to a decision that is in the same file (promise 1)."""
    files = inside(packed)
    sent = [each["delivery"] for each in lines(files, "newsletters")]

    assert {each["campaign_id"] for each in sent} == {str(known.got.id), str(known.waits.id)}
    decided = {each["event"]["id"] for each in lines(files, "decisions")}
    assert {each["event_id"] for each in sent} <= decided


async def test_who_looked_is_in_it(packed: bytes) -> None:
    """Who, when and why, of people and programs (promise 11)."""
    files = inside(packed)

    assert [(each["name"], each["did"], each["reason"]) for each in lines(files, "looks")] == [
        ("Shop till", "customer.exported", "asked"),
        ("Shop till", "customer.looked", "list"),
        ("Bob Okafor", "customer.looked", "answering your question"),
    ]


async def test_she_asks_and_downloads_it(
    database: Database, business: Business, nora: Life
) -> None:
    """The page says how far it is; the file is in no cache; she is in no list of looks."""
    async with await site.her_browser(database, business, nora.customer) as browser:
        asked = await browser.fill("/me/copy", "/me/copy")
        again = await browser.post("/me/copy", data={"csrf": "none"})
        waits = await browser.get("/me/copy")
        early = await browser.get("/me/copy/file")
        await build_next(database, business.id)
        ready = await browser.get("/me/copy")
        answer = await browser.get("/me/copy/file")

    assert (asked.status_code, again.status_code, early.status_code) == (303, 403, 409)
    assert "It is being made" in waits.text
    assert "/me/copy/file" in ready.text
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith('attachment; filename="your-data-')
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    files = inside(answer.content)
    assert lines(files, "profile")[0]["address"] == nora.customer.address
    assert lines(files, "events")[-1]["kind"] == "customer.exported"
    async with database.read(business.id) as db:
        assert {each.actor_name for each in await events.looks_at(db, nora.customer.id)} == {
            "Bob Okafor",
            "Shop till",
        }


async def test_asked_twice_it_is_the_same(
    database: Database, business: Business, ada: Customer
) -> None:
    """Also of two at once, and while it can be taken; another asker gets another."""
    me = Actor.customer(ada.id)

    async def ask(by: Actor, reason: str = "") -> privacy.Copy:
        async with database.write(business.id) as db:
            return await privacy.ask(db, by, ada.id, reason=reason)

    first = await asyncio.gather(*(ask(me) for _ in range(4)))
    await build_next(database, business.id)
    later = await ask(me)
    other = await ask(Actor.key(business.id, "Till"), "her letter")

    assert {each.id for each in (*first, later)} == {first[0].id}
    assert later.state is State.ready
    assert other.id != first[0].id
    async with database.read(business.id) as db:
        told = [each.kind async for each in events.export(db, ada.id)]
        with pytest.raises(UnknownCopy):
            await copies.get(db, me, other.id)
    assert told.count(Kind.customer_exported) == 2


async def test_it_takes_a_sign_in_of_the_last_ten_minutes(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """To ask, and to download; a page left open proves nobody's mailbox."""
    async with await site.her_browser(clocked, business, ada) as browser:
        await browser.fill("/me/copy", "/me/copy")
        await build_next(clocked, business.id)
        clock.move(timedelta(minutes=10))
        late = await browser.get("/me/copy/file")
        asked = await browser.fill("/me/delete", "/me/copy")

    assert (late.status_code, asked.status_code) == (403, 403)
    assert "First, sign in once more" in late.text


async def test_she_is_told_by_a_mail_that_holds_nothing(
    database: Database, business: Business, ada: Customer
) -> None:
    await built(database, business.id, Actor.customer(ada.id), ada.id)

    (letter,) = await _letters(database, business)
    text = _text(letter)
    assert f"{business.origin}/me/copy" in text
    assert letter["To"] == ada.address
    assert "Ada" not in text


async def test_after_three_days_it_is_gone(
    clocked: Database, clock: Clock, business: Business, ada: Customer, shared_cluster: Cluster
) -> None:
    """To the second; the job deletes the file, and a month later that there was one."""
    me = Actor.customer(ada.id)
    copy = await built(clocked, business.id, me, ada.id)
    clock.move(timedelta(hours=72) - timedelta(seconds=1))
    assert (await _seen(clocked, business, me, copy)).state is State.ready
    clock.move(timedelta(seconds=1))
    async with clocked.read(business.id) as read:
        with pytest.raises(NotReady):
            await copies.to_take(read, me, ada.id)
    assert await _parts(shared_cluster, business) == copy.parts

    await jobs.sweep({"database": clocked})

    assert await _parts(shared_cluster, business) == 0
    assert (await _seen(clocked, business, me, copy)).state is State.over
    clock.move(timedelta(days=30))
    await sweeping.sweep(clocked, business.id, "copies", SWEEPS["copies"], every=timedelta(0))
    with pytest.raises(UnknownCopy):
        await _seen(clocked, business, me, copy)


async def test_nobody_reads_it_in_the_database(
    database: Database, business: Business, nora: Life, shared_cluster: Cluster
) -> None:
    """Neither as it is nor unpacked: no part begins as a ZIP, and none holds what a ZIP shows."""
    await taken(database, business.id, nora.customer.id)
    kept = await _kept(shared_cluster, business)

    assert kept
    for part in kept:
        assert not part.startswith(b"PK")
        assert b"index.html" not in part


async def test_erased_while_it_is_built_it_stays_gone(
    database: Database,
    business: Business,
    nora: Life,
    shared_cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker has read everything already, and cannot keep it any more."""
    # Small parts, so that some are kept before the erasure and some would be after it.
    monkeypatch.setattr(building, "PART", 2_000)
    kept = copies.keep

    async def erasing(db: Any, copy: Any, number: int, part: bytes, **how: int) -> bool:
        if number == 2:
            async with database.write(business.id) as beside:
                await privacy.erase(beside, nora.actor, nora.customer.id)
        return await kept(db, copy, number, part, **how)

    async with database.write(business.id) as db:
        await privacy.ask(db, nora.actor, nora.customer.id)
    monkeypatch.setattr(copies, "keep", erasing)

    done = await build_next(database, business.id)
    assert done is not None
    assert done.state is State.building
    assert await build_next(database, business.id) is None
    assert await _parts(shared_cluster, business) == 0
    assert await _letters_to(database, business, nora.customer.address) == []
    async with database.write(business.id) as db:
        with pytest.raises(Exception, match="no such customer"):
            await privacy.ask(db, nora.actor, nora.customer.id)


async def test_erased_while_it_lies_it_is_gone(
    database: Database, business: Business, nora: Life, shared_cluster: Cluster
) -> None:
    copy = await built(database, business.id, nora.actor, nora.customer.id)
    async with database.write(business.id) as db:
        await privacy.erase(db, nora.actor, nora.customer.id)

    assert await _parts(shared_cluster, business) == 0
    async with database.read(business.id) as read:
        assert await copies.part(read, copy, 0) is None
        with pytest.raises(UnknownCopy):
            await copies.get(read, nora.actor, copy.id)


async def test_what_a_killed_worker_left_is_built_anew(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """Once its lease is over; the first worker, were it only slow, keeps nothing any more."""
    me = Actor.customer(ada.id)
    async with clocked.write(business.id) as db:
        await privacy.ask(db, me, ada.id)
    async with clocked.write(business.id) as db:
        left = await copies.claim(db)
        assert left is not None
        assert await copies.keep(db, left, 0, b"half of it", done=1, total=9)
    assert await build_next(clocked, business.id) is None

    clock.move(LEASE + timedelta(seconds=1))
    done = await build_next(clocked, business.id)

    assert done is not None
    async with clocked.write(business.id) as db:
        assert not await copies.keep(db, left, 1, b"the other half", done=9, total=9)
        assert await copies.finish(db, left, parts=2, size=2) is None
    assert "index.html" in inside(await content(clocked, business.id, done))


async def test_what_cannot_be_built_is_said(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """After three workers have died of it she is told, and may ask again."""
    me = Actor.customer(ada.id)
    async with clocked.write(business.id) as db:
        asked = await privacy.ask(db, me, ada.id)
    for _ in range(3):
        async with clocked.write(business.id) as db:
            assert await copies.claim(db) is not None
        clock.move(LEASE + timedelta(seconds=1))
    assert await build_next(clocked, business.id) is None
    await jobs.sweep({"database": clocked})

    assert (await _seen(clocked, business, me, asked)).state is State.failed
    async with await site.her_browser(clocked, business, ada) as browser:
        assert "could not be made" in (await browser.get("/me/copy")).text
        assert (await browser.fill("/me/copy", "/me/copy")).status_code == 303
    # And a person answers her, by a day.
    async with clocked.read(business.id) as read:
        (waits,) = await requests.waiting(read)
    assert (waits.kind, waits.customer_id, waits.proof) == ("access", ada.id, "session")


async def test_she_has_it_made_anew(
    database: Database, business: Business, ada: Customer, shared_cluster: Cluster
) -> None:
    """With what she has corrected since; the one before is gone, and one on its way stays."""
    me = Actor.customer(ada.id)
    first = await built(database, business.id, me, ada.id)
    async with database.write(business.id) as db:
        await customers.change(db, me, ada.id, Changes(name="Ada Byron"))
    async with await site.her_browser(database, business, ada) as browser:
        await browser.fill("/me/copy", "/me/copy", anew="yes")
        async with database.read(business.id) as read:
            begun = await copies.newest(read, me, ada.id)
        await browser.fill("/me/copy", "/me/copy", anew="yes")
    done = await build_next(database, business.id)

    assert done is not None
    assert begun is not None
    assert (begun.id, done.state) == (done.id, State.ready)
    assert (await _seen(database, business, me, first)).state is State.over
    assert lines(inside(await content(database, business.id, done)), "profile")[0]["name"] == (
        "Ada Byron"
    )
    await jobs.sweep({"database": database})
    assert await _parts(shared_cluster, business) == done.parts


async def test_one_that_is_gone_is_no_failure_of_the_worker(
    database: Database, business: Business, ada: Customer
) -> None:
    """Erased before anything of her was read: the next copy is built in the same run."""
    async with database.write(business.id) as db:
        await copies.ask(db, Actor.customer(ada.id), ada.id)
    async with database.write(business.id) as db:
        claimed = await copies.claim(db)
    assert claimed is not None
    async with database.write(business.id) as db:
        await privacy.erase(db, Actor.customer(ada.id), ada.id)

    assert (await building.build(database, business.id, claimed)).state is State.building


async def test_a_copy_says_what_of_it_is_signed(database: Database, known: Life) -> None:
    """Without the key no receipts are in it, and no file of it says that they are."""
    async with database.snapshot(known.business.id) as read:
        held = await contents(read, known.customer.id)
        with speaking("en"):
            whole = readme(held).decode()
            none = readme(replace(held, receipts=None)).decode()
    assert "receipts.json has your decisions, signed" in whole
    assert "receipts.json" not in none
    assert "There are no signed receipts in this copy" in " ".join(none.split())


async def test_who_else_receives_her_data_is_in_it(database: Database, business: Business) -> None:
    """Of purposes that are on."""
    party = Party(name="Mail House", role="prints", country="DE")
    async with database.write(business.id) as db:
        on = await make.purpose(db, recipients=(party,))
        off = await make.purpose(db, name="Offers", recipients=(party,))
        (her,) = await make.audience(db, await make.notice(db, on.id), 1)
        await make.notice(db, off.id)
    (row,) = lines(inside(await taken(database, business.id, her)), "recipients")
    assert (row["purpose"], row["name"], row["role"]) == (on.name, "Mail House", "prints")


async def test_the_sweep_wakes_for_what_nobody_heard_of(
    database: Database, business: Business, ada: Customer
) -> None:
    """Redis was away when she asked: the row is the truth."""
    async with database.write(business.id) as db:
        asked = await privacy.ask(db, Actor.customer(ada.id), ada.id)
        db.wakes.clear()
    woken: list[tuple[str, tuple[str, ...]]] = []

    async def wake(job: str, args: tuple[str, ...], _slot: str) -> None:
        woken.append((job, args))

    waking = Database(database.connections, database.keys, wake, database.clock)
    await jobs.sweep({"database": waking})
    assert ("privacy.build", (str(business.id),)) in woken

    await jobs.build({"database": database, "building": asyncio.Lock()}, str(business.id))
    done = await _seen(database, business, Actor.customer(ada.id), asked)
    assert done.state is State.ready


async def test_it_is_hers_alone(
    database: Database, business: Business, nora: Life, ada: Customer
) -> None:
    """Nothing of anybody else of the same business is in it."""
    files = inside(await taken(database, business.id, ada.id))
    text = b"".join(files.values()).decode()

    assert ada.address in text
    assert "nora" not in text.lower()
    assert nora.customer.id.hex not in text.replace("-", "")


async def _seen(
    database: Database, business: Business, by: Actor, copy: privacy.Copy
) -> privacy.Copy:
    async with database.read(business.id) as db:
        return await copies.get(db, by, copy.id)


async def _letters(database: Database, business: Business) -> list[EmailMessage]:
    async with database.write(business.id) as db:
        claimed = await claim_letters(db, 10)
    return [email.message_from_bytes(each.content, policy=email.policy.default) for each in claimed]


async def _letters_to(database: Database, business: Business, address: str) -> list[EmailMessage]:
    return [each for each in await _letters(database, business) if each["To"] == address]


def _text(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert isinstance(body, EmailMessage)
    return str(body.get_content())


async def _kept(cluster: Cluster, business: Business) -> list[bytes]:
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        rows = await conn.fetch(
            "SELECT content FROM crm.copy_part WHERE business_id = $1", business.id
        )
    finally:
        await conn.close()
    return [row["content"] for row in rows]


async def _parts(cluster: Cluster, business: Business) -> int:
    return len(await _kept(cluster, business))
