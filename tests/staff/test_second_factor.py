"""A second factor of staff: set up, asked for, used once, lost, taken away, insisted on."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pyotp
import pytest
from litestar import Litestar

from crm import staff
from crm.businesses import Business
from crm.db import Database
from crm.events import Actor
from crm.staff import Role, second_factor
from crm.staff.factor import HasFactor
from crm.staff.model import ATTEMPT_WINDOW, CODES_A_DAY
from tests.staff import site
from tests.staff.conftest import Clock

_ADDRESS = "owner@bakery.example"
_SET_UP = "/staff/account/second-factor"
_CODE = re.compile(r'<li class="proof">([0-9A-Z-]+)</li>')


class Telephone:
    """An app that shows codes, by the hour of the test."""

    def __init__(self, letters: str, clock: Clock) -> None:
        self._codes, self.clock = pyotp.TOTP(letters), clock

    def code(self, late: int = 0) -> str:
        """The code of now, or of `late` seconds ago."""
        return self._codes.at(self.clock.now - timedelta(seconds=late))


@pytest.fixture
async def second(app: Litestar, business: Business) -> AsyncIterator[site.Browser]:
    """Another browser, in which nobody is signed in."""
    async with site.Browser(app, business) as opened:
        yield opened


@pytest.fixture
async def telephone(owner: site.Browser, clock: Clock) -> Telephone:
    """The owner has set up a second factor, a minute ago."""
    found, _ = await _set_up(owner, clock)
    clock.move(timedelta(minutes=1))
    return found


async def _set_up(browser: site.Browser, clock: Clock) -> tuple[Telephone, list[str]]:
    shown = await browser.fill("/staff/account", _SET_UP, proof=site.PASSWORD)
    assert shown.status_code == 200
    letters = re.search(r'<p class="proof">([A-Z2-7 ]+)</p>', shown.text)
    assert letters is not None
    found = Telephone(letters[1].replace(" ", ""), clock)
    token = re.search(r'name="csrf" value="([^"]+)"', shown.text)
    assert token is not None
    fields = {"csrf": token[1], "code": found.code()}
    done = await browser.post(f"{_SET_UP}/confirmation", data=fields)
    assert done.status_code == 200
    return found, _CODE.findall(done.text)


async def _ticket(browser: site.Browser) -> str:
    """Give the right password; return what the page for the code carries."""
    asked = await browser.enter(_ADDRESS)
    assert asked.status_code == 200
    assert "sid" not in browser.cookies
    found = re.search(r'name="ticket" value="([^"]+)"', asked.text)
    assert found is not None
    return html.unescape(found[1])


async def _prove(browser: site.Browser, ticket: str, code: str) -> httpx2.Response:
    return await browser.post("/staff/second-factor", data={"ticket": ticket, "code": code})


async def test_it_works(
    clocked: Database, business: Business, second: site.Browser, telephone: Telephone
) -> None:
    answer = await _prove(second, await _ticket(second), telephone.code())
    assert (answer.status_code, answer.headers["location"]) == (303, "/staff")
    assert "second factor" in (await second.get("/staff/account")).text.lower()
    said = [reason for _, reason in await site.kinds(clocked, business.id)]
    assert "second factor set up" in said


async def test_nothing_changes_before_a_code_was_typed(
    owner: site.Browser, second: site.Browser
) -> None:
    shown = await owner.fill("/staff/account", _SET_UP, proof=site.PASSWORD)
    assert "data:image/svg+xml" in shown.text
    assert (await second.enter(_ADDRESS)).status_code == 303


async def test_the_password_is_needed_to_set_it_up_or_take_it_away(
    owner: site.Browser, second: site.Browser, telephone: Telephone
) -> None:
    for path in (_SET_UP, f"{_SET_UP}/removal"):
        answer = await owner.fill("/staff/account", path, proof="not the password")
        assert answer.status_code == 422
        assert "do not belong together" in answer.text
    assert (await _prove(second, await _ticket(second), telephone.code())).status_code == 303


async def test_a_wrong_first_code_shows_the_same_secret_again(
    owner: site.Browser, second: site.Browser
) -> None:
    shown = await owner.fill("/staff/account", _SET_UP, proof=site.PASSWORD)
    token = re.search(r'name="csrf" value="([^"]+)"', shown.text)
    assert token is not None
    again = await owner.post(f"{_SET_UP}/confirmation", data={"csrf": token[1], "code": "12345x"})
    assert again.status_code == 422
    secrets = [re.search(r'<p class="proof">([^<]+)<', each.text) for each in (shown, again)]
    assert secrets[0]
    assert secrets[1]
    assert secrets[0][1] == secrets[1][1]
    assert (await second.enter(_ADDRESS)).status_code == 303


async def test_no_code_opens_twice(second: site.Browser, telephone: Telephone) -> None:
    code = telephone.code()
    assert (await _prove(second, await _ticket(second), code)).status_code == 303
    second.cookies.clear()
    again = await _prove(second, await _ticket(second), code)
    assert again.status_code == 422
    assert "was used already" in again.text


@pytest.mark.parametrize(("late", "status"), [(0, 303), (30, 303), (-30, 303), (90, 422)])
async def test_clocks_may_differ_by_one_step(
    second: site.Browser, telephone: Telephone, clock: Clock, late: int, status: int
) -> None:
    clock.move(timedelta(minutes=10))
    answer = await _prove(second, await _ticket(second), telephone.code(late))
    assert answer.status_code == status


@pytest.mark.parametrize(
    "typed", ["", "000", "١٢٣٤٥٦", "\0", "x" * 300, "0000-0000-0000-0000-0000-0000"]
)
async def test_what_is_no_code_opens_nothing(
    clocked: Database,
    business: Business,
    second: site.Browser,
    telephone: Telephone,
    typed: str,
) -> None:
    answer = await _prove(second, await _ticket(second), typed)
    assert answer.status_code == 422
    assert "sid" not in second.cookies
    assert ("member.refused", "wrong second factor") in await site.kinds(clocked, business.id)


async def test_tries_are_counted_whatever_password_came_before(
    second: site.Browser, telephone: Telephone
) -> None:
    ticket = await _ticket(second)
    answers = [await _prove(second, ticket, "no code") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [422] * 10 + [429]
    assert (await _prove(second, await _ticket(second), telephone.code())).status_code == 429


async def test_a_code_for_a_lost_telephone_opens_once(
    owner: site.Browser, second: site.Browser, clock: Clock
) -> None:
    _, codes = await _set_up(owner, clock)
    assert len(set(codes)) == 10
    typed = codes[3].lower().replace("-", " ")
    assert (await _prove(second, await _ticket(second), typed)).status_code == 303
    assert "9 codes are left" in (await second.get("/staff/account")).text
    second.cookies.clear()
    assert (await _prove(second, await _ticket(second), codes[3])).status_code == 422


async def test_a_ticket_is_for_one_password_and_ten_minutes(
    owner: site.Browser, second: site.Browser, telephone: Telephone, clock: Clock
) -> None:
    old = await _ticket(second)
    fields = {"present": site.PASSWORD, "password": "another sentence, longer"}
    await owner.fill("/staff/account", "/staff/account/password", **fields)
    for ticket in (old, "", "x", old[:-4] + "AAAA"):
        answer = await _prove(second, ticket, telephone.code())
        assert answer.headers["location"] == "/staff/sign-in"
    assert "sid" not in second.cookies
    found = await second.enter(_ADDRESS, "another sentence, longer")
    anew = re.search(r'name="ticket" value="([^"]+)"', found.text)
    assert anew is not None
    clock.move(timedelta(minutes=11))
    late = await _prove(second, anew[1], telephone.code())
    assert late.headers["location"] == "/staff/sign-in"


async def test_a_new_password_does_not_go_round_it(
    clocked: Database, business: Business, second: site.Browser, telephone: Telephone
) -> None:
    async with clocked.write(business.id) as db:
        found = await staff.sessions.credentials_of(db, _ADDRESS)
        assert found is not None
        once = await staff.hashed("handed over once", cost=site.CHEAP, once=True)
        await staff.reset_password(db, Actor.system(), found.id, once)
    new = {"address": _ADDRESS, "present": "handed over once", "password": "my very own sentence"}
    asked = await second.post("/staff/new-password", data=new)
    assert "sid" not in second.cookies
    ticket = re.search(r'name="ticket" value="([^"]+)"', asked.text)
    assert ticket is not None
    answer = await _prove(second, ticket[1], telephone.code())
    assert answer.status_code == 303


async def test_the_password_alone_replaces_no_password(
    owner: site.Browser, second: site.Browser, telephone: Telephone
) -> None:
    new = {"address": _ADDRESS, "present": site.PASSWORD, "password": "my very own sentence"}
    asked = await second.post("/staff/new-password", data=new)
    ticket = re.search(r'name="ticket" value="([^"]+)"', asked.text)
    assert ticket is not None
    assert (await _prove(second, ticket[1], "000000")).status_code == 422
    assert (await owner.get("/staff/account")).status_code == 200
    assert (await second.enter(_ADDRESS)).status_code == 200
    done = await _prove(second, ticket[1], telephone.code())
    assert done.status_code == 303
    assert "Your password is set" in (await second.get("/staff/account")).text
    assert (await owner.get("/staff/account")).status_code == 303
    assert (await owner.enter(_ADDRESS)).status_code == 422


async def test_who_has_the_password_and_tries_codes_is_stopped_and_told_of(
    clocked: Database,
    business: Business,
    owner: site.Browser,
    second: site.Browser,
    telephone: Telephone,
) -> None:
    tried = 0
    while tried < CODES_A_DAY:
        ticket = await _ticket(second)
        for _ in range(10):
            assert (await _prove(second, ticket, "no code")).status_code == 422
            tried += 1
        telephone.clock.move(ATTEMPT_WINDOW)
    assert (await _prove(second, await _ticket(second), telephone.code())).status_code == 429
    owner.cookies.delete("sid")
    assert (await _prove(owner, await _ticket(owner), telephone.code())).status_code == 303
    told = await site.told(clocked, business.id)
    assert told == ["A second factor was set up", "Somebody may know your password"]


async def test_a_member_is_told_of_each_change_of_her_way_in(
    clocked: Database,
    business: Business,
    owner: site.Browser,
    second: site.Browser,
    clock: Clock,
) -> None:
    ben = await site.member(clocked, business.id, Role.care, address="ben@bakery.example")
    assert (await second.enter("ben@bakery.example")).status_code == 303
    changed = {"present": site.PASSWORD, "password": "another sentence, longer"}
    await second.fill("/staff/account", "/staff/account/password", **changed)
    shown = await second.fill("/staff/account", _SET_UP, proof="another sentence, longer")
    letters = re.search(r'<p class="proof">([A-Z2-7 ]+)</p>', shown.text)
    token = re.search(r'name="csrf" value="([^"]+)"', shown.text)
    assert letters
    assert token
    code = Telephone(letters[1].replace(" ", ""), clock).code()
    await second.post(f"{_SET_UP}/confirmation", data={"csrf": token[1], "code": code})
    for action in ("second-factor", "password"):
        path = f"/staff/members/{ben.id}/{action}"
        await owner.fill("/staff/members", path, proof=site.PASSWORD)
    assert await site.told(clocked, business.id) == [
        "Your password was changed",
        "A second factor was set up",
        "Your second factor was taken away",
        "Your password was reset",
    ]


async def test_set_up_between_password_and_session(
    clocked: Database, business: Business, owner: site.Browser, clock: Clock
) -> None:
    async with clocked.read(business.id) as db:
        before = await staff.sessions.credentials_of(db, _ADDRESS)
    assert before is not None
    await _set_up(owner, clock)
    async with clocked.write(business.id) as db:
        with pytest.raises(staff.model.WrongPassword):
            await staff.sessions.open_session(db, before)


async def test_setting_it_up_signs_out_everywhere_else(
    owner: site.Browser, second: site.Browser, clock: Clock
) -> None:
    assert (await second.enter(_ADDRESS)).status_code == 303
    await _set_up(owner, clock)
    assert (await second.get("/staff/account")).status_code == 303
    assert (await owner.get("/staff/account")).status_code == 200


async def test_it_is_set_up_once(
    clocked: Database, business: Business, telephone: Telephone
) -> None:
    async with clocked.write(business.id) as db:
        found = await staff.sessions.credentials_of(db, _ADDRESS)
        assert found is not None
        who = await staff.member(db, found.id)
        with pytest.raises(HasFactor):
            await second_factor.begin(db, who, business)


@pytest.mark.usefixtures("telephone")
async def test_her_own_is_taken_away(owner: site.Browser) -> None:
    answer = await owner.fill("/staff/account", f"{_SET_UP}/removal", proof=site.PASSWORD)
    assert answer.headers["location"] == "/staff/sign-in"
    owner.cookies.clear()
    assert (await owner.enter(_ADDRESS)).status_code == 303


async def test_an_owner_takes_a_lost_one_away(
    clocked: Database, business: Business, owner: site.Browser, second: site.Browser, clock: Clock
) -> None:
    ben = await site.member(
        clocked, business.id, Role.care, address="ben@bakery.example", name="Ben"
    )
    assert (await second.enter("ben@bakery.example")).status_code == 303
    await _set_up(second, clock)
    assert "Telephone lost" in (await owner.get("/staff/members")).text
    action = f"/staff/members/{ben.id}/second-factor"
    answer = await owner.fill("/staff/members", action, proof=site.PASSWORD)
    assert answer.status_code == 303
    assert (await second.get("/staff/account")).status_code == 303
    assert (await second.enter("ben@bakery.example")).status_code == 303


async def test_a_business_may_insist(
    clocked: Database, business: Business, owner: site.Browser, second: site.Browser, clock: Clock
) -> None:
    await site.member(clocked, business.id, Role.care, address="ben@bakery.example", name="Ben")
    await second.enter("ben@bakery.example")
    answer = await owner.fill("/staff/members", "/staff/members/second-factor", decision="on")
    assert answer.status_code == 303
    home = await second.get("/staff")
    assert home.headers["location"] == "/staff/account"
    assert "Everybody who works here needs one" in (await second.get("/staff/account")).text
    assert (await owner.get("/staff/members")).status_code == 403
    await _set_up(owner, clock)
    assert (await owner.get("/staff/members")).status_code == 200
    await owner.fill("/staff/members", "/staff/members/second-factor", decision="off")
    assert (await second.get("/staff")).headers["location"] == "/staff/campaigns"


async def test_what_was_never_proved_goes(
    clocked: Database, business: Business, owner: site.Browser, clock: Clock
) -> None:
    await owner.fill("/staff/account", _SET_UP, proof=site.PASSWORD)
    clock.move(timedelta(days=2))
    async with clocked.write(business.id) as db:
        await staff.sweep(db)
        found = await staff.sessions.credentials_of(db, _ADDRESS)
        assert found is not None
        assert await second_factor.factor_of(db, found.id) is None
