"""Confirming: looking changes nothing, one press counts once, and both instants are kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from crm import access, consent, customers, mail, privacy
from crm.access import actions
from crm.access.credentials import ConfirmLink, confirm_token
from crm.access.model import Confirmed, LinkOver, WrongCode
from crm.businesses import Business
from crm.consent import ConsentEvent, Method, Status
from crm.customers import Customer, Source
from crm.db import Database
from crm.events import Actor
from crm.ids import opaque
from crm.mail import Scope, Why
from crm.privacy import Fingerprint
from crm.tokens import BadLink
from tests import make
from tests.access.conftest import Asking, Clock, Inbox, Rows, SignUp
from tests.conftest import KEYS


async def _nora(database: Database, business: Business) -> tuple[Customer, list[ConsentEvent]]:
    async with database.read(business.id) as db:
        customer = await customers.by_address(db, "nora@example.com")
        assert customer is not None
        return customer, await consent.history(db, customer.id)


async def test_it_works(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    rows: Rows,
    database: Database,
    business: Business,
    asking: Asking,
    clocked: Clock,
) -> None:
    await sign_up.post("Nora@example.com", "letter", "offers")
    clocked.ahead += timedelta(hours=3)
    answer = await web.post((await inbox.newest()).link)

    assert answer.status_code == 200
    assert "Confirmed" in answer.text
    customer, events = await _nora(database, business)
    assert (customer.name, customer.source) == ("Nora", Source.sign_up)
    assert customer.address == "Nora@example.com"
    for purpose, notice in (
        (asking.letter, asking.letter_notice),
        (asking.offers, asking.offers_notice),
    ):
        given, asked = [each for each in events if each.purpose_id == purpose.id]
        assert (asked.status, asked.method) == (Status.requested, Method.web_form)
        assert (given.status, given.method) == (Status.given, Method.double_opt_in)
        assert {asked.notice_id, given.notice_id} == {notice.id}
        assert given.at - asked.at == pytest.approx(timedelta(hours=3), abs=timedelta(seconds=5))
        assert given.opt_in is not None
        assert (given.opt_in.mailed_at, given.opt_in.confirmed_at) == (asked.at, given.at)
        assert given.opt_in.way == "confirm_link"
        assert given.opt_in.message_id.endswith("@corner-bakery.example")
        assert given.request == asked.request
        assert (given.form, given.page) == ("sign_up", "/sign-up")
        assert given.actor_id == customer.id
    assert await rows.count("signup") == 0


async def test_looking_changes_nothing(
    sign_up: SignUp, inbox: Inbox, web: httpx2.AsyncClient, rows: Rows, asking: Asking
) -> None:
    await sign_up.post()
    link = (await inbox.newest()).link
    before = await rows.all()

    page = await web.get(link)
    assert (await web.head(link)).status_code == 200
    assert (await web.get("/confirm")).status_code == 200

    assert await rows.all() == before
    assert asking.letter_notice.text in page.text
    assert page.text.count('<button class="button') == 1
    assert "nora@example.com" not in page.text


async def test_a_second_press_tells_what_the_first_did(
    sign_up: SignUp, inbox: Inbox, web: httpx2.AsyncClient, rows: Rows
) -> None:
    await sign_up.post()
    link = (await inbox.newest()).link
    await web.post(link)
    before = await rows.all()

    again = await web.post(link)
    looked = await web.get(link)

    assert (again.status_code, looked.status_code) == (200, 200)
    assert "confirmed this already" in again.text
    assert "The Corner Letter" in looked.text
    assert await rows.all() == before


@pytest.mark.parametrize("leaving", [False, True])
async def test_while_her_record_is_not_used_no_mail_is_promised(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    moved: Database,
    business: Business,
    asking: Asking,
    nora: Customer,
    leaving: bool,
) -> None:
    """It is recorded; she reads why nothing comes of it, and how she ends that."""
    async with moved.write(business.id) as db:
        if leaving:
            await privacy.plan(db, await customers.get(db, nora.id), Fingerprint.keep)
        else:
            await customers.restrict(db, Actor.customer(nora.id), nora.id)
    await sign_up.post("nora@example.com", "offers")
    link = (await inbox.newest()).link

    page = (await web.post(link)).text

    async with moved.read(business.id) as db:
        state = await consent.state(db, nora.id, asking.offers.id)
        assert not (await consent.check(db, nora.id, asking.offers.id)).authorises
    assert state is not None
    assert state.status is Status.given
    assert "From now on we may write to you" not in page
    assert ("Your record is deleted on" if leaving else "Your record is frozen since") in page
    assert ("call the deletion off" if leaving else "end the freeze") in page


@pytest.mark.parametrize("leaving", [False, True])
async def test_a_link_that_was_pressed_says_nothing_of_how_her_record_stands(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    moved: Database,
    clocked: Clock,
    business: Business,
    asking: Asking,
    nora: Customer,
    leaving: bool,
) -> None:
    """Whoever holds the mail opens it months later, also when she has withdrawn since."""
    await sign_up.post("nora@example.com", "offers")
    link = (await inbox.newest()).link
    await web.post(link)
    her = Actor.customer(nora.id)
    async with moved.write(business.id) as db:
        if leaving:
            await privacy.plan(db, await customers.get(db, nora.id), Fingerprint.keep)
        else:
            await customers.restrict(db, her, nora.id)
    pages = [await web.get(link), await web.post(link)]
    async with moved.write(business.id) as db:
        await consent.withdraw(db, her, nora.id, asking.offers.id, method=Method.portal)
    pages.append(await web.get(link))
    clocked.ahead += timedelta(days=100)
    pages.append(await web.get(link))

    for page in pages:
        assert page.status_code == 200
        assert "confirmed this already" in page.text
        assert "Your record" not in page.text
        assert "What you confirmed here goes with it" not in page.text
        assert "To get what you confirmed here" not in page.text


async def test_two_presses_at_once_are_one_event(
    sign_up: SignUp, inbox: Inbox, database: Database, business: Business
) -> None:
    await sign_up.post()
    token = (await inbox.newest()).link.rpartition("/")[2]

    async def press() -> Confirmed:
        async with database.write(business.id) as db:
            return await access.confirm(db, token)

    done = await asyncio.gather(*(press() for _ in range(6)))

    assert sorted(each.before for each in done) == [False] + [True] * 5
    assert len((await _nora(database, business))[1]) == 2


async def test_the_code_confirms_too_however_it_is_typed(
    sign_up: SignUp, inbox: Inbox, web: httpx2.AsyncClient, database: Database, business: Business
) -> None:
    sent = await sign_up.post("nora@example.com")
    assert 'value="nora@example.com"' in (await web.get(sent.headers["location"])).text
    code = (await inbox.newest()).code.lower().replace(" ", "-").replace("0", "o")

    answer = await web.post("/confirm", data={"address": "NORA@example.com", "code": code})

    assert answer.status_code == 200
    events = (await _nora(database, business))[1]
    assert events[0].opt_in is not None
    assert events[0].opt_in.way == "confirm_code"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"address": "nora@example.com", "code": "AAAA AAAA"}, "This code does not belong"),
        ({"address": "nobody@example.com", "code": "AAAA AAAA"}, "This code does not belong"),
        ({"address": "nora@example.com", "code": ""}, "Please fill this in"),
        ({"address": "nora", "code": "AAAA AAAA"}, "There is an @ missing"),
        ({}, "Please fill this in"),
    ],
)
async def test_a_wrong_code_is_refused_alike_for_everybody(
    sign_up: SignUp, web: httpx2.AsyncClient, rows: Rows, typed: dict[str, str], said: str
) -> None:
    await sign_up.post()

    answer = await web.post("/confirm", data=typed)

    assert answer.status_code == 422
    assert said in answer.text
    assert await rows.count("signup") == 1


async def test_a_thousand_wrong_codes_lock_codes_and_not_the_link(
    sign_up: SignUp, inbox: Inbox, web: httpx2.AsyncClient, rows: Rows
) -> None:
    await sign_up.post()
    sent = await inbox.newest()
    answers = [
        (await web.post("/confirm", data={"address": "nora@example.com", "code": f"{n:08}"}))
        for n in range(1000)
    ]

    assert [a.status_code for a in answers[:10]] == [422] * 10
    assert {a.status_code for a in answers[10:]} == {429}
    assert "The link in the mail still works" in answers[-1].text
    assert int(answers[-1].headers["retry-after"]) <= 900
    right = await web.post("/confirm", data={"address": "nora@example.com", "code": sent.code})
    assert right.status_code == 429
    assert await rows.count("customer") == 0
    assert (await web.post(sent.link)).status_code == 200
    assert await rows.count("customer") == 1


async def test_codes_are_bound_to_their_address(
    sign_up: SignUp, inbox: Inbox, web: httpx2.AsyncClient, rows: Rows
) -> None:
    await sign_up.post("nora@example.com")
    code = (await inbox.newest()).code
    await sign_up.post("other@example.com")

    answer = await web.post("/confirm", data={"address": "other@example.com", "code": code})

    assert answer.status_code == 422


async def test_another_site_cannot_send_the_code_form(web: httpx2.AsyncClient) -> None:
    answer = await web.post(
        "/confirm", data={"code": "AAAA"}, headers={"sec-fetch-site": "cross-site"}
    )

    assert answer.status_code == 403


async def test_a_link_of_last_week_says_what_to_do(
    sign_up: SignUp, inbox: Inbox, web: httpx2.AsyncClient, clocked: Clock, rows: Rows
) -> None:
    await sign_up.post()
    sent = await inbox.newest()
    clocked.ahead += timedelta(days=7)

    answers = [await web.get(sent.link), await web.post(sent.link)]
    by_code = await web.post("/confirm", data={"address": sent.to, "code": sent.code})

    assert [a.status_code for a in answers] == [404, 404]
    assert all("Sign up once more" in a.text for a in answers)
    assert by_code.status_code == 422
    assert await rows.count("customer") == 0


@pytest.mark.parametrize(
    "spoil",
    [lambda t: t[:-5], lambda t: t[:-5] + "AAAAA", lambda _: "ключ"],
    ids=["cut", "forged", "foreign"],
)
async def test_a_cut_or_forged_link_says_so(
    sign_up: SignUp, inbox: Inbox, web: httpx2.AsyncClient, rows: Rows, spoil: Any
) -> None:
    await sign_up.post()
    before, _, token = (await inbox.newest()).link.rpartition("/")

    for answer in (
        await web.get(f"{before}/{spoil(token)}"),
        await web.post(f"{before}/{spoil(token)}"),
    ):
        assert answer.status_code == 404
        assert "copy it whole from the mail" in answer.text
    assert await rows.count("customer") == 0


async def test_a_link_that_was_never_mailed_is_over(
    web: httpx2.AsyncClient, business: Business
) -> None:
    link = ConfirmLink(business.id, opaque(), KEYS.address_hash(business.id, "nora@example.com"))

    answer = await web.post(f"/confirm/{confirm_token(KEYS, link)}")

    assert answer.status_code == 404
    assert "This link is over" in answer.text


async def test_the_words_that_were_shown_count(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    database: Database,
    business: Business,
    asking: Asking,
) -> None:
    await sign_up.post()
    async with database.write(business.id) as db:
        await make.notice(db, asking.letter.id, text="Yes, and something else entirely.")

    answer = await web.post((await inbox.newest()).link)

    assert asking.letter_notice.text in answer.text
    _, events = await _nora(database, business)
    assert {each.notice_id for each in events} == {asking.letter_notice.id}


async def test_a_customer_who_had_left_is_mailed_again_only_after_the_press(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    nora: Customer,
    database: Database,
    business: Business,
    asking: Asking,
) -> None:
    async with database.write(business.id) as db:
        await consent.withdraw(db, make.SYSTEM, nora.id, asking.letter.id, method=Method.one_click)
    await sign_up.post(name="Somebody else")
    _, events = await _nora(database, business)
    assert events[0].status is Status.withdrawn

    await web.post((await inbox.newest()).link)

    customer, events = await _nora(database, business)
    assert (customer.id, customer.name) == (nora.id, "Nora")
    assert events[0].status is Status.given


@pytest.mark.parametrize(
    ("scope", "why"),
    [
        (Scope.marketing, Why.left),
        (Scope.marketing, Why.erased),
        (Scope.marketing, Why.imported),
        (Scope.marketing, Why.staff),
        (Scope.all, Why.bounced),
    ],
)
async def test_the_mailbox_that_answers_lifts_what_stood_against_it(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    database: Database,
    business: Business,
    scope: Scope,
    why: Why,
) -> None:
    fingerprint = KEYS.address_hash(business.id, "nora@example.com")
    async with database.write(business.id) as db:
        await mail.suppress(db, make.SYSTEM, fingerprint, scope, why)
    await sign_up.post()
    async with database.read(business.id) as read:
        assert await mail.suppressed(read, fingerprint)

    await web.post((await inbox.newest()).link)

    async with database.read(business.id) as read:
        assert await mail.suppressed(read, fingerprint) is None


async def test_a_stranger_cannot(
    sign_up: SignUp, inbox: Inbox, database: Database, other_business: Business
) -> None:
    await sign_up.post()
    sent = await inbox.newest()
    token = sent.link.rpartition("/")[2]

    async with database.write(other_business.id) as db:
        with pytest.raises(BadLink):
            await access.confirm(db, token)
        with pytest.raises(WrongCode):
            await access.confirm_by_code(db, customers.parse(sent.to), sent.code)


async def test_a_failure_half_way_keeps_nothing(
    sign_up: SignUp, inbox: Inbox, database: Database, business: Business, rows: Rows
) -> None:
    await sign_up.post()
    token = (await inbox.newest()).link.rpartition("/")[2]
    before = await rows.all()

    async def failing() -> None:
        async with database.write(business.id) as db:
            await access.confirm(db, token)
            raise LinkOver

    with pytest.raises(LinkOver):
        await failing()

    assert await rows.all() == before


async def test_what_nobody_confirms_is_forgotten(
    sign_up: SignUp, clocked: Clock, moved: Database, business: Business, rows: Rows
) -> None:
    await sign_up.post()
    clocked.ahead += timedelta(days=6)
    async with moved.write(business.id) as db:
        await actions.tidy(db)
    assert await rows.count("signup") == 1

    clocked.ahead += timedelta(days=1)
    async with moved.write(business.id) as db:
        await actions.tidy(db)
    assert await rows.count("signup") == 0
