"""Deleting everything: at once, once, for her alone, and what stays is what was said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm import access, campaigns, consent, customers, events, privacy
from crm.businesses import Business
from crm.consent import Method
from crm.customers import Customer, UnknownCustomer
from crm.db import Database
from crm.events import Actor, Kind
from crm.mail import Scope, Why
from crm.privacy import Fingerprint, NotHerChoice
from tests import make
from tests.privacy import site
from tests.privacy.conftest import Clock
from tests.privacy.life import Life, suppressed


async def _erase(database: Database, life: Life, fingerprint: Fingerprint) -> privacy.Erased:
    async with database.write(life.business.id) as db:
        return await privacy.erase(db, life.actor, life.customer.id, fingerprint=fingerprint)


async def test_waiting_mails_are_taken_out_and_sent_ones_still_count(
    database: Database, nora: Life
) -> None:
    """The sums of both campaigns hold; nobody is named by them (promises 2 and 3)."""
    await _erase(database, nora, Fingerprint.keep)

    async with database.read(nora.business.id) as db:
        got = await campaigns.recount(db, nora.got.id)
        waits = await campaigns.recount(db, nora.waits.id)
    assert (got.audience, got.sent) == (1, 1)
    assert (waits.audience, waits.waiting, waits.reasons) == (1, 0, {"erased": 1})


async def test_the_fingerprint_stays_for_marketing(database: Database, nora: Life) -> None:
    """So that an old list does not bring newsletters back, and a new sign-up still works."""
    await _erase(database, nora, Fingerprint.keep)

    kept = await suppressed(database, nora)
    assert kept is not None
    assert (kept.scope, kept.reason) == (Scope.marketing, Why.erased)


async def test_she_may_have_the_fingerprint_deleted_too(database: Database, nora: Life) -> None:
    """Then her address is a stranger's, whatever stood against it before."""
    async with database.write(nora.business.id) as db:
        await consent.withdraw_all(db, nora.actor, nora.customer.id, method=Method.portal)

    await _erase(database, nora, Fingerprint.drop)

    assert await suppressed(database, nora) is None


async def test_nobody_else_may_have_it_deleted(database: Database, nora: Life) -> None:
    """Staff and programs cannot make an address mailable that asked to be forgotten."""
    async with database.write(nora.business.id) as db:
        for by in (nora.member.actor, Actor.system()):
            with pytest.raises(NotHerChoice):
                await privacy.erase(db, by, nora.customer.id, fingerprint=Fingerprint.drop)
        assert await customers.get(db, nora.customer.id) == nora.customer


async def test_again_changes_nothing(database: Database, nora: Life) -> None:
    """The instant is that of the first time, and so is the one event that names nobody."""
    first = await _erase(database, nora, Fingerprint.keep)
    second = await _erase(database, nora, Fingerprint.drop)

    assert second == first
    assert await suppressed(database, nora) is not None
    async with database.read(nora.business.id) as db:
        told = [
            each
            for each in await events.page(db)
            if each.kind is Kind.customer_erased and each.ref == nora.customer.id
        ]
        assert [each async for each in events.export(db, nora.customer.id)] == []
    assert [(each.customer_id, each.reason) for each in told] == [(None, "")]


async def test_she_can_begin_anew(database: Database, nora: Life) -> None:
    """The same address signs up again as somebody new, with no past."""
    await _erase(database, nora, Fingerprint.keep)

    async with database.write(nora.business.id) as db:
        again = await make.customer(db, address=nora.customer.address)
        assert again.id != nora.customer.id
        assert await consent.history(db, again.id) == []


async def test_it_is_all_or_nothing(database: Database, nora: Life) -> None:
    """What fails at the end of the transaction leaves her as she was."""

    class Broken(Exception):
        """Something goes wrong after the erasure."""

    async def fail() -> None:
        async with database.write(nora.business.id) as db:
            await privacy.erase(db, nora.actor, nora.customer.id)
            raise Broken

    with pytest.raises(Broken):
        await fail()

    async with database.read(nora.business.id) as read:
        assert await customers.get(read, nora.customer.id) == nora.customer
        assert await consent.history(read, nora.customer.id)


