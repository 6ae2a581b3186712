"""The button that deletes everything: never by accident, pressed twice, reloaded, or too late."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from crm import customers, privacy
from crm.access.model import IDLE
from crm.businesses import Business
from crm.customers import Changes, Customer
from crm.db import Database
from crm.privacy import GRACE, Fingerprint, jobs, requests
from crm.privacy.requests.model import RequestKind
from tests import make
from tests.privacy import site
from tests.privacy.conftest import Clock

PATH = "/me/deletion?fingerprint=keep"
_ACTION = re.compile(r'action="(/me/deletion/confirmation[^"]*)"')


async def _pressed(browser: site.Browser, *, when: str = "now") -> tuple[str, dict[str, str]]:
    """Open the last page; return where its form goes, and what it sends."""
    page = (await browser.get(PATH)).text
    action, token = _ACTION.search(page), site.CSRF.search(page)
    assert action is not None
    assert token is not None
    return action[1], {"csrf": token[1], "fingerprint": "keep", "when": when}


async def _deleted(database: Database, business: Business, customer: Customer) -> bool:
    async with database.read(business.id) as db:
        return (await customers.of_ids(db, [customer.id]))[customer.id].erased_at is not None


async def _erasures(database: Database, business: Business) -> int:
    async with database.read(business.id) as db:
        return len(await requests.ended(db, kind=RequestKind.erasure))


async def test_pressed_twice_and_reloaded(
    database: Database, business: Business, ada: Customer
) -> None:
    """The browser shows the answer to the last press: it leads to the same certificate."""
    async with await site.her_browser(database, business, ada) as browser:
        action, fields = await _pressed(browser)
        one = await browser.post(action, data=fields)
        two = await browser.post(action, data=fields)
        shown = [await browser.get(two.headers["location"]) for _ in range(2)]

    assert (one.status_code, two.status_code) == (303, 303)
    assert one.headers["location"] == two.headers["location"]
    assert [each.status_code for each in shown] == [200, 200]
    assert "What was deleted" in shown[1].text
    assert await _erasures(database, business) == 1


async def test_pressed_twice_at_the_same_moment(
    database: Database, business: Business, ada: Customer
) -> None:
    """One erasure, one line in the log of requests, one certificate for both."""
    async with await site.her_browser(database, business, ada) as browser:
        action, fields = await _pressed(browser)
        answers = await asyncio.gather(*(browser.post(action, data=fields) for _ in range(4)))

    assert {each.status_code for each in answers} == {303}
    assert len({each.headers["location"] for each in answers}) == 1
    assert await _deleted(database, business, ada)
    assert await _erasures(database, business) == 1


async def test_later_in_one_tab_after_now_in_the_other(
    database: Database, business: Business, ada: Customer
) -> None:
    """Her last page is open twice, with the opposite chosen: she reads what was done."""
    async with await site.her_browser(database, business, ada) as browser:
        action, now = await _pressed(browser)
        _, later = await _pressed(browser, when="later")
        answers = await asyncio.gather(
            browser.post(action, data=now), browser.post(action, data=later)
        )
        after = await browser.get("/me")

    assert {each.status_code for each in answers} == {303}
    assert await _deleted(database, business, ada)
    assert after.headers["location"] == "/sign-in"


async def test_nothing_is_chosen_beforehand(
    database: Database, business: Business, ada: Customer
) -> None:
    """Enter on the last page deletes nothing: it asks when, with a problem at its place."""
    async with await site.her_browser(database, business, ada) as browser:
        action, fields = await _pressed(browser)
        del fields["when"]
        shown = await browser.post(action, data=fields)
        odd = await browser.post(action, data=fields | {"when": "soon"})

    assert not re.search(r'name="when"[^>]* checked', shown.text)
    assert (shown.status_code, odd.status_code) == (422, 422)
    assert 'class="problem"' in shown.text
    assert "Delete everything about me" in shown.text
    assert not await _deleted(database, business, ada)


async def test_a_session_that_was_over_deletes_nothing_and_says_so(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """She must not take a page about signing in for a deletion, nor the other way round."""
    async with await site.her_browser(clocked, business, ada) as browser:
        action, fields = await _pressed(browser)
        clock.move(IDLE + timedelta(minutes=1))
        pressed = await browser.post(action, data=fields)
        shown = await browser.get(pressed.headers["location"])
        forged = await browser.post("/me/deletion/confirmation?record=x", data=fields)
        file = await browser.get(f"{pressed.headers['location']}/certificate.json")

    assert (shown.status_code, forged.status_code, file.status_code) == (200, 401, 404)
    assert "Nothing was deleted" in shown.text
    assert ada.address not in shown.text
    assert not await _deleted(clocked, business, ada)


async def test_it_goes_on_in_her_language(
    database: Database, business: Business, ada: Customer
) -> None:
    """That she reads Spanish stood in her record, and the browser is told before it goes."""
    async with database.write(business.id) as db:
        ada = await customers.change(db, make.SYSTEM, ada.id, Changes(locale="es"))
    async with await site.her_browser(database, business, ada) as browser:
        action, fields = await _pressed(browser)
        done = await browser.post(action, data=fields)
        shown = await browser.get(done.headers["location"])

    assert "language=es" in str(done.headers.get_list("set-cookie"))
    assert 'action="/language"' in shown.text
    assert f'name="back" value="{done.headers["location"]}"' in shown.text


async def test_end_the_freeze_in_a_tab_of_before(
    database: Database, business: Business, ada: Customer
) -> None:
    """While she waits for her deletion the record stays frozen; she reads what to do first."""
    async with database.write(business.id) as db:
        await privacy.plan(db, ada, Fingerprint.keep)
    async with await site.her_browser(database, business, ada) as browser:
        done = await browser.fill("/me/delete", "/me/restriction", decision="free")
        shown = await browser.get("/me/delete")

    assert done.status_code == 303
    assert "Call the deletion off first" in shown.text
    async with database.read(business.id) as read:
        assert (await customers.get(read, ada.id)).restricted_at is not None


@pytest.mark.parametrize("ends", ["erased", "called off", "forged", "foreign", "cut"])
async def test_a_link_that_calls_nothing_off(
    *,
    clocked: Database,
    clock: Clock,
    business: Business,
    other_business: Business,
    ada: Customer,
    ends: str,
) -> None:
    """Too late, used, made up, of another business or cut: it says so, and changes nothing."""
    async with clocked.write(business.id) as db:
        await privacy.plan(db, ada, Fingerprint.keep)
        link = await site.call_off_link(db)
        if ends == "called off":
            await privacy.call_off(db, ada.id)
    if ends == "erased":
        clock.move(GRACE)
        await jobs.sweep({"database": clocked})
    at = other_business if ends == "foreign" else business
    if ends == "cut":
        link = link[:-5]
    elif ends == "forged":
        link = link[:-1] + ("A" if link[-1] != "A" else "B")
    async with site.stranger(clocked, at) as browser:
        looked, pressed = await browser.get(link), await browser.post(link)

    assert (looked.status_code, pressed.status_code) == (404, 404)
    async with clocked.read(business.id) as read:
        waits = await privacy.wish(read, ada.id)
    assert (waits is None) is (ends in {"erased", "called off"})
