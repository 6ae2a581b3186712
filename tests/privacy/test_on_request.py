"""At a customer's request: staff and programs copy and erase, and she can see it."""

from __future__ import annotations

import json

import pytest

from crm import customers, events, staff
from crm.businesses import Business
from crm.customers import Customer, UnknownCustomer
from crm.db import Database
from crm.staff import Role, Scope
from tests.privacy import site


async def _say_why(database: Database, business: Business, customer: Customer) -> None:
    async with database.write(business.id) as db:
        for member in await staff.members(db):
            await staff.give_reason(db, member, customer.id, "her letter of today")


async def test_staff_see_it_only_with_a_reason(
    database: Database, business: Business, ada: Customer
) -> None:
    """First why, then the page; the look is on record before it is shown."""
    page = f"/staff/customers/{ada.id}/privacy"
    async with await site.staff_browser(database, business, Role.care) as browser:
        asked = await browser.get(page)
        await _say_why(database, business, ada)
        shown = await browser.get(page)

    assert "Why do you open this record?" in asked.text
    assert "Delete everything about this customer" in shown.text
    async with database.read(business.id) as db:
        looks = await events.looks_at(db, ada.id)
    assert [look.reason for look in looks] == ["her letter of today"]


async def test_staff_take_a_copy(database: Database, business: Business, ada: Customer) -> None:
    """The file is everything; the customer reads who took it and why."""
    page = f"/staff/customers/{ada.id}/privacy"
    async with await site.staff_browser(database, business, Role.care) as browser:
        await _say_why(database, business, ada)
        answer = await browser.fill(page, f"/staff/customers/{ada.id}/export")

    assert answer.status_code == 200
    assert (
        json.loads(site.inside(answer.content)["copy.json"])["customer"]["customer"]["address"]
        == ada.address
    )
    async with database.read(business.id) as db:
        newest = (await events.looks_at(db, ada.id))[0]
    assert (newest.kind, newest.reason) == ("customer.exported", "her letter of today")


async def test_staff_erase_only_when_they_say_she_asked(
    database: Database, business: Business, ada: Customer
) -> None:
    """A form without the tick comes back; with it she is gone."""
    page, action = (f"/staff/customers/{ada.id}/{name}" for name in ("privacy", "erasure"))
    async with await site.staff_browser(database, business, Role.care) as browser:
        await _say_why(database, business, ada)
        hasty = await browser.fill(page, action)
        done = await browser.fill(page, action, asked="yes")

    assert hasty.status_code == 422
    assert "Tick that the customer asked for it." in hasty.text
    assert done.headers["location"] == "/staff/customers"
    async with database.read(business.id) as db:
        with pytest.raises(UnknownCustomer):
            await customers.get(db, ada.id)


async def test_an_editor_sees_and_may_neither(
    database: Database, business: Business, ada: Customer
) -> None:
    """The page says so, and so do the forms that are not on it."""
    page = f"/staff/customers/{ada.id}/privacy"
    async with await site.staff_browser(database, business, Role.editor) as browser:
        await _say_why(database, business, ada)
        shown = await browser.get(page)
        copied = await browser.fill(page, f"/staff/customers/{ada.id}/export")
        erased = await browser.fill(page, f"/staff/customers/{ada.id}/erasure", asked="yes")

    assert "Delete everything about this customer" not in shown.text
    assert (copied.status_code, erased.status_code) == (403, 403)


async def test_a_program_takes_a_copy(
    database: Database, business: Business, ada: Customer
) -> None:
    """With its declared reason in the list of looks, and nothing kept under an Idempotency-Key."""
    async with await site.program(database, business, Scope.customers_read) as api:
        headers = {"idempotency-key": '"one"'}
        first = await api.post(f"/v1/customers/{ada.id}/export", headers=headers)
        erasing = await api.post(f"/v1/customers/{ada.id}/erasure")
        async with database.write(business.id) as db:
            await customers.forget(db, ada.id)
        again = await api.post(f"/v1/customers/{ada.id}/export", headers=headers)

    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-store"
    assert first.json()["looks"][-1]["reason"] == "to answer her request"
    assert (erasing.status_code, again.status_code) == (403, 404)


async def test_a_program_erases_once(database: Database, business: Business, ada: Customer) -> None:
    """The same key gets the same answer, and so does another one."""
    async with await site.program(database, business, Scope.customers_write) as api:
        path = f"/v1/customers/{ada.id}/erasure"
        answers = [
            await api.post(path, headers={"idempotency-key": key})
            for key in ('"one"', '"one"', '"two"')
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.content for answer in answers}) == 1
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[0].json()["customer_id"] == str(ada.id)


@pytest.mark.parametrize("verb", ["export", "erasure"])
async def test_a_strangers_customer_is_not_there(
    database: Database, business: Business, foreign: Customer, verb: str
) -> None:
    """Neither for a program nor for an owner."""
    async with await site.program(database, business, *Scope) as api:
        asked = await api.post(f"/v1/customers/{foreign.id}/{verb}")
    async with await site.staff_browser(database, business, Role.owner) as browser:
        shown = await browser.get(f"/staff/customers/{foreign.id}/privacy")

    assert (asked.status_code, shown.status_code) == (404, 404)
    assert asked.json()["code"] == "unknown_customer"
