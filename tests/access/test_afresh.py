"""Whoever has it already and signs up afresh: asked where her press would change anything."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest

from crm import consent, customers, mail, privacy
from crm.businesses import Business
from crm.consent import Method
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor
from crm.mail import Scope, Why
from crm.privacy import Fingerprint
from tests import make
from tests.access.conftest import Asking, Clock, Inbox, SignUp
from tests.conftest import KEYS

DAY = timedelta(days=1)


@pytest.mark.parametrize(("scope", "why"), [(Scope.all, Why.bounced), (Scope.marketing, Why.staff)])
async def test_her_mailbox_lifts_what_silenced_her(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    nora: Customer,
    moved: Database,
    business: Business,
    asking: Asking,
    scope: Scope,
    why: Why,
) -> None:
    fingerprint = KEYS.address_hash(business.id, "nora@example.com")
    async with moved.write(business.id) as db:
        await mail.suppress(db, make.SYSTEM, fingerprint, scope, why)

    await sign_up.post()

    assert [each.kind for each in await inbox.mails()] == ["confirmation"]
    await web.post((await inbox.newest()).link)
    async with moved.read(business.id) as db:
        assert (await consent.check(db, nora.id, asking.letter.id)).authorises


@pytest.mark.parametrize("leaving", [False, True])
async def test_she_is_not_told_that_she_gets_it_while_nothing_is_sent(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    nora: Customer,
    moved: Database,
    business: Business,
    leaving: bool,
) -> None:
    async with moved.write(business.id) as db:
        if leaving:
            await privacy.plan(db, await customers.get(db, nora.id), Fingerprint.keep)
        else:
            await customers.restrict(db, Actor.customer(nora.id), nora.id)

    await sign_up.post()

    assert (await inbox.newest()).kind == "confirmation"


async def test_new_words_renew_what_runs_out(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    nora: Customer,
    moved: Database,
    business: Business,
    asking: Asking,
    clocked: Clock,
) -> None:
    async with moved.write(business.id) as db:
        await make.other_words(db, asking.letter.id, grace=200 * DAY)

    await sign_up.post()

    assert [each.kind for each in await inbox.mails()] == ["confirmation"]
    await web.post((await inbox.newest()).link)
    clocked.ahead += 201 * DAY
    async with moved.read(business.id) as db:
        assert (await consent.check(db, nora.id, asking.letter.id)).authorises


@pytest.mark.parametrize(("passed", "kind"), [(600, "asked"), (680, "confirmation")])
async def test_it_is_begun_anew_only_when_it_ends_soon(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    nora: Customer,
    moved: Database,
    business: Business,
    clocked: Clock,
    passed: int,
    kind: str,
) -> None:
    async with moved.write(business.id) as db:
        yearly = await make.purpose(db, slug="yearly", validity="P24M")
        notice = await make.notice(db, yearly.id, text="Yes, e-mail me once a year.")
        word = await make.own_word(db, nora.id, Method.portal)
        await consent.give(db, Actor.customer(nora.id), nora.id, notice.question, word)
    clocked.ahead += passed * DAY

    await sign_up.post("nora@example.com", "yearly")

    assert [each.kind for each in await inbox.mails()] == [kind]
