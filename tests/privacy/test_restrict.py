"""A freeze ends when she says so, or three days after she was told; meanwhile nothing is taken."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor
from crm.privacy import (
    NewRequest,
    RequestKind,
    copies,
    jobs,
    requests,
    restriction,
)
from crm.privacy.requests.model import Proof, Way
from crm.privacy.restriction.actions import Frozen
from crm.staff import Role, Scope
from tests import make
from tests.privacy import site
from tests.privacy.conftest import Clock
from tests.privacy.letters import letters


async def _freeze(database: Database, business: Business, customer: Customer) -> None:
    async with database.write(business.id) as db:
        await customers.restrict(db, make.SYSTEM, customer.id)


async def _frozen(database: Database, business: Business, customer: Customer) -> bool:
    async with database.read(business.id) as db:
        return (await customers.get(db, customer.id)).restricted_at is not None


async def test_a_program_ends_it_after_she_was_told(
    clocked: Database, business: Business, ada: Customer, clock: Clock
) -> None:
    """Said twice she is told once; before the three days are over nothing has changed."""
    await _freeze(clocked, business, ada)
    async with await site.program(clocked, business, Scope.customers_write) as caller:
        path = f"/v1/customers/{ada.id}/restriction"
        answers = [await caller.delete(path) for _ in range(2)]
    async with clocked.write(business.id) as db:
        (letter,) = await letters(db)
    clock.move(timedelta(days=3) - timedelta(seconds=1))
    await jobs.sweep({"database": clocked})
    early = await _frozen(clocked, business, ada)
    clock.move(timedelta(seconds=1))
    await jobs.sweep({"database": clocked})

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert letter.to == ada.address
    assert "Keep it frozen" in letter.text
    assert early
    assert not await _frozen(clocked, business, ada)


async def test_she_keeps_it(
    clocked: Database, business: Business, ada: Customer, clock: Clock
) -> None:
    """One press, and what staff began comes to nothing."""
    await _freeze(clocked, business, ada)
    async with await site.staff_browser(clocked, business, Role.care) as care:
        token = await care.get("/staff/requests/new")
        assert token.status_code == 200
        await care.fill("/staff/requests/new", f"/staff/customers/{ada.id}/restriction/end")
    async with await site.her_browser(clocked, business, ada) as her:
        shown = await her.get("/me/delete")
        await her.fill("/me/delete", "/me/restriction", decision="freeze")
        after = await her.get("/me/delete")
    clock.move(timedelta(days=4))
    await jobs.sweep({"database": clocked})

    assert "We mean to end the freeze on" in shown.text
    assert "We mean to end the freeze on" not in after.text
    assert await _frozen(clocked, business, ada)


async def test_she_ends_it_at_once(database: Database, business: Business, ada: Customer) -> None:
    """Nobody has to be told who says it herself; where nothing is frozen nothing ends."""
    async with database.write(business.id) as db:
        assert await restriction.announce(db, make.SYSTEM, ada.id) is None
    await _freeze(database, business, ada)
    async with await site.her_browser(database, business, ada) as her:
        await her.fill("/me/delete", "/me/restriction", decision="free")
    assert not await _frozen(database, business, ada)


async def test_nobody_takes_a_copy_of_a_frozen_record(
    database: Database, business: Business, ada: Customer
) -> None:
    """But she, and whoever answers her when she has asked for one."""
    await _freeze(database, business, ada)
    shop = Actor.key(uuid4(), "Shop")
    with pytest.raises(Frozen):
        async with database.write(business.id) as db:
            await copies.ask(db, shop, ada.id, reason="to answer")
    async with database.write(business.id) as db:
        hers = await copies.ask(db, Actor.customer(ada.id), ada.id)
        new = NewRequest(kind=RequestKind.access, customer_id=ada.id, words="All of it.")
        await requests.receive(db, make.SYSTEM, new, way=Way.letter, proof=Proof.person)
        asked = await copies.ask(db, shop, ada.id, reason="to answer")

    assert hers.customer_id == asked.customer_id == ada.id
