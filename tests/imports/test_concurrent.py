"""Imports take turns, and what customers do while one works has its way."""

from __future__ import annotations

import asyncio

import pytest

from crm import consent, customers, imports
from crm.businesses import Business
from crm.consent import Method, Status
from crm.db import Database
from crm.events import Actor
from crm.imports import AnotherRuns, Import, Progress, SameFile, State
from tests import make
from tests.conftest import Cluster
from tests.imports.lists import (
    HEADER,
    SLUG,
    held,
    letter,
    many,
    recorded,
    row,
    rows,
    somebody_waits,
    take,
    tally,
)


async def test_of_two_at_once_one_is_refused(database: Database, business: Business) -> None:
    await letter(database, business.id)
    text = many(3000)

    ends = await asyncio.gather(
        take(database, business.id, text),
        take(database, business.id, text),
        return_exceptions=True,
    )

    [done] = [each for each in ends if isinstance(each, Import)]
    [refused] = [each for each in ends if not isinstance(each, Import)]
    assert isinstance(refused, AnotherRuns)
    assert tally(done) == (3000, 0, 0, 0)
    assert await rows(database, business.id, "customer") == 3000
    assert await rows(database, business.id, "import") == 1


async def test_on_top_of_a_running_one(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    begun = asyncio.Event()

    def watch(progress: Progress) -> None:
        assert 0 < progress.share <= 1
        begun.set()

    text = many(8000)
    running = asyncio.create_task(take(database, business.id, text, watch=watch))
    await begun.wait()

    with pytest.raises(AnotherRuns, match=r"running since \d\d:\d\d:\d\d UTC"):
        await take(database, business.id, many(3, "other"))
    async with database.write(business.id) as db:
        with pytest.raises(SameFile):
            await imports.receive(db, Actor.system(), notice.purpose_id, "a", text.encode())
    async with database.write(business.id) as db:
        received = await make.received(db, SLUG, many(3, "other"))
    assert await imports.work_waiting(database, business.id, received.id) is None
    async with database.read(business.id) as read:
        assert (await imports.get(read, received.id)).state is State.waiting

    assert tally(await running) == (8000, 0, 0, 0)
    later = await imports.work_waiting(database, business.id, received.id)
    assert later is not None
    assert tally(later) == (3, 0, 0, 0)


async def test_the_same_file_waits_once(database: Database, business: Business) -> None:
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await make.received(db, SLUG, many(3))
    async with database.write(business.id) as db:
        with pytest.raises(SameFile):
            await make.received(db, SLUG, many(3))


async def test_who_signs_up_and_leaves_in_that_very_moment(
    database: Database, business: Business, shared_cluster: Cluster
) -> None:
    """Her row is not there when the import looks, and is when it writes."""
    notice = await letter(database, business.id)
    text = HEADER + row("ada@example.com") + row("nora@example.com") + row("ola@example.com")
    async with database.write(business.id) as db:
        nora = await make.customer(db, address="nora@example.com")
        await consent.withdraw(
            db, Actor.customer(nora.id), nora.id, notice.purpose_id, method=Method.portal
        )
        running = asyncio.create_task(take(database, business.id, text))
        await somebody_waits(shared_cluster)
    done = await running

    assert tally(done) == (2, 0, 1, 0)
    assert recorded(done) == (2, 0, 0, 0)
    found = await held(database, notice, business.id, "nora@example.com")
    assert found.status is Status.withdrawn
    assert len(found.history) == 1


async def test_who_leaves_while_her_consent_is_written(
    database: Database, business: Business, shared_cluster: Cluster
) -> None:
    """She was known and undecided when the import looked."""
    notice = await letter(database, business.id)
    await take(database, business.id, HEADER + row("nora@example.com", confirmed=""))
    async with database.write(business.id) as db:
        [nora] = await customers.search(db, customers.Wanted(address="nora@example.com"))
        await consent.withdraw(
            db, Actor.customer(nora.id), nora.id, notice.purpose_id, method=Method.portal
        )
        running = asyncio.create_task(take(database, business.id, HEADER + row("nora@example.com")))
        await somebody_waits(shared_cluster)
    await running

    found = await held(database, notice, business.id, "nora@example.com")
    assert found.status is Status.withdrawn
    assert not found.mailable
