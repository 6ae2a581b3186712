"""At a customer's request: staff and programs copy and erase, and she can see it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from crm import customers, events, privacy, staff
from crm.businesses import Business
from crm.customers import Customer, UnknownCustomer
from crm.db import Database
from crm.events import Actor
from crm.mail.actions import claim_letters
from crm.privacy import copies
from crm.privacy.copies.building import build_next
from crm.privacy.copies.model import State
from crm.staff import Role, Scope
from tests.privacy import site
from tests.privacy.taken import inside, lines


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
    """The file is everything; the customer reads who took it and why; a colleague has none."""
    page = f"/staff/customers/{ada.id}/privacy"
    async with await site.staff_browser(database, business, Role.care) as browser:
        await _say_why(database, business, ada)
        await browser.fill(page, f"/staff/customers/{ada.id}/copy")
        waits = await browser.get(page)
        await build_next(database, business.id)
        ready = await browser.get(page)
        answer = await browser.get(f"/staff/customers/{ada.id}/copy/file")
    async with await site.staff_browser(database, business, Role.owner) as colleague:
        none = await colleague.get(f"/staff/customers/{ada.id}/copy/file")

    assert "It is being made" in waits.text
    assert "It is ready until" in ready.text
    assert (answer.status_code, none.status_code) == (200, 409)
    assert lines(inside(answer.content), "profile")[0]["address"] == ada.address
    async with database.read(business.id) as db:
        (newest, *_) = [
            each for each in await events.looks_at(db, ada.id) if each.kind == "customer.exported"
        ]
        # The page three times, and the file.
        taken = [each for each in await events.looks_at(db, ada.id) if each.kind != newest.kind]
    assert newest.reason == "her letter of today"
    assert [each.reason for each in taken].count("her letter of today") == 4


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
    assert done.headers["location"] == f"/staff/customers/{ada.id}/erasure"
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
        copied = await browser.fill(page, f"/staff/customers/{ada.id}/copy")
        erased = await browser.fill(page, f"/staff/customers/{ada.id}/erasure", asked="yes")

    assert "Delete everything about this customer" not in shown.text
    assert (copied.status_code, erased.status_code) == (403, 403)


async def test_a_program_takes_a_copy(
    database: Database, business: Business, ada: Customer
) -> None:
    """Asked for once under a key, watched, fetched; its declared reason is in the list of looks."""
    headers = {"idempotency-key": '"one"'}
    path = f"/v1/customers/{ada.id}/copies"
    async with await site.program(database, business, Scope.customers_export) as api:
        asked = await api.post(path, json={"tell_customer": True}, headers=headers)
        where = asked.headers["location"]
        early = await api.get(f"{where}/file")
        await build_next(database, business.id)
        again = await api.post(path, json={"tell_customer": True}, headers=headers)
        ready = (await api.get(where)).json()
        answer = await api.get(ready["file"])
        listed = (await api.get(path)).json()
    async with await site.program(database, business, Scope.customers_export) as other:
        foreign = [await other.get(each) for each in (where, ready["file"])]
        others = (await other.get(path)).json()

    assert (asked.status_code, asked.json()["state"], early.status_code) == (202, "waiting", 409)
    assert early.json()["code"] == "not_ready"
    assert (again.content, again.headers["location"]) == (asked.content, where)
    assert (ready["state"], ready["bytes"]) == ("ready", len(answer.content))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert lines(inside(answer.content), "looks")[0]["reason"] == "to answer her request"
    assert [each.status_code for each in foreign] == [404, 404]
    assert (listed, others) == ([ready], [])


async def test_a_key_that_reads_takes_no_copy(
    database: Database, business: Business, ada: Customer
) -> None:
    """Everything there is of a customer takes a scope of its own."""
    async with database.write(business.id) as db:
        copy = await copies.ask(db, Actor.key(uuid4(), "Shop"), ada.id, reason="to answer")
    scopes = [each for each in Scope if each is not Scope.customers_export]
    async with await site.program(database, business, *scopes) as api:
        answers = [
            await api.post(f"/v1/customers/{ada.id}/copies", json={}),
            await api.get(f"/v1/customers/{ada.id}/copies"),
            await api.get(f"/v1/copies/{copy.id}"),
            await api.get(f"/v1/copies/{copy.id}/file"),
        ]
    assert [each.json()["code"] for each in answers] == ["scope_missing"] * 4


async def test_each_time_it_is_fetched_is_a_look(
    database: Database, business: Business, ada: Customer
) -> None:
    async with await site.program(database, business, Scope.customers_export) as api:
        asked = await api.post(f"/v1/customers/{ada.id}/copies", json={})
        await build_next(database, business.id)
        for _ in range(2):
            await api.get(f"{asked.headers['location']}/file")
    async with database.read(business.id) as db:
        kinds = [each.kind.value for each in await events.looks_at(db, ada.id)]
    assert kinds == ["customer.looked", "customer.looked", "customer.exported"]


@pytest.mark.parametrize("wish", ["frozen", "leaving"])
async def test_a_copy_that_is_ready_stays_here_once_she_says_so(
    database: Database, business: Business, ada: Customer, wish: str
) -> None:
    """Asked for before she froze her record or planned to leave: staff and programs get nothing."""
    async with await site.program(database, business, Scope.customers_export) as api:
        asked = await api.post(f"/v1/customers/{ada.id}/copies", json={})
        async with await site.staff_browser(database, business, Role.care) as care:
            await _say_why(database, business, ada)
            page = f"/staff/customers/{ada.id}/privacy"
            await care.fill(page, f"/staff/customers/{ada.id}/copy")
            for _ in range(2):
                await build_next(database, business.id)
            # One more, which is ready only afterwards.
            async with database.write(business.id) as db:
                till = Actor.key(uuid4(), "Till")
                late = await copies.ask(db, till, ada.id, reason="to answer")
                me = await customers.get(db, ada.id)
                if wish == "frozen":
                    await privacy.freeze_herself(db, me)
                else:
                    await privacy.plan(db, me, privacy.Fingerprint.keep)
            await build_next(database, business.id)
            answers = [
                await api.get(f"{asked.headers['location']}/file"),
                await care.get(f"/staff/customers/{ada.id}/copy/file"),
            ]
    async with database.write(business.id) as db:
        assert (await copies.get(db, till, late.id)).state is State.failed
        hers = await copies.ask(db, Actor.customer(ada.id), ada.id)
    done = await build_next(database, business.id)

    assert [each.status_code for each in answers] == [409, 409]
    assert done is not None
    assert (done.id, done.state) == (hers.id, State.ready)


async def test_she_is_told_only_where_the_program_says_so(
    database: Database, business: Business, ada: Customer
) -> None:
    """By a mail that names who, and the reason, and leads to who looked."""
    path = f"/v1/customers/{ada.id}/copies"
    async with await site.program(database, business, Scope.customers_export) as api:
        await api.post(path, json={})
    await build_next(database, business.id)
    async with database.write(business.id) as db:
        assert await claim_letters(db, 10) == []
    async with await site.program(database, business, Scope.customers_export) as api:
        await api.post(path, json={"tell_customer": True})
    await build_next(database, business.id)
    async with database.write(business.id) as db:
        (letter,) = await claim_letters(db, 10)

    for said in (b"Shop website took a copy", b"to answer her request", b"/me/looks"):
        assert said in letter.content


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


@pytest.mark.parametrize("verb", ["copies", "erasure"])
async def test_a_strangers_customer_is_not_there(
    database: Database, business: Business, foreign: Customer, verb: str
) -> None:
    """Neither for a program nor for an owner."""
    async with await site.program(database, business, *Scope) as api:
        asked = await api.post(f"/v1/customers/{foreign.id}/{verb}", json={})
    async with await site.staff_browser(database, business, Role.owner) as browser:
        shown = await browser.get(f"/staff/customers/{foreign.id}/privacy")

    assert (asked.status_code, shown.status_code) == (404, 404)
    assert asked.json()["code"] == "unknown_customer"
