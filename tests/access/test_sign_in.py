"""Signing in: a mailed way in, good once, soon, and in the browser that asked or with its code."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import pytest

from crm import access, customers, mail
from crm.access import actions
from crm.access.credentials import session_secret
from crm.access.model import ABSOLUTE, IDLE, Entered, LinkOver
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database, ReadDb
from crm.mail import Scope, Why
from crm.web.csrf import csrf_token
from tests import make
from tests.access.conftest import Asking, Clock, Inbox, Rows, SignUp, browser, consented
from tests.access.test_sign_up import Counting

NOTHING = access.Export(
    signups=[], networks=[], links=[], sessions=[], new_addresses=[], former_addresses=[]
)


async def _asked(web: httpx2.AsyncClient, inbox: Inbox) -> Any:
    answer = await web.post("/sign-in", data={"address": "nora@example.com"})
    assert answer.status_code == 303
    return await inbox.newest()


async def _signed_in(web: httpx2.AsyncClient, inbox: Inbox) -> None:
    entered = await web.post((await _asked(web, inbox)).link)
    assert entered.status_code == 303


async def test_it_works(web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, rows: Rows) -> None:
    sent = await _asked(web, inbox)
    page = await web.get(sent.link)
    entered = await web.post(sent.link)
    me = await web.get("/me")

    assert page.text.count('<button class="button') == 1
    assert (sent.kind, sent.to) == ("sign_in", "nora@example.com")
    assert sent.message["Auto-Submitted"] == "auto-generated"
    assert (entered.status_code, entered.headers["location"]) == (303, "/me")
    assert me.text == str(nora.id)
    token = web.cookies["me"]
    stored = "".join((await rows.all())["portal_session"])
    assert token not in stored
    assert await rows.count("portal_link") == 0


async def test_its_cookies_are_out_of_reach(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    asked = await web.post("/sign-in", data={"address": "nora@example.com"})
    entered = await web.post((await inbox.newest()).link)

    for cookie in (asked.headers["set-cookie"], entered.headers["set-cookie"]):
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        assert "Path=/" in cookie


async def test_by_tls_the_cookie_insists_on_its_host(app: Any, database: Database) -> None:
    business = await make.business(database, origin=f"https://{uuid4().hex}.example")
    async with browser(app, business) as client:
        answer = await client.post("/sign-in", data={"address": "nora@example.com"})

    cookie = answer.headers["set-cookie"]
    assert "__Host-way=" in cookie
    assert "__Host-typed=" in cookie
    assert "Secure" in cookie
    assert "Domain" not in cookie


async def test_looking_changes_nothing(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, rows: Rows
) -> None:
    sent = await _asked(web, inbox)
    before = await rows.all()

    for path in ("/sign-in", "/sign-in/code", sent.link):
        assert (await web.get(path)).status_code == 200
        assert (await web.head(path)).status_code == 200

    assert await rows.all() == before


async def test_the_answer_is_the_same_whoever_it_is(
    web: httpx2.AsyncClient, nora: Customer, inbox: Inbox
) -> None:
    known, page = await _told(web, "nora")
    unknown, other = await _told(web, "moss")
    flood = [await _told(web, "nora") for _ in range(9)]

    assert page.text == other.text.replace("moss@", "nora@") == flood[-1][1].text
    assert page.status_code == other.status_code == flood[-1][1].status_code == 200
    for answer in (unknown, flood[-1][0]):
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/mailed")
        assert list(answer.headers) == list(known.headers)
    # Three in a quarter of an hour, and none to whom we do not know.
    assert [each.to for each in await inbox.mails()] == ["nora@example.com"] * 3


async def _told(web: httpx2.AsyncClient, name: str) -> tuple[httpx2.Response, httpx2.Response]:
    """Ask for a way in, and read what is said of it."""
    answer = await web.post("/sign-in", data={"address": f"{name}@example.com"})
    return answer, await web.get(answer.headers["location"])


async def test_a_mail_is_sent_once_more_and_nothing_is_typed_again(
    web: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient, nora: Customer, inbox: Inbox
) -> None:
    """By one press; reloading sends nothing, and another browser knows no address."""
    _, page = await _told(web, "nora")
    assert (await web.get("/sign-in/mailed")).text == page.text
    assert len(await inbox.mails()) == 1
    typed = dict(re.findall(r'name="(address)" value="([^"]+)"', page.text))
    again = await web.post("/sign-in", data=typed | {"again": "yes"})
    said = await web.get(again.headers["location"])

    assert [each.to for each in await inbox.mails()] == ["nora@example.com"] * 2
    assert "Asked for once more" in said.text
    assert "nora@" not in (await elsewhere.get("/sign-in/mailed")).text
    assert "nora@" not in web.cookies["typed"]


async def test_a_link_that_is_over_has_the_address_that_was_typed(
    web: httpx2.AsyncClient, nora: Customer, inbox: Inbox, clocked: Clock
) -> None:
    sent = await _asked(web, inbox)
    clocked.ahead += timedelta(minutes=11)
    over = await web.get(sent.link)

    assert over.status_code == 404
    assert 'value="nora@example.com"' in over.text


async def test_a_form_of_another_page_fills_in_no_address_here(
    web: httpx2.AsyncClient, nora: Customer, sign_up: SignUp, inbox: Inbox, clocked: Clock
) -> None:
    """A sign-up may be sent from anywhere; the mail with her way in is to go to her alone."""
    sent = await _asked(web, inbox)
    await sign_up.post("evil@example.com")
    assert "typed" in web.cookies
    clocked.ahead += timedelta(minutes=11)

    assert "evil@example.com" not in (await web.get(sent.link)).text


@pytest.mark.parametrize("path", ["/sign-in/mailed", "/sign-up/mailed", "/leave/mailed"])
async def test_a_cookie_that_is_none_of_ours_is_nothing(
    web: httpx2.AsyncClient, asking: Asking, path: str
) -> None:
    for odd in ("é".encode(), b"x", b"====", b"Zm9v"):
        answer = await web.get(path, headers=[(b"cookie", b"typed=" + odd)])
        assert answer.status_code == 200


async def test_signing_out_leaves_nothing_that_was_typed(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    """In a library the next one at this browser reads no address."""
    await _signed_in(web, inbox)
    await web.post("/leave", data={"address": "nora@example.com"})
    assert "typed" in web.cookies
    token = csrf_token(session_secret(web.cookies["me"]))
    await web.post("/me/sign-out", data={"csrf": token})

    assert "typed" not in web.cookies


@pytest.mark.parametrize("by", ["link", "code"])
async def test_confirming_leaves_nothing_that_was_typed(
    sign_up: SignUp, inbox: Inbox, by: str
) -> None:
    await sign_up.post()
    sent = await inbox.newest()
    assert "typed" in sign_up.web.cookies
    if by == "link":
        done = await sign_up.web.post(sent.link)
    else:
        typed = {"address": "nora@example.com", "code": sent.code}
        done = await sign_up.web.post("/confirm", data=typed)

    assert done.status_code == 200
    assert "typed" not in sign_up.web.cookies


async def test_it_costs_the_same_statements_whoever_it_is(
    database: Database, business: Business, nora: Customer
) -> None:
    counts = []
    for name in ["nora", "moss"] * 9:
        async with database.write(business.id) as db:
            counting = Counting(db._conn, db.business_id, db.now, db.keys)  # noqa: SLF001
            await access.send_link(counting, customers.parse(f"{name}@example.com"), "mark")
        counts.append(counting.asked())

    assert len(set(counts)) == 1


async def test_strangers_keep_nobody_out(
    *, app: Any, business: Business, web: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    """What others cause from their networks is not hers, and their links replace none of hers."""
    sent = await _asked(web, inbox)
    for network in ("192.0.2.7", "2001:db8::7"):
        transport = httpx2.ASGITransport(app=app, client=(network, 1))
        async with httpx2.AsyncClient(transport=transport, base_url=business.origin) as stranger:
            for _ in range(9):
                await stranger.post("/sign-in", data={"address": "nora@example.com"})
    assert len(await inbox.mails()) == 1 + 2 * 3
    again = await _asked(web, inbox)

    assert again.link != sent.link
    assert (await web.post(again.link)).status_code == 303


async def test_a_day_of_a_flood_ends_with_a_sign_in(
    *, web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, clocked: Clock
) -> None:
    _in_the_morning(clocked)
    for _ in range(2):
        clocked.ahead += timedelta(minutes=15)
        for _ in range(4):
            await _asked(web, inbox)
    assert len(await inbox.mails()) == 6
    newest = await inbox.newest()
    await web.post("/sign-in", data={"address": "nora@example.com"})
    assert (await web.post(newest.link)).status_code == 303
    clocked.ahead += timedelta(minutes=15)
    await _asked(web, inbox)
    assert len(await inbox.mails()) == 7


async def test_what_she_must_be_told_is_held_back_by_nobody(
    *,
    web: httpx2.AsyncClient,
    inbox: Inbox,
    database: Database,
    business: Business,
    nora: Customer,
    clocked: Clock,
) -> None:
    """Whatever strangers cause, a letter about her own record goes."""
    _in_the_morning(clocked)
    for _ in range(6):
        for _ in range(4):
            await web.post("/leave", data={"address": "nora@example.com"})
        clocked.ahead += timedelta(minutes=15)
    assert [each.kind for each in await inbox.mails()] == ["asked"] * 6
    async with database.write(business.id) as db:
        for _ in range(9):
            await mail.post_letter(db, _notice(db, nora))
    assert [each.kind for each in await inbox.mails()].count("notice") == 9


def _in_the_morning(clocked: Clock) -> None:
    """What is counted by the day is counted anew at midnight, UTC."""
    now = clocked()
    clocked.ahead += now.replace(hour=6) + timedelta(days=1) - now


def _notice(db: ReadDb, her: Customer) -> mail.Letter:
    return mail.Letter(
        kind=mail.LetterKind.notice,
        address=her.address,
        address_hash=db.keys.address_hash(db.business_id, her.address),
        subject="About your record",
        text="Something happened.",
        html="<p>Something happened.</p>",
        locale="en",
        customer_id=her.id,
    )


async def test_a_browser_that_asks_again_keeps_its_links(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    """Neither one mail too many nor a mistyped address makes her browser another one."""
    newest = [await _asked(web, inbox) for _ in range(4)][2]
    await web.post("/sign-in", data={"address": "norah@example.com"})

    assert len(await inbox.mails()) == 3
    assert "another browser" not in (await web.get(newest.link)).text
    assert (await web.post(newest.link)).status_code == 303


async def test_links_of_two_browsers_stand_beside_one_another(
    web: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    here, there = await _asked(web, inbox), await _asked(elsewhere, inbox)

    assert (await web.post(here.link)).status_code == 303
    typed = {"address": "nora@example.com", "code": there.code}
    assert (await elsewhere.post("/sign-in/code", data=typed)).status_code == 303


async def test_a_flood_leaves_the_way_in_that_came_open(
    web: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    sent = await _asked(web, inbox)
    for _ in range(2):
        await web.post("/sign-in", data={"address": "nora@example.com"})
    newest = await inbox.newest()
    for _ in range(9):
        await elsewhere.post("/sign-in", data={"address": "nora@example.com"})

    assert (await web.get(sent.link)).status_code == 404
    assert (await web.post(newest.link)).status_code == 303


@pytest.mark.parametrize("typed", ["", "nora", "nora@localhost"])
async def test_what_is_no_address_is_asked_for_again(
    web: httpx2.AsyncClient, typed: str, asking: Asking
) -> None:
    answer = await web.post("/sign-in", data={"address": typed})

    assert answer.status_code == 422
    assert f'value="{typed}"' in answer.text


async def test_another_browser_needs_the_code(
    web: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    sent = await _asked(web, inbox)

    page = await elsewhere.get(sent.link)
    without = await elsewhere.post(sent.link)
    wrong = await elsewhere.post(sent.link, data={"code": "0000 0000"})
    right = await elsewhere.post(sent.link, data={"code": sent.code})

    assert "another browser" in page.text
    assert (without.status_code, wrong.status_code, right.status_code) == (422, 422, 303)
    assert (await elsewhere.get("/me")).text == str(nora.id)


async def test_the_code_alone_signs_in_on_any_device(
    web: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    sent = await _asked(web, inbox)
    typed = {"address": "nora@example.com", "code": sent.code.lower()}

    assert (await elsewhere.post("/sign-in/code", data=typed)).status_code == 303
    assert (await elsewhere.get("/me")).status_code == 200
    again = await elsewhere.post("/sign-in/code", data=typed)
    assert again.status_code == 422
    assert "was used" in again.text


async def test_wrong_codes_lock_codes_and_not_the_link(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    sent = await _asked(web, inbox)
    for n in range(30):
        answer = await web.post(
            "/sign-in/code", data={"address": "nora@example.com", "code": f"{n:08}"}
        )
        assert answer.status_code == (422 if n < 10 else 429)

    typed = {"address": "nora@example.com", "code": sent.code}
    assert (await web.post("/sign-in/code", data=typed)).status_code == 429
    assert (await web.post(sent.link)).status_code == 303


async def test_codes_for_one_link_are_counted_too(
    web: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    sent = await _asked(web, inbox)
    statuses = [
        (await elsewhere.post(sent.link, data={"code": f"{n:08}"})).status_code for n in range(12)
    ]

    assert statuses == [422] * 10 + [429] * 2


async def test_it_works_once(
    web: httpx2.AsyncClient,
    elsewhere: httpx2.AsyncClient,
    inbox: Inbox,
    nora: Customer,
    clocked: Clock,
) -> None:
    sent = await _asked(web, inbox)
    await web.post(sent.link)
    web.cookies.delete("me")

    others = await elsewhere.post(sent.link, data={"code": sent.code})
    clocked.ahead += timedelta(seconds=61)
    again = await web.post(sent.link)

    for answer in (others, again):
        assert answer.status_code == 404
        assert "Send me a new link" in answer.text
        assert 'name="address"' in answer.text


async def test_pressed_twice_it_opens_one_session(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, rows: Rows
) -> None:
    """A browser shows the answer to the second press, and may have dropped that to the first."""
    sent = await _asked(web, inbox)
    await web.post(sent.link)
    first = web.cookies["me"]
    web.cookies.delete("me")

    again = await web.post(sent.link)

    assert (again.status_code, again.headers["location"]) == (303, "/me")
    assert web.cookies["me"] != first
    assert (await web.get("/me")).status_code == 200
    assert await rows.count("portal_session") == 1
    # Who is in is led on, by the button and by the link.
    assert (await web.get(sent.link)).headers["location"] == "/me"


async def test_she_is_led_back_to_where_she_was(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    wanted = await web.get("/me?of=letter")
    asked = await web.get("/sign-in")
    sent = await _asked(web, inbox)
    entered = await web.post(sent.link)

    assert wanted.headers["location"] == "/sign-in"
    assert "Then you come to the page that you wanted." in asked.text
    assert entered.headers["location"] == "/me?of=letter"
    web.cookies.delete("me")
    assert (await web.post((await _asked(web, inbox)).link)).headers["location"] == "/me"


@pytest.mark.parametrize(("path", "told"), [("/me?of=letter", True), ("/me", False)])
async def test_that_a_mail_came_back_is_said_once_and_with_the_button(
    *,
    web: httpx2.AsyncClient,
    inbox: Inbox,
    database: Database,
    business: Business,
    nora: Customer,
    path: str,
    told: bool,
) -> None:
    """Where the page that she comes to has the button, it says so itself."""
    async with database.write(business.id) as db:
        hashed = db.keys.address_hash(business.id, nora.address)
        await mail.suppress(db, make.SYSTEM, hashed, Scope.all, Why.bounced)
    await web.get(path)
    sent = await _asked(web, inbox)
    entered = await web.post(sent.link)
    said = (await web.get("/leave")).text

    assert entered.headers["location"] == path
    assert ("Then say so under" in said) == told


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/staff", "/mean"])
async def test_she_is_led_nowhere_else(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, path: str
) -> None:
    web.cookies.set("next", path)
    sent = await _asked(web, inbox)

    assert (await web.post(sent.link)).headers["location"] == "/me"


async def test_what_she_had_written_comes_back(web: httpx2.AsyncClient, asking: Asking) -> None:
    words = "Please tell me <everything> & more,\nline by line."
    answer = await web.post("/me/sign-out", data={"words": words, "csrf": "x" * 40})

    assert answer.status_code == 401
    assert "Nothing was changed." in answer.text
    assert "Please tell me &lt;everything&gt; &amp; more,\nline by line." in answer.text
    assert "x" * 40 not in answer.text


async def test_a_new_sign_in_is_one_press(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, rows: Rows
) -> None:
    """Where a fresh one is needed, nothing is typed: the mail goes, and leads back."""
    await _signed_in(web, inbox)
    secret = session_secret(web.cookies["me"])
    asked = await web.post(
        "/me/sign-out", data={"csrf": csrf_token(secret), "afresh": "/me/address"}
    )

    assert asked.status_code == 303
    assert "Look into your mailbox" in (await web.get(asked.headers["location"])).text
    assert await rows.count("portal_session") == 0
    entered = await web.post((await inbox.newest()).link)
    assert entered.headers["location"] == "/me/address"


@pytest.mark.parametrize("end", ["\u2028", "\x85", "\x1f"])
async def test_no_letter_leads_round_the_bound_of_codes(
    app: Any, business: Business, nora: Customer, end: str
) -> None:
    statuses = []
    for n in range(11):
        transport = httpx2.ASGITransport(app=app, client=(f"192.0.2.{n}", 1))
        async with httpx2.AsyncClient(transport=transport, base_url=business.origin) as each:
            data = {"address": f"nora@example.com{end}", "code": f"{n:08}"}
            statuses.append((await each.post("/sign-in/code", data=data)).status_code)

    assert statuses == [422] * 10 + [429]


async def test_a_code_can_be_typed_where_the_mail_says(
    web: httpx2.AsyncClient, inbox: Inbox, business: Business, nora: Customer
) -> None:
    sent = await _asked(web, inbox)

    assert f"{urlsplit(business.origin).netloc}/sign-in/code" in sent.text
    assert 'href="/sign-in/code"' in (await web.get("/sign-in")).text
    assert 'href="/confirm"' in (await web.get("/sign-up")).text
    # And the front leads to both, and to the way out.
    for path in ("/sign-in", "/leave"):
        assert f'href="{path}"' in (await web.get("/sign-up")).text


async def test_two_presses_at_once_let_one_in(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, database: Database, business: Business
) -> None:
    token = (await _asked(web, inbox)).link.rpartition("/")[2]
    mark = web.cookies["way"]

    async def press() -> Entered | None:
        try:
            async with database.write(business.id) as db:
                return await access.open_link(db, token, mark)
        except LinkOver:
            return None

    done = await asyncio.gather(*(press() for _ in range(6)))

    assert sorted(map(bool, done)) == [False] * 5 + [True]


async def test_it_lasts_ten_minutes(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, clocked: Clock
) -> None:
    sent = await _asked(web, inbox)
    clocked.ahead += timedelta(minutes=10, seconds=1)

    assert (await web.get(sent.link)).status_code == 404
    assert (await web.post(sent.link)).status_code == 404
    typed = {"address": "nora@example.com", "code": sent.code}
    assert (await web.post("/sign-in/code", data=typed)).status_code == 422


@pytest.mark.parametrize("token", ["AAAA", "*" * 64, "ключ", "A" * 64])
async def test_a_cut_or_forged_link_says_so(web: httpx2.AsyncClient, token: str) -> None:
    for answer in (await web.get(f"/sign-in/{token}"), await web.post(f"/sign-in/{token}")):
        assert answer.status_code == 404
        assert "incomplete" in answer.text


async def test_another_site_cannot_sign_anybody_in(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer
) -> None:
    sent = await _asked(web, inbox)
    foreign = {"sec-fetch-site": "cross-site"}

    for path in ("/sign-in", "/sign-in/code", sent.link):
        assert (await web.post(path, data={"code": "1"}, headers=foreign)).status_code == 403


async def test_a_session_ends_after_an_hour_without_use_and_after_half_a_day(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, clocked: Clock
) -> None:
    await _signed_in(web, inbox)
    began = clocked.ahead
    while clocked.ahead - began < ABSOLUTE - IDLE:
        clocked.ahead += IDLE - timedelta(minutes=1)
        assert (await web.get("/me")).status_code == 200
    clocked.ahead = began + ABSOLUTE
    assert (await web.get("/me")).status_code == 303

    await _signed_in(web, inbox)
    clocked.ahead += IDLE
    gone = await web.get("/me")
    assert (gone.status_code, gone.headers["location"]) == (303, "/sign-in")


async def test_signing_in_again_ends_the_session_before(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, rows: Rows
) -> None:
    await _signed_in(web, inbox)
    before = web.cookies["me"]
    await _signed_in(web, inbox)

    assert web.cookies["me"] != before
    assert await rows.count("portal_session") == 1


async def test_signing_out_ends_it(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, rows: Rows
) -> None:
    await _signed_in(web, inbox)
    token = web.cookies["me"]
    secret = session_secret(token)
    refused = await web.post("/me/sign-out")
    out = await web.post("/me/sign-out", data={"csrf": csrf_token(secret)})

    assert refused.status_code == 403
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert "cache" in out.headers["clear-site-data"]
    web.cookies.set("me", token)
    assert (await web.get("/me")).status_code == 303
    assert await rows.count("portal_session") == 0


async def test_an_erased_customer_is_signed_out(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, database: Database, business: Business
) -> None:
    await _signed_in(web, inbox)
    async with database.write(business.id) as db:
        await customers.forget(db, nora.id)

    assert (await web.get("/me")).status_code == 303


async def test_sessions_and_ways_in_are_exported_and_forgotten(
    web: httpx2.AsyncClient, inbox: Inbox, nora: Customer, database: Database, business: Business
) -> None:
    await _signed_in(web, inbox)
    await _asked(web, inbox)

    async with database.write(business.id) as db:
        held = await access.export(db, nora.id)
        assert (len(held.sessions), len(held.links)) == (1, 1)
        gone = await access.forget(db, nora.id)
        assert (gone["portal_session"], gone["portal_link"]) == (1, 1)
        assert await access.export(db, nora.id) == NOTHING


async def test_a_stranger_gets_nowhere(
    *,
    app: Any,
    web: httpx2.AsyncClient,
    inbox: Inbox,
    nora: Customer,
    other_business: Business,
    database: Database,
) -> None:
    await _signed_in(web, inbox)
    sent = await _asked(web, inbox)
    async with browser(app, other_business) as stranger:
        stranger.cookies.set("me", web.cookies["me"])
        stranger.cookies.set("way", web.cookies["way"])

        assert (await stranger.get("/me")).status_code == 303
        assert (await stranger.get(sent.link)).status_code == 404
        assert (await stranger.post(sent.link)).status_code == 404
        typed = {"address": "nora@example.com", "code": sent.code}
        assert (await stranger.post("/sign-in/code", data=typed)).status_code == 422
    async with database.read(other_business.id) as db:
        held = await access.export(db, nora.id)
    assert held == NOTHING


async def test_what_has_ended_is_deleted(
    *,
    web: httpx2.AsyncClient,
    inbox: Inbox,
    nora: Customer,
    asking: Asking,
    clocked: Clock,
    database: Database,
    moved: Database,
    business: Business,
    rows: Rows,
) -> None:
    await consented(database, business, asking, "other@example.com")
    await _signed_in(web, inbox)
    await web.post("/sign-in", data={"address": "other@example.com"})
    async with moved.write(business.id) as db:
        await actions.tidy(db)
    assert (await rows.count("portal_session"), await rows.count("portal_link")) == (1, 1)

    clocked.ahead += IDLE
    async with moved.write(business.id) as db:
        await actions.tidy(db)
    assert (await rows.count("portal_session"), await rows.count("portal_link")) == (0, 0)
