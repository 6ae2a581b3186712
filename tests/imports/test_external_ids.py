"""Time zones and external ids of an export fill what is empty; nobody gets what another has."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from crm import consent, customers, imports
from crm.businesses import Business
from crm.consent import Method, Status
from crm.customers import Changes, Customer, Fill
from crm.db import Database
from crm.events import Actor
from crm.imports import Import
from tests import make
from tests.conftest import Cluster
from tests.imports.lists import SLUG, letter, report, somebody_waits, take, tally

_BY = Actor.system()
_LEFT_OUT = "The external id was left out:"
_TAKEN, _ANOTHER = f"{_LEFT_OUT} another customer has it.", f"{_LEFT_OUT} the customer has another."


def line(who: str, /, **said: Any) -> str:
    return json.dumps({"address": f"{who}@example.com"} | said) + "\n"


async def her(database: Database, business: Business, name: str) -> Customer:
    async with database.read(business.id) as db:
        found = await customers.by_address(db, f"{name}@example.com")
    assert found is not None, name
    return found


async def said(database: Database, business: Business, done: Import) -> list[tuple[int, str]]:
    found = await report(database, business.id, done.id)
    return [(each.line, each.reason) for each in found if "external" in each.reason]


async def test_it_works(database: Database, business: Business) -> None:
    """Of newcomers and of who was here; what somebody entered stays."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await make.customer(db, address="bo@example.com")
        await make.customer(
            db, address="cy@example.com", external_id="c-1", time_zone="Europe/Paris"
        )
        await make.customer(db, address="di@example.com", external_id="d-1")
    text = (
        line("ada", external_id=" a-1 ", time_zone="Europe/Lisbon")
        + line("bo", external_id=17, time_zone="Europe/Lisbon")
        + line("cy", external_id="c-2", time_zone="Europe/Lisbon")
        + line("di", external_id="d-1", time_zone=None)
        + line("eve", external_id=None)
    )

    done = await take(database, business.id, text)
    again = await take(database, business.id, text)

    found = {name: await her(database, business, name) for name in ("ada", "bo", "cy", "di", "eve")}
    assert {name: (each.external_id, each.time_zone) for name, each in found.items()} == {
        "ada": ("a-1", "Europe/Lisbon"),
        "bo": ("17", "Europe/Lisbon"),
        "cy": ("c-1", "Europe/Paris"),
        "di": ("d-1", ""),
        "eve": (None, ""),
    }
    assert (found["ada"].version, found["bo"].version, found["di"].version) == (1, 2, 1)
    assert await said(database, business, done) == [(3, _ANOTHER)]
    # The first time they are asked for the purpose, too.
    assert (done.added, done.changed) == (2, 3)
    assert tally(again) == (0, 0, 5, 0)


async def test_nobody_gets_what_another_has(database: Database, business: Business) -> None:
    """Nor what an earlier row asked for, in this list or in one before."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await make.customer(db, address="old@example.com", external_id="1")
        await make.customer(db, address="bo@example.com")
    text = (
        line("ada", external_id="1")
        + line("bo", external_id="2")
        + line("cy", external_id="2")
        + line("di", external_id="3")
        + line("eve", external_id="3")
    )

    done = await take(database, business.id, text)
    again = await take(database, business.id, text)

    ids = [(await her(database, business, name)).external_id for name in ("ada", "bo", "cy", "di")]
    assert ids == [None, "2", None, "3"]
    assert (await her(database, business, "eve")).external_id is None
    for each in (done, again):
        assert await said(database, business, each) == [(1, _TAKEN), (3, _TAKEN), (5, _TAKEN)]
    assert (done.added, again.unchanged) == (4, 5)


@pytest.mark.parametrize("known", [False, True])
async def test_what_somebody_gets_in_that_very_moment_is_hers(
    *, database: Database, business: Business, shared_cluster: Cluster, known: bool
) -> None:
    """It is free when the import looks, and taken when it writes."""
    await letter(database, business.id)
    if known:
        async with database.write(business.id) as db:
            await make.customer(db, address="ada@example.com", name="")
    async with database.write(business.id) as db:
        other = await make.customer(db, address="other@example.com")
    text = line("ada", name="Ada", external_id="1") + line("bo", external_id="2")
    async with database.write(business.id) as db:
        await customers.change(db, _BY, other.id, Changes(external_id="1"))
        running = asyncio.create_task(take(database, business.id, text))
        await somebody_waits(shared_cluster)
    done = await running

    ada, bo = [await her(database, business, name) for name in ("ada", "bo")]
    assert (ada.name, ada.external_id, bo.external_id) == ("Ada", None, "2")
    assert await said(database, business, done) == [(1, _TAKEN)]
    assert (done.added, done.rejected) == (1 if known else 2, 0)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("time_zone", "Europe/Nowhere", "“time_zone” was left out: it names no zone"),
        ("external_id", "x" * 201, "“external_id” was left out: it is longer"),
        ("external_id", "a\tb", "“external_id” was left out: it is no text"),
        ("external_id", ["a"], "“external_id” was left out: it is no text"),
        ("time_zone", 2, "“time_zone” was left out: it names no zone"),
    ],
)
async def test_what_cannot_be_kept_is_left_out(
    database: Database, business: Business, field: str, value: Any, words: str
) -> None:
    """Also where the line says that she left: that counts all the same."""
    await letter(database, business.id)

    text = line("ada", **{field: value}) + line("bo", status="unsubscribed", **{field: value})
    done = await take(database, business.id, text)

    ada = await her(database, business, "ada")
    assert (done.added, ada.time_zone, ada.external_id) == (2, "", None)
    assert done.withdrawn == 1
    assert any(words in each.reason for each in await report(database, business.id, done.id))


async def test_whoever_is_given_one_may_leave_meanwhile(
    database: Database, business: Business
) -> None:
    """An import may take long; her withdrawal does not wait for it (promise 2)."""
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        (ada,) = await make.audience(db, notice, 1)
    async with database.write(business.id) as importing:
        await customers.fill_many(importing, [Fill(ada, external_id="1")])
        async with asyncio.timeout(10), database.write(business.id) as db:
            by = Actor.customer(ada)
            left = await consent.withdraw(db, by, ada, notice.purpose_id, method=Method.portal)

    assert left.status is Status.withdrawn
    assert (await her(database, business, "reader0")).external_id == "1"


async def test_a_frozen_customer_gets_neither(database: Database, business: Business) -> None:
    await letter(database, business.id)
    async with database.write(business.id) as db:
        ada = await make.customer(db, address="ada@example.com")
        await customers.restrict(db, _BY, ada.id)

    done = await take(
        database, business.id, line("ada", external_id="1", time_zone="Europe/Lisbon")
    )

    ada = await her(database, business, "ada")
    assert (ada.external_id, ada.time_zone) == (None, "")
    assert await said(database, business, done) == []


async def test_a_try_gives_nobody_one(database: Database, business: Business) -> None:
    """It is taken back as a whole, whatever was taken back within."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await make.customer(db, address="ada@example.com")
        text = line("ada", external_id="1") + line("bo", external_id="2")
        received = await make.received(db, SLUG, text, only_try=True)

    tried = await imports.work_waiting(database, business.id, received.id)

    assert tried is not None
    assert (tried.added, tried.changed) == (1, 1)
    assert (await her(database, business, "ada")).external_id is None
    async with database.read(business.id) as read:
        assert await customers.external_ids_among(read, ["1", "2"]) == set()
