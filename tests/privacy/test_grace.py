"""A deletion that she can call off: nothing of hers is used until then, and then it is done."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from crm import campaigns, consent, customers, events, privacy
from crm.businesses import Business
from crm.customers import Customer, UnknownCustomer
from crm.db import Database
from crm.events import Actor
from crm.privacy import GRACE, Fingerprint, NothingToCallOff, jobs
from crm.staff import BeingErased, Scope
from tests import make
from tests.privacy import site
from tests.privacy.conftest import Clock


@pytest.fixture
async def asked(clocked: Database, business: Business, ada: Customer) -> str:
    """Ada has asked; what comes back is the link of her mail."""
    async with clocked.write(business.id) as db:
        await privacy.plan(db, ada, Fingerprint.drop)
        return await site.call_off_link(db)


@pytest.fixture
async def web(clocked: Database, business: Business) -> Any:
    """Somebody with nothing but a link."""
    app = site.application(clocked)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url=business.origin
    ) as client:
        yield client


async def _gone(database: Database, business: Business, customer: Customer) -> bool:
    async with database.read(business.id) as db:
        try:
            await customers.get(db, customer.id)
        except UnknownCustomer:
            return True
    return False


async def test_it_is_done_when_its_time_has_come(
    clocked: Database, clock: Clock, business: Business, ada: Customer, asked: str
) -> None:
    """Not an instant before; then as she chose, with its certificate."""
    ctx: jobs.Ctx = {"database": clocked}
    clock.move(GRACE - timedelta(seconds=1))
    await jobs.sweep(ctx)
    before = await _gone(clocked, business, ada)
    clock.move(timedelta(seconds=1))
    await asyncio.gather(jobs.sweep(ctx), jobs.sweep(ctx))

    assert (before, await _gone(clocked, business, ada)) == (False, True)
    async with clocked.read(business.id) as db:
        told = (await privacy.certificate(db, ada.id)).certificate
    assert told.asked_by == "customer"
    assert not [each for each in told.stays if each.what.startswith("The fingerprint")]


async def test_she_chooses_it_and_calls_it_off_on_her_pages(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """Two pages and a choice; then it says until when, and one press ends it."""
    path = "/me/deletion?fingerprint=keep"
    async with await site.her_browser(clocked, business, ada) as browser:
        last = await browser.get(path)
        done = await browser.fill(
            path, "/me/deletion/confirmation", fingerprint="keep", when="later"
        )
        home, shown = await browser.get("/me"), await browser.get("/me/delete")
        assert "Three ways to go" not in shown.text
        assert "You can call it off, or have it done now." in shown.text
        assert "<h2><bdi>Do not wait</bdi></h2>" in shown.text
        off = await browser.fill("/me/delete", "/me/deletion/call-off")
        again = await browser.fill("/me/delete", "/me/deletion/call-off")

    assert not re.search(r'name="when"[^>]* checked', last.text)
    assert (done.status_code, done.headers["location"]) == (303, "/me/delete")
    for each in (home, shown):
        assert "Your record is deleted on" in each.text
    assert (off.status_code, again.status_code) == (303, 404)
    clock.move(GRACE)
    await jobs.sweep({"database": clocked})
    async with clocked.read(business.id) as db:
        assert (await customers.get(db, ada.id)).restricted_at is None


async def test_the_link_of_the_mail_calls_it_off_once(
    clocked: Database, business: Business, ada: Customer, asked: str, web: httpx2.AsyncClient
) -> None:
    """No sign-in is needed; opening it does nothing, and a cut one is none."""
    looked = await web.get(asked)
    async with clocked.read(business.id) as db:
        waits = await privacy.wish(db, ada.id)
    cut = await web.post(asked[:-5])
    done, again = await web.post(asked), await web.post(asked)

    assert looked.text.count('<button class="button') == 1
    assert waits is not None
    assert [each.status_code for each in (looked, cut, done, again)] == [200, 404, 200, 404]
    async with clocked.read(business.id) as db:
        assert (await customers.get(db, ada.id)).restricted_at is None


async def test_a_freeze_of_before_stays(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """Calling it off takes back what the deletion did, and no more."""
    async with clocked.write(business.id) as db:
        await privacy.freeze(db, ada.id)
    clock.move(timedelta(hours=1))
    async with clocked.write(business.id) as db:
        await privacy.plan(db, ada, Fingerprint.keep)
        await privacy.plan(db, ada, Fingerprint.keep)
        await privacy.call_off(db, ada.id)
        assert (await customers.get(db, ada.id)).restricted_at is not None
        with pytest.raises(NothingToCallOff):
            await privacy.call_off(db, ada.id)


async def test_nothing_is_used_until_then(
    clocked: Database, business: Business, ada: Customer, asked: str
) -> None:
    """No newsletter, no program that reads her, and nobody else who frees her record."""
    async with clocked.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        word = await make.own_word(db, ada.id)
        await consent.give(db, Actor.customer(ada.id), ada.id, notice.question, word)
        campaign = await make.campaign(db, purpose.id)
        review = await campaigns.review(db, campaign.id)
        for by in (Actor.system(), Actor.customer(ada.id)):
            with pytest.raises(BeingErased):
                await customers.unrestrict(db, by, ada.id)
        assert ada.id not in {each.id for each in await customers.page(db)}
    async with await site.program(clocked, business, *Scope) as api:
        copied = await api.post(
            f"/v1/customers/{ada.id}/copies", json={}, headers={"idempotency-key": "once"}
        )

    assert (review.will_get, review.left_out) == (0, {"frozen": 1})
    assert (copied.status_code, copied.json()["code"]) == (409, "frozen")


async def test_a_program_reads_nothing_of_her(
    api: Any, database: Database, business: Business, customer: Customer
) -> None:
    """Each way to read her record by a key is refused, and is no look."""
    paths = [f"/v1/customers/{customer.id}{end}" for end in ("", "/attributes", "/interactions")]
    before = [(await api.request("GET", path)).status_code for path in paths]
    async with database.write(business.id) as db:
        await privacy.plan(db, customer, Fingerprint.keep)
        seen = len(await events.looks_at(db, customer.id))
    during = [await api.request("GET", path) for path in paths]
    found = await api.request("POST", "/v1/customers/search", json={"address": customer.address})

    assert before == [200] * 3
    assert [each.json()["code"] for each in [*during, found]] == ["being_erased"] * 4
    async with database.read(business.id) as db:
        assert len(await events.looks_at(db, customer.id)) == seen


@pytest.mark.parametrize("kept", [True, False])
async def test_a_program_compares_nobody_with_her(
    api: Any, database: Database, business: Business, *, kept: bool
) -> None:
    """In neither place of a merge, and then it is a look at neither."""
    async with database.write(business.id) as db:
        two = [await make.customer(db, name=name) for name in ("Nora", "Eleonora")]
        await privacy.plan(db, two[not kept], Fingerprint.keep)
    answer = await api.get(f"/v1/customers/{two[0].id}/merge/{two[1].id}")

    assert (answer.status_code, answer.json()["code"]) == (409, "being_erased")
    assert "Nora" not in answer.text
    assert "Eleonora" not in answer.text
    async with database.read(business.id) as db:
        assert [await events.looks_at(db, each.id) for each in two] == [[], []]


async def test_at_once_is_still_possible(
    clocked: Database, business: Business, ada: Customer, asked: str
) -> None:
    """The wish goes with her, and the mail that told of it."""
    async with clocked.write(business.id) as db:
        await privacy.erase_herself(db, ada, Fingerprint.keep)
        told = (await privacy.certificate(db, ada.id)).certificate
        assert await privacy.wish(db, ada.id) is None

    gone = {each.table: each.gone for each in told.stores}
    assert (gone["erasure_wish"], gone["service_message"]) == (1, 1)


async def test_what_was_typed_into_its_address_chooses_nothing(
    database: Database, business: Business, ada: Customer
) -> None:
    """The last page before it opens with the choice that loses her nothing."""
    async with await site.her_browser(database, business, ada) as her:
        odd = await her.get("/me/deletion?fingerprint=x")
        drop = await her.get("/me/deletion?fingerprint=drop")

    assert odd.status_code == drop.status_code == 200
    assert 'name="fingerprint" value="keep"' in odd.text
    assert 'name="fingerprint" value="drop"' in drop.text
