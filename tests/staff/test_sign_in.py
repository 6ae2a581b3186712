"""Signing in: who belongs here gets a session, everybody else the same answer."""

from __future__ import annotations

import asyncio
import base64
import re
import threading
from datetime import timedelta
from time import process_time
from uuid import uuid4

import pytest
from litestar import Litestar

from crm import staff
from crm.businesses import Business
from crm.db import Database
from crm.staff import Role, credentials, passwords
from crm.staff.model import (
    ABSOLUTE,
    ADDRESS_ATTEMPTS,
    CLIENT_ATTEMPTS,
    IDLE,
    SEEN_EVERY,
    WeakPassword,
)
from tests import make
from tests.staff import site
from tests.staff.conftest import Clock
from tests.staff.site import PASSWORD

ADDRESS = "owner@bakery.example"
_HIDDEN = re.compile(r'value="[^"]*"')


async def test_it_works(clocked: Database, business: Business, browser: site.Browser) -> None:
    await site.member(clocked, business.id)
    assert (await browser.get("/staff/account")).headers["location"] == "/staff/sign-in"
    answer = await browser.enter(" Owner@Bakery.example ")
    assert answer.status_code == 303
    # Where she was going.
    assert answer.headers["location"] == "/staff/account"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("sid=")
    assert {"httponly", "path=/", "samesite=lax"} <= set(cookie.lower().split("; "))
    assert (await browser.get("/staff")).headers["location"] == "/staff/campaigns"
    assert "Olga Owner" in (await browser.get("/staff/account")).text
    assert ("member.signed_in", "") in await site.kinds(clocked, business.id)


async def test_by_tls_the_cookie_insists_on_its_host(clocked: Database) -> None:
    business = await make.business(clocked, origin=f"https://{uuid4().hex}.example")
    await site.member(clocked, business.id)
    async with site.Browser(site.application(clocked), business) as browser:
        answer = await browser.enter(ADDRESS)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-sid=")
        assert "secure" in cookie.lower()
        assert "domain" not in cookie.lower()
        assert (await browser.get("/staff/account")).status_code == 200


async def test_wrong_password_and_unknown_address_read_the_same(
    clocked: Database, business: Business, browser: site.Browser
) -> None:
    await site.member(clocked, business.id)
    wrong = await browser.enter(ADDRESS, "not the sentence at all")
    unknown = await browser.enter("nobody@bakery.example", "not the sentence at all")
    assert (wrong.status_code, wrong.headers.get("set-cookie")) == (422, None)
    assert (unknown.status_code, unknown.headers.get("set-cookie")) == (422, None)
    assert _HIDDEN.sub("", wrong.text) == _HIDDEN.sub("", unknown.text)
    assert "do not belong together" in wrong.text
    refused = [kind for kind, _ in await site.kinds(clocked, business.id)]
    assert refused.count("member.refused") == 2


async def test_an_unknown_address_costs_the_same_work() -> None:
    loop = asyncio.get_running_loop()
    cost = passwords.Cost(memory=32_768, passes=2, lanes=1)
    kept = await passwords.hashed(PASSWORD, cost=cost)
    # The first look makes the hash that nobody's password has; it is kept.
    assert not await passwords.matches("x", None, cost=cost)
    spent = []
    for against in (kept, None):
        begun = loop.time()
        for _ in range(5):
            assert not await passwords.matches("wrong", against, cost=cost)
        spent.append(loop.time() - begun)
    assert min(spent) > max(spent) / 3


