"""Leaving without an old mail: the owner of a typed address is sent a link, and nobody is told."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx2
import pytest

from crm import access, consent, customers, mail
from crm.access import Choice, NewSignup, new_address
from crm.businesses import Business
from crm.consent import Status
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor
from crm.mail import Scope, Why
from crm.privacy import merging
from tests import make
from tests.access.conftest import Asking, Inbox, Rows, SignUp
from tests.access.test_sign_up import Counting

KNOWN = {"address": "nora@example.com"}


def _links(text: str) -> list[str]:
    return [urlsplit(each).path for each in re.findall(r"http\S+", text)]


async def _statuses(database: Database, nora: Customer, business: Business) -> set[Status]:
    async with database.read(business.id) as db:
        return {state.status for state in await consent.states(db, nora.id)}


async def test_the_mail_stops_all_of_it_with_one_press(
    web: httpx2.AsyncClient,
    inbox: Inbox,
    database: Database,
    business: Business,
    nora: Customer,
) -> None:
    """The page, the mail, its button: no sign-in anywhere, and nothing before the press."""
    assert (await web.get("/leave")).status_code == 200
    assert (await web.post("/leave", data=KNOWN)).status_code == 303
    sent = await inbox.newest()
    stop, choose = _links(sent.text)[:2]
    assert (await web.get(stop)).status_code == 200
    assert (await web.get(choose)).status_code == 200
    assert await _statuses(database, nora, business) == {Status.given}
    assert (await web.post(stop, data={"stop": "all"})).status_code == 200

    assert sent.to == nora.address
    assert await _statuses(database, nora, business) == {Status.withdrawn}


async def test_the_answer_is_the_same_whoever_it_is(
    web: httpx2.AsyncClient, nora: Customer, inbox: Inbox
) -> None:
    known, page = await _told(web, "nora")
    unknown, other = await _told(web, "moss")
    flood = [await _told(web, "nora") for _ in range(9)]

    assert page.text == other.text.replace("moss@", "nora@") == flood[-1][1].text
    assert page.status_code == other.status_code == flood[-1][1].status_code == 200
    for answer in (unknown, flood[-1][0]):
        assert (answer.status_code, answer.headers["location"]) == (303, "/leave/mailed")
        assert list(answer.headers) == list(known.headers)
    # Three in a quarter of an hour, and none to whom we do not know.
    assert [each.to for each in await inbox.mails()] == ["nora@example.com"] * 3


async def _told(web: httpx2.AsyncClient, name: str) -> tuple[httpx2.Response, httpx2.Response]:
    """Ask for a way out, and read what is said of it."""
    answer = await web.post("/leave", data={"address": f"{name}@example.com"})
    return answer, await web.get(answer.headers["location"])


async def test_it_costs_the_same_statements_whoever_it_is(
    database: Database, business: Business, asking: Asking, nora: Customer, rows: Rows
) -> None:
    """Nor is anything kept of who is not known."""
    counts = []
    async with database.write(business.id) as db:
        await access.start(db, _waiting(asking, "waiting@example.com"))
    for name in ["nora", "moss", "waiting"] * 9:
        async with database.write(business.id) as db:
            counting = Counting(db._conn, db.business_id, db.now, db.keys)  # noqa: SLF001
            await access.send_way_out(counting, customers.parse(f"{name}@example.com"))
        counts.append(counting.asked())

    assert len(set(counts)) == 1
    assert len(counts[0][1]) == 1
    unknown = str(database.keys.address_hash(business.id, "moss@example.com").hex())
    assert unknown not in "".join((await rows.all())["service_message"])


async def test_a_mailbox_that_mail_came_back_from_can_sign_in_and_leave(
    web: httpx2.AsyncClient, inbox: Inbox, moved: Database, business: Business, nora: Customer
) -> None:
    """A bounce of once, or a complaint, takes no right from her."""
    async with moved.write(business.id) as db:
        fingerprint = db.keys.address_hash(business.id, nora.address)
        await mail.suppress(db, Actor.system(), fingerprint, Scope.all, Why.bounced)
    await web.post("/leave", data=KNOWN)
    await web.post("/sign-in", data=KNOWN)
    async with moved.write(business.id) as db:
        claimed = await mail.actions.claim_letters(db, 10)

    assert [each.address for each in claimed] == [nora.address] * 2
    entered = await web.post((await inbox.newest()).link)
    assert entered.status_code == 303


async def test_a_former_address_and_a_sign_up_that_waits_can_leave_too(
    *,
    web: httpx2.AsyncClient,
    inbox: Inbox,
    sign_up: SignUp,
    database: Database,
    moved: Database,
    business: Business,
    asking: Asking,
    nora: Customer,
    rows: Rows,
) -> None:
    await sign_up.post("waiting@example.com")
    await web.post("/leave", data={"address": "waiting@example.com"})
    sent = await inbox.newest()
    assert (sent.kind, sent.to) == ("asked", "waiting@example.com")
    await web.post(_links(sent.text)[0], data={"stop": "all"})
    assert await rows.count("signup") == 0

    async with moved.write(business.id) as db:
        await new_address.ask(db, nora, customers.parse("nora.new@example.com"))
    code = (await inbox.newest()).code
    async with moved.write(business.id) as db:
        change = await new_address.held(db, nora.id)
        again = {asking.letter.id: asking.letter_notice}
        await new_address.confirm(db, nora, change, again, session="", code=code)
    await web.post("/leave", data=KNOWN)
    sent = await inbox.newest()
    assert (sent.kind, sent.to) == ("asked", "nora@example.com")
    assert Status.withdrawn not in await _statuses(database, nora, business)
    await web.post(_links(sent.text)[0], data={"stop": "all"})
    assert await _statuses(database, nora, business) == {Status.withdrawn}


def _waiting(asking: Asking, address: str) -> NewSignup:
    choices = (Choice(asking.letter.id, asking.letter_notice.id),)
    return NewSignup(
        address=customers.parse(address), name="", locale="en", choices=choices, page=""
    )


async def test_who_has_left_already_can_ask_all_the_same(
    web: httpx2.AsyncClient, inbox: Inbox, database: Database, business: Business, nora: Customer
) -> None:
    """Newsletters are stopped; a mail that she asks for is none."""
    async with database.write(business.id) as db:
        fingerprint = db.keys.address_hash(business.id, nora.address)
        await mail.suppress(db, Actor.system(), fingerprint, Scope.marketing, Why.left)
    await web.post("/leave", data=KNOWN)

    assert [each.to for each in await inbox.mails()] == [nora.address]


async def test_looking_changes_nothing(
    web: httpx2.AsyncClient, nora: Customer, inbox: Inbox, rows: Rows
) -> None:
    await web.post("/leave", data=KNOWN)
    before = await rows.all()
    for path in ("/leave", *_links((await inbox.newest()).text)[:2]):
        assert (await web.get(path)).status_code == 200
        assert (await web.head(path)).status_code == 200

    assert await rows.all() == before


@pytest.mark.parametrize("typed", ["", "nora", "nora@localhost"])
async def test_what_is_no_address_is_asked_for_again(web: httpx2.AsyncClient, typed: str) -> None:
    answer = await web.post("/leave", data={"address": typed})

    assert answer.status_code == 422
    assert f'value="{typed}"' in answer.text


async def test_a_form_from_elsewhere_mails_nobody(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    headers = {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"}
    answer = await web.post("/leave", data=KNOWN, headers=headers)

    assert answer.status_code == 403
    assert await inbox.mails() == []


async def test_a_record_that_was_merged_lets_its_address_out(
    inbox: Inbox, database: Database, business: Business, nora: Customer
) -> None:
    """Whoever still reads that mailbox is mailed as before."""
    async with database.write(business.id) as db:
        kept = await make.customer(db, address="kept@example.com", locale="de")
        await merging.merge(db, make.SYSTEM, kept.id, nora.id, tells=False)
    async with database.write(business.id) as db:
        await access.send_way_out(db, customers.parse("nora@example.com"))
    (sent,) = await inbox.mails()
    assert (sent.to, sent.message["Content-Language"]) == ("nora@example.com", "de")