async def test_a_strangers_customer_is_not_there(
    database: Database, business: Business, foreign: Customer
) -> None:
    """Another business's customer cannot be copied or erased from here."""
    async with database.write(business.id) as db:
        with pytest.raises(UnknownCustomer):
            await privacy.erase(db, Actor.system(), foreign.id)
        with pytest.raises(UnknownCustomer):
            await privacy.ask(db, Actor.key(foreign.id, "Till"), foreign.id, reason="asked")


async def test_pressing_the_button(database: Database, business: Business, nora: Life) -> None:
    """Look, choose, confirm: then she is gone, signed out, and told what stays."""
    async with await site.her_browser(database, business, nora.customer) as browser:
        looked = await browser.get("/me/delete")
        chosen = await browser.fill("/me/delete", "/me/deletion", fingerprint="drop")
        last = await browser.get(chosen.headers["location"])
        done = await browser.fill(
            chosen.headers["location"],
            "/me/deletion/confirmation",
            fingerprint="drop",
            when="now",
        )
        shown = await browser.get(done.headers["location"])
        after = await browser.get("/me")

    assert "What goes" in looked.text
    assert "What stays, and why" in looked.text
    assert (chosen.status_code, last.status_code, done.status_code) == (303, 200, 303)
    assert "Delete everything about me" in last.text
    assert "Everything we held about you is gone" in shown.text
    assert nora.customer.address not in shown.text
    assert "Nora" not in shown.text
    assert after.headers["location"] == "/sign-in"
    assert await suppressed(database, nora) is None


@pytest.mark.parametrize("path", ["/me/delete", "/me/deletion?fingerprint=keep"])
async def test_looking_deletes_nothing(
    database: Database, business: Business, ada: Customer, path: str
) -> None:
    """A GET changes nothing (promise 8), nor does choosing."""
    async with await site.her_browser(database, business, ada) as browser:
        assert (await browser.get(path)).status_code == 200
        await browser.fill(path, "/me/deletion", fingerprint="keep")

    async with database.read(business.id) as db:
        assert await customers.get(db, ada.id) == ada


async def test_an_older_sign_in_must_be_made_afresh(
    clocked: Database, clock: Clock, business: Business, ada: Customer
) -> None:
    """After ten minutes a page left open proves nobody's mailbox; nothing is deleted."""
    async with await site.her_browser(clocked, business, ada) as browser:
        clock.move(timedelta(minutes=9, seconds=59))
        assert (await browser.get("/me/deletion")).status_code == 200
        clock.move(timedelta(seconds=1))
        shown = await browser.get("/me/deletion")
        pressed = await browser.fill(
            "/me/delete", "/me/deletion/confirmation", fingerprint="keep", when="now"
        )

    assert (shown.status_code, pressed.status_code) == (403, 403)
    assert "First, sign in once more" in pressed.text
    async with clocked.read(business.id) as db:
        assert await customers.get(db, ada.id) == ada


async def test_a_form_from_elsewhere_deletes_nothing(
    database: Database, business: Business, ada: Customer
) -> None:
    """Without the session's token, or with a word that is no choice, nothing happens."""
    async with await site.her_browser(database, business, ada) as browser:
        foreign = await browser.post("/me/deletion/confirmation", data={"fingerprint": "keep"})
        odd = await browser.fill("/me/delete", "/me/deletion/confirmation", fingerprint="burn")

    assert (foreign.status_code, odd.status_code) == (403, 422)
    async with database.read(business.id) as db:
        assert await customers.get(db, ada.id) == ada


async def test_freezing_is_the_lighter_way(
    database: Database, business: Business, ada: Customer
) -> None:
    """Frozen at one press, free again at another."""
    async with await site.her_browser(database, business, ada) as browser:
        await browser.fill("/me/delete", "/me/restriction", decision="freeze")
        frozen = await browser.get("/me/delete")
        async with database.read(business.id) as db:
            assert (await customers.get(db, ada.id)).restricted_at is not None
        await browser.fill("/me/delete", "/me/restriction", decision="free")

    assert "End the freeze" in frozen.text
    async with database.read(business.id) as db:
        assert (await customers.get(db, ada.id)).restricted_at is None


async def test_old_sessions_and_ways_in_end(database: Database, nora: Life) -> None:
    """No browser is left in which somebody is signed in as nobody."""
    await _erase(database, nora, Fingerprint.keep)

    async with database.read(nora.business.id) as db:
        left = await access.export(db, nora.customer.id)
    assert (left.sessions, left.links, left.signups) == ([], [], [])