async def test_after_a_thousand_wrong_ones_the_right_one_waits_too(
    clocked: Database, business: Business, app: Litestar, clock: Clock
) -> None:
    await site.member(clocked, business.id)
    async with site.Browser(app, business) as browser:
        answers = [await browser.enter(ADDRESS, f"wrong number {n}") for n in range(1000)]
        assert [answer.status_code for answer in answers[:ADDRESS_ATTEMPTS]] == [
            422
        ] * ADDRESS_ATTEMPTS
        late = answers[ADDRESS_ATTEMPTS:]
        assert {answer.status_code for answer in late} == {429}
        wait = int(late[-1].headers["retry-after"])
        assert 0 < wait <= 15 * 60
        assert (await browser.enter(ADDRESS)).status_code == 429
        clock.move(timedelta(seconds=wait - 1))
        assert (await browser.enter(ADDRESS)).status_code == 429
        clock.move(timedelta(seconds=1))
        assert (await browser.enter(ADDRESS)).status_code == 303


async def test_tries_at_the_same_time_are_all_counted(
    clocked: Database, business: Business, browser: site.Browser
) -> None:
    await site.member(clocked, business.id)
    answers = await asyncio.gather(*(browser.enter(ADDRESS, "wrong") for _ in range(30)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [422] * ADDRESS_ATTEMPTS + [429] * (30 - ADDRESS_ATTEMPTS)


async def test_strangers_keep_nobody_out_of_a_browser_of_hers(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    async with site.Browser(app, business) as stranger:
        for _ in range(ADDRESS_ATTEMPTS):
            assert (await stranger.enter(ADDRESS, "wrong")).status_code == 422
        assert (await stranger.enter(ADDRESS)).status_code == 429
        owner.cookies.delete("sid")
        assert (await owner.enter(ADDRESS)).status_code == 303
        assert (await stranger.enter(ADDRESS)).status_code == 429
        # The mark of another's browser is none of hers, and hers has a bound of its own.
        await site.member(clocked, business.id, Role.care, address="ben@bakery.example")
        assert (await stranger.enter("ben@bakery.example")).status_code == 303
        assert (await stranger.enter(ADDRESS)).status_code == 429
    owner.cookies.delete("sid")
    answers = [await owner.enter(ADDRESS, "wrong") for _ in range(ADDRESS_ATTEMPTS + 1)]
    assert [each.status_code for each in answers] == [422] * ADDRESS_ATTEMPTS + [429]


async def test_a_long_line_is_told_to_come_again_and_no_try_is_counted(
    clocked: Database, business: Business, browser: site.Browser
) -> None:
    await site.member(clocked, business.id)
    gate = threading.Event()
    hold = passwords._in_thread  # noqa: SLF001  (what every hash goes through)
    line = asyncio.gather(*(hold(gate.wait) for _ in range(40)))
    await asyncio.sleep(0)
    assert not passwords.room()
    full = await browser.enter(ADDRESS, "wrong")
    assert (full.status_code, full.headers["retry-after"]) == (503, "10")
    gate.set()
    await line
    assert passwords.room()
    answers = [await browser.enter(ADDRESS, "wrong") for _ in range(ADDRESS_ATTEMPTS + 1)]
    assert [each.status_code for each in answers] == [422] * ADDRESS_ATTEMPTS + [429]


async def test_one_network_cannot_try_every_address(
    clocked: Database, business: Business, browser: site.Browser
) -> None:
    statuses = [
        (await browser.enter(f"somebody{n}@bakery.example", PASSWORD)).status_code
        for n in range(CLIENT_ATTEMPTS + 1)
    ]
    assert statuses == [422] * CLIENT_ATTEMPTS + [429]


async def test_a_good_password_forgives_the_tries_before_it(
    clocked: Database, business: Business, browser: site.Browser
) -> None:
    await site.member(clocked, business.id)
    for _ in range(3):
        for _ in range(ADDRESS_ATTEMPTS - 1):
            assert (await browser.enter(ADDRESS, "wrong")).status_code == 422
        assert (await browser.enter(ADDRESS)).status_code == 303


async def test_a_member_is_led_back_to_where_she_was(
    clocked: Database, business: Business, browser: site.Browser
) -> None:
    await site.member(clocked, business.id)
    asked = await browser.get("/staff/audit?after=x")
    assert asked.headers["location"] == "/staff/sign-in"
    assert "the page that you wanted" in (await browser.get("/staff/sign-in")).text
    assert (await browser.enter(ADDRESS)).headers["location"] == "/staff/audit?after=x"
    assert not browser.cookies.get("next")
    # What is not below the console is not followed.
    browser.cookies.delete("sid")
    browser.cookies.set("next", "/me/mails")
    assert (await browser.enter(ADDRESS)).headers["location"] == "/staff"


@pytest.mark.parametrize(
    ("address", "password"),
    [("", PASSWORD), (ADDRESS, ""), (f"{ADDRESS}\0", PASSWORD), ("a" * 300, "b" * 10_000)],
)
async def test_what_is_no_try_is_shown_again(
    owner: site.Browser, address: str, password: str
) -> None:
    answer = await owner.enter(address, password)
    assert answer.status_code == 422
    assert "Error: " in answer.text


async def test_a_longer_password_than_there_is_room_for_is_wrong(owner: site.Browser) -> None:
    assert (await owner.enter(ADDRESS, PASSWORD + "x" * 1000)).status_code == 422


async def test_a_pile_of_accents_is_too_long_at_once(business: Business) -> None:
    def took(size: int) -> float:
        typed = "a" + "\u0301\u0316" * (size // 2)
        began = process_time()
        with pytest.raises(WeakPassword, match="there is room for 256"):
            passwords.checked(typed, ADDRESS, business)
        return process_time() - began

    assert took(300_000) < 40 * max(took(30_000), 0.005)


async def test_the_beginning_of_a_long_password_is_not_enough() -> None:
    long = "x" * passwords.LONGEST
    kept = await passwords.hashed(long, cost=site.CHEAP)
    assert await passwords.matches(long, kept, cost=site.CHEAP)
    for more in (1, 4 * passwords.LONGEST):
        assert not await passwords.matches(long + "x" * more, kept, cost=site.CHEAP)


@pytest.mark.parametrize("path", ["sign-in", "new-password", "second-factor"])
async def test_nobody_is_listened_to_for_long(browser: site.Browser, path: str) -> None:
    answer = await browser.post(f"/staff/{path}", data={"address": "x" * 20_000})
    assert answer.status_code == 413


async def test_a_token_made_by_somebody_else_is_never_kept(
    clocked: Database, business: Business, browser: site.Browser
) -> None:
    await site.member(clocked, business.id)
    planted = credentials.session_token(business.id, b"s" * 32)
    browser.cookies.set("sid", planted, domain=business.host)
    answer = await browser.enter(ADDRESS)
    given = answer.cookies["sid"]
    assert given != planted
    async with site.Browser(site.application(clocked), business) as thief:
        thief.cookies.set("sid", planted)
        assert (await thief.get("/staff/account")).status_code == 303


async def test_signing_in_again_ends_the_session_before(
    owner: site.Browser, app: Litestar, business: Business
) -> None:
    before = owner.cookies["sid"]
    assert (await owner.enter(ADDRESS)).status_code == 303
    assert owner.cookies["sid"] != before
    async with site.Browser(app, business) as old:
        old.cookies.set("sid", before)
        assert (await old.get("/staff/account")).status_code == 303
    assert (await owner.get("/staff/account")).status_code == 200


async def test_a_form_of_another_site_is_refused(owner: site.Browser) -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    data = {"address": ADDRESS, "password": PASSWORD}
    answer = await owner.post("/staff/sign-in", data=data, headers=foreign)
    assert answer.status_code == 403


async def test_only_a_hash_of_the_token_is_kept(
    clocked: Database, business: Business, owner: site.Browser
) -> None:
    token = owner.cookies["sid"]
    async with clocked.read(business.id) as db:
        who = (await staff.members(db))[0]
        session = (await staff.open_sessions(db, who.id))[0]
    assert session.token_hash == credentials.fingerprint(token)
    assert credentials.session_business(token) == business.id
    assert credentials.session_secret(token) not in (session.token_hash, token.encode())


async def test_a_session_ends_unused(owner: site.Browser, clock: Clock) -> None:
    clock.move(IDLE - timedelta(seconds=1))
    assert (await owner.get("/staff/account")).status_code == 200
    clock.move(IDLE)
    assert (await owner.get("/staff/account")).status_code == 303


async def test_a_session_ends_however_much_it_is_used(owner: site.Browser, clock: Clock) -> None:
    for _ in range(int(ABSOLUTE / timedelta(hours=4)) - 1):
        clock.move(timedelta(hours=4))
        assert (await owner.get("/staff/account")).status_code == 200
    clock.move(timedelta(hours=4))
    assert (await owner.get("/staff/account")).status_code == 303


async def test_use_is_written_once_a_minute(
    clocked: Database, business: Business, owner: site.Browser, clock: Clock
) -> None:
    begun = clock.now
    async with clocked.read(business.id) as db:
        who = (await staff.members(db))[0]
    seen = []
    for step in (SEEN_EVERY / 2, SEEN_EVERY / 2):
        clock.move(step)
        await owner.get("/staff/sign-in")
        assert (await owner.get("/staff/account")).status_code == 200
        async with clocked.read(business.id) as db:
            seen.append((await staff.open_sessions(db, who.id))[0].seen_at)
    assert seen == [begun, begun + SEEN_EVERY]


async def test_old_sessions_reasons_and_tries_go(
    clocked: Database, business: Business, owner: site.Browser, clock: Clock
) -> None:
    await owner.enter("nobody@bakery.example")
    clock.move(ABSOLUTE)
    async with clocked.write(business.id) as db:
        await staff.sweep(db)
    clock.move(-ABSOLUTE)
    assert (await owner.get("/staff/account")).status_code == 303


async def test_a_stranger_cannot(
    clocked: Database,
    business: Business,
    other_business: Business,
    app: Litestar,
    owner: site.Browser,
) -> None:
    async with site.Browser(app, other_business) as stranger:
        assert (await stranger.enter(ADDRESS)).status_code == 422
        # The token says whose it is; elsewhere it is none, and altered to fit it is unknown.
        token = owner.cookies["sid"]
        stranger.cookies.set("sid", token)
        assert (await stranger.get("/staff/account")).status_code == 303
        secret = base64.urlsafe_b64decode(token)[16:]
        stranger.cookies.clear()
        stranger.cookies.set("sid", credentials.session_token(other_business.id, secret))
        assert (await stranger.get("/staff/account")).status_code == 303


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 64, "=" * 64, "A" * 10_000])
async def test_a_broken_cookie_is_no_session(
    clocked: Database, business: Business, browser: site.Browser, token: str
) -> None:
    headers = {b"cookie": f"sid={token}".encode()}
    answer = await browser.get("/staff/account", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/staff/sign-in")


async def test_a_hash_of_less_work_is_made_anew(clocked: Database, business: Business) -> None:
    await site.member(clocked, business.id)
    dearer = passwords.Cost(memory=16, passes=1, lanes=1)
    async with site.Browser(site.application(clocked, cost=dearer), business) as browser:
        assert (await browser.enter(ADDRESS)).status_code == 303
        assert (await browser.enter(ADDRESS)).status_code == 303
    async with clocked.read(business.id) as db:
        found = await staff.sessions.credentials_of(db, ADDRESS)
    assert found is not None
    assert not passwords.needs_rehash(found.password_hash, cost=dearer)


async def test_the_first_owner_signs_in(
    clocked: Database, business: Business, browser: site.Browser
) -> None:
    async with clocked.write(business.id) as db:
        first = await staff.add_first_owner(db, "Olga Owner", ADDRESS, PASSWORD, cost=site.CHEAP)
    assert first.role is Role.owner
    assert (await browser.enter(ADDRESS)).status_code == 303
    async with clocked.write(business.id) as db:
        with pytest.raises(staff.model.OwnerExists):
            await staff.add_first_owner(db, "Second", "second@bakery.example", PASSWORD)
