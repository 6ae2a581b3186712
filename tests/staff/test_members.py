"""Inviting people, changing what they may do, and ending it."""

from __future__ import annotations

import asyncio
import re
from uuid import UUID, uuid4

import pytest
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler

from crm import staff
from crm.businesses import Business
from crm.db import Database
from crm.errors import NotFound
from crm.events import Actor
from crm.staff import RIGHTS, LastOwner, Member, Right, Role, passwords
from crm.staff.auth import may
from crm.staff.model import ROLES, WeakPassword, WorksHereAlready
from tests.staff import site
from tests.staff.site import PASSWORD

SYSTEM = Actor.system()
_SHOWN = re.compile(r'id="password">([^<]+)<')
CARLA = {"name": "Carla Care", "address": "carla@bakery.example", "role": "care"}


async def _members(database: Database, business_id: UUID) -> dict[str, Member]:
    async with database.read(business_id) as db:
        return {member.address: member for member in await staff.members(db)}


async def _invited(owner: site.Browser) -> str:
    answer = await owner.fill("/staff/members", **CARLA)
    assert answer.status_code == 200
    shown = _SHOWN.search(answer.text)
    assert shown is not None
    return shown[1]


async def test_it_works(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    once = await _invited(owner)
    assert once not in (await owner.get("/staff/members")).text
    async with site.Browser(app, business) as carla:
        asked = await carla.enter(CARLA["address"], once)
        assert (asked.status_code, asked.headers.get("set-cookie")) == (200, None)
        assert "Choose your password" in asked.text
        new = {"address": CARLA["address"], "present": once, "password": "my very own sentence"}
        answer = await carla.post("/staff/new-password", data=new)
        assert (answer.status_code, answer.headers["location"]) == (303, "/staff")
        assert (await carla.get("/staff/account")).status_code == 200
        assert (await carla.enter(CARLA["address"], once)).status_code == 422
        assert (await carla.enter(CARLA["address"], "my very own sentence")).status_code == 303
    assert ("member.invited", "as care") in await site.kinds(clocked, business.id)


@pytest.mark.parametrize(
    "typed",
    [
        ("not what was given", "my very own sentence", "do not belong together"),
        (PASSWORD, "short", "at least 12"),
        (PASSWORD, "x" * 257, "room for 256"),
        (PASSWORD, "carla@bakery.example", "others try first"),
        (PASSWORD, "Corner-Bakery-2026!", "others try first"),
        (PASSWORD, "Qwerty123456", "Many people have this"),
        (PASSWORD, "x" * 20, "others try first"),
        (PASSWORD, PASSWORD, "not the present one"),
        (PASSWORD, "", "fill this in"),
    ],
)
async def test_a_password_that_will_not_do_is_asked_for_again(
    clocked: Database,
    business: Business,
    browser: site.Browser,
    typed: tuple[str, str, str],
) -> None:
    present, password, said = typed
    address = CARLA["address"]
    await site.member(clocked, business.id, address=address, once=True)
    new = {"address": address, "present": present, "password": password}
    answer = await browser.post("/staff/new-password", data=new)
    assert answer.status_code == 422
    assert said in answer.text
    assert (await browser.get("/staff/account")).status_code == 303


async def test_tries_at_replacing_are_counted_too(
    clocked: Database, business: Business, browser: site.Browser
) -> None:
    await site.member(clocked, business.id)
    new = {"address": "owner@bakery.example", "present": "?", "password": "my very own sentence"}
    answers = [await browser.post("/staff/new-password", data=new) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [422] * 10 + [429]


async def test_changing_ones_own_password_signs_out_everywhere_else(
    app: Litestar, business: Business, owner: site.Browser
) -> None:
    before = owner.cookies["sid"]
    fields = {"present": PASSWORD, "password": "another sentence, longer"}
    answer = await owner.fill("/staff/account", "/staff/account/password", **fields)
    assert answer.headers["location"] == "/staff/account"
    assert owner.cookies["sid"] != before
    assert "Your password is changed" in (await owner.get("/staff/account")).text
    async with site.Browser(app, business) as old:
        old.cookies.set("sid", before)
        assert (await old.get("/staff/account")).status_code == 303


async def test_a_wrong_present_password_changes_nothing(owner: site.Browser) -> None:
    fields = {"present": "wrong", "password": "another sentence, longer"}
    answer = await owner.fill("/staff/account", "/staff/account/password", **fields)
    assert answer.status_code == 422
    assert (await owner.enter("owner@bakery.example")).status_code == 303


async def test_an_address_works_here_once(
    clocked: Database, business: Business, owner: site.Browser
) -> None:
    await _invited(owner)
    again = await owner.fill("/staff/members", **CARLA | {"address": "CARLA@bakery.example"})
    assert again.status_code == 422
    assert "works here already" in again.text
    assert "Carla Care" in again.text
    assert len(await _members(clocked, business.id)) == 2
    async with clocked.write(business.id) as db:
        new = staff.NewMember(name="C", address="carla@BAKERY.example", role=Role.care)
        with pytest.raises(WorksHereAlready):
            await staff.invite(db, SYSTEM, new, "x")


@pytest.mark.parametrize(
    "fields",
    [{"name": ""}, {"address": "no address"}, {"role": "king"}, {"role": ""}, {"name": "x" * 300}],
)
async def test_a_bad_invitation_is_shown_again(
    clocked: Database, business: Business, owner: site.Browser, fields: dict[str, str]
) -> None:
    answer = await owner.fill("/staff/members", **CARLA | fields)
    assert answer.status_code == 422
    assert list(await _members(clocked, business.id)) == ["owner@bakery.example"]


async def test_a_new_role_counts_at_the_next_request(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    carla = await site.member(clocked, business.id, Role.care, address="carla@bakery.example")
    async with site.Browser(app, business) as hers:
        await hers.enter("carla@bakery.example")
        assert (await hers.get("/staff/members")).status_code == 403
        action = f"/staff/members/{carla.id}/role"
        answer = await owner.fill("/staff/members", action, role="owner", proof=PASSWORD)
        assert answer.status_code == 303
        assert (await hers.get("/staff/members")).status_code == 200
    assert ("member.changed", "now owner") in await site.kinds(clocked, business.id)


async def test_a_disabled_member_is_out_at_once(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    carla = await site.member(clocked, business.id, Role.care, address="carla@bakery.example")
    async with site.Browser(app, business) as hers:
        await hers.enter("carla@bakery.example")
        assert (await hers.get("/staff/account")).status_code == 200
        action = f"/staff/members/{carla.id}/access"
        assert (await owner.fill("/staff/members", action, decision="stop")).status_code == 303
        assert (await hers.get("/staff/account")).status_code == 303
        assert (await hers.enter("carla@bakery.example")).status_code == 422
        await owner.fill("/staff/members", action, decision="start")
        assert (await hers.get("/staff/account")).status_code == 303
        assert (await hers.enter("carla@bakery.example")).status_code == 303


async def test_disabled_between_check_and_session(clocked: Database, business: Business) -> None:
    carla = await site.member(clocked, business.id, Role.care)
    async with clocked.write(business.id) as db:
        checked = await staff.sessions.credentials_of(db, carla.address)
        assert checked is not None
        await site.member(clocked, business.id, address="other@bakery.example")
        await staff.disable(db, SYSTEM, carla.id)
        with pytest.raises(staff.model.WrongPassword):
            await staff.sessions.open_session(db, checked)


async def test_one_owner_remains(
    clocked: Database, business: Business, owner: site.Browser
) -> None:
    me = (await _members(clocked, business.id))["owner@bakery.example"]
    for verb, field in (("role", {"role": "viewer"}), ("access", {"decision": "stop"})):
        answer = await owner.fill("/staff/members", f"/staff/members/{me.id}/{verb}", **field)
        assert answer.status_code == 409
        assert "last owner" in answer.text
    assert (await _members(clocked, business.id))["owner@bakery.example"] == me


async def test_two_owners_cannot_take_each_other_away(
    clocked: Database, business: Business
) -> None:
    one = await site.member(clocked, business.id, address="one@bakery.example")
    two = await site.member(clocked, business.id, address="two@bakery.example")
    both_in = asyncio.Barrier(2)

    async def disable(member: Member) -> None:
        async with clocked.write(business.id) as db:
            await staff.members(db)
            await both_in.wait()
            await staff.disable(db, SYSTEM, member.id)

    ended = await asyncio.gather(disable(one), disable(two), return_exceptions=True)
    assert [type(end) for end in ended if end is not None] == [LastOwner]


async def test_a_forgotten_password_is_replaced_by_one_for_one_use(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    carla = await site.member(clocked, business.id, Role.care, address="carla@bakery.example")
    async with site.Browser(app, business) as hers:
        await hers.enter("carla@bakery.example")
        action = f"/staff/members/{carla.id}/password"
        answer = await owner.fill("/staff/members", action, proof=PASSWORD)
        shown = _SHOWN.search(answer.text)
        assert shown is not None
        assert (await hers.get("/staff/account")).status_code == 303
        assert (await hers.enter("carla@bakery.example")).status_code == 422
        asked = await hers.enter("carla@bakery.example", shown[1])
        assert (asked.status_code, "Choose your password" in asked.text) == (200, True)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/staff/members/{ben}/password", {}),
        ("/staff/members/{ben}/second-factor", {}),
        ("/staff/members/{ben}/role", {"role": "owner"}),
        ("/staff/members", CARLA | {"role": "owner"}),
    ],
)
async def test_an_open_browser_makes_no_owner_and_takes_no_password(
    clocked: Database,
    business: Business,
    owner: site.Browser,
    path: str,
    fields: dict[str, str],
) -> None:
    ben = await site.member(clocked, business.id, Role.care, address="ben@bakery.example")
    before = await site.kinds(clocked, business.id)
    action = path.format(ben=ben.id)
    asked = await owner.fill("/staff/members", action, **fields)
    assert (asked.status_code, "Your own password first" in asked.text) == (200, True)
    assert _SHOWN.search(asked.text) is None
    assert await site.kinds(clocked, business.id) == before
    wrong = await owner.fill("/staff/members", action, **fields, proof="not the password")
    assert wrong.status_code == 422
    assert {kind for kind, _ in await site.kinds(clocked, business.id)} == {
        *(kind for kind, _ in before),
        "member.refused",
    }
    assert (await owner.fill("/staff/members", action, **fields, proof=PASSWORD)).status_code < 400


async def test_ones_own_way_in_is_reset_by_nobody(
    clocked: Database, business: Business, owner: site.Browser
) -> None:
    async with clocked.read(business.id) as db:
        me = (await staff.members(db))[0]
    for action in ("password", "second-factor"):
        path = f"/staff/members/{me.id}/{action}"
        answer = await owner.fill("/staff/members", path, proof=PASSWORD)
        assert answer.status_code == 409
        assert "My account" in answer.text
        assert _SHOWN.search(answer.text) is None
    assert (await owner.get("/staff/account")).status_code == 200


def test_every_role_is_in_the_table() -> None:
    assert set(RIGHTS) == set(ROLES) == set(Role)
    assert RIGHTS[Role.owner] == frozenset(Right)
    assert not RIGHTS[Role.viewer] & {
        right for right in Right if "customers" in right or "manage" in right
    }


def _doors(right: Right) -> list[HTTPRouteHandler]:
    """Two pages behind a right: one asks by a guard, the other by its name."""

    @get(f"/by-guard/{right}", guards=[may(right)], sync_to_thread=False)
    def get_by_guard() -> str:
        return "in"

    @get(f"/by-name/{right}", opt={"right": right.value}, sync_to_thread=False)
    def get_by_name() -> str:
        return "in"

    return [get_by_guard, get_by_name]


# Of all rights, since to put an application together takes longer than to ask it.
_DOORS = [door for right in Right for door in _doors(right)]


@pytest.mark.parametrize("right", list(Right))
@pytest.mark.parametrize("role", list(Role))
async def test_the_table_is_what_guards(
    clocked: Database, business: Business, role: Role, right: Right
) -> None:
    await site.member(clocked, business.id, role)
    app = site.application(clocked, console=_DOORS)
    async with site.Browser(app, business) as browser:
        await browser.enter("owner@bakery.example")
        expected = 200 if right in RIGHTS[role] else 403
        for path in (f"/staff/by-guard/{right}", f"/staff/by-name/{right}"):
            assert (await browser.get(path)).status_code == expected


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/staff/members", Right.manage_staff),
        ("/staff/keys", Right.manage_keys),
        ("/staff/audit", Right.see_audit),
        ("/staff/settings", Right.change_business),
    ],
)
async def test_rooms_are_closed_to_whom_the_table_says(
    clocked: Database, business: Business, app: Litestar, path: str, right: Right
) -> None:
    for role in Role:
        address = f"{role}@bakery.example"
        await site.member(clocked, business.id, role, address=address)
        async with site.Browser(app, business) as browser:
            await browser.enter(address)
            expected = 200 if right in RIGHTS[role] else 403
            assert (await browser.get(path)).status_code == expected


async def test_a_stranger_cannot(
    clocked: Database, business: Business, other_business: Business, owner: site.Browser
) -> None:
    theirs = await site.member(clocked, other_business.id)
    await site.member(clocked, other_business.id, address="two@bakery.example")
    for verb, field in (("role", "role=viewer"), ("access", "decision=stop"), ("password", "")):
        name, _, value = field.partition("=")
        action = f"/staff/members/{theirs.id}/{verb}"
        answer = await owner.fill("/staff/members", action, **({name: value} if name else {}))
        assert answer.status_code == 404
    assert (await _members(clocked, other_business.id))[theirs.address] == theirs
    async with clocked.write(business.id) as db:
        for change in (staff.disable, staff.enable):
            with pytest.raises(NotFound):
                await change(db, SYSTEM, uuid4())
        with pytest.raises(NotFound):
            await staff.reset_password(db, SYSTEM, theirs.id, "x")


@pytest.mark.parametrize(
    "password",
    [
        "twelve chars",
        "ﬁfteen letters",
        "pass\0word\0word",
        "3141592653589793",
        "a corner where bread is baked",
    ],
)
def test_length_is_all_that_is_asked(business: Business, password: str) -> None:
    assert passwords.checked(password, "olga@bakery.example", business)


@pytest.mark.parametrize("password", ["", "eleven char", "x" * 257])
def test_too_short_and_too_long(business: Business, password: str) -> None:
    with pytest.raises(WeakPassword):
        passwords.checked(password, "olga@bakery.example", business)


async def test_the_same_password_typed_otherwise_is_the_same() -> None:
    kept = await passwords.hashed("caf\u00e9 sentence", cost=site.CHEAP)
    assert await passwords.matches("cafe\u0301 sentence", kept, cost=site.CHEAP)
    assert not await passwords.matches("cafe sentence", kept, cost=site.CHEAP)
    assert kept.startswith("$argon2id$")


async def test_a_broken_hash_opens_nothing() -> None:
    assert not await passwords.matches("x", "once:", cost=site.CHEAP)
    assert not await passwords.matches("\ud800", "$argon2id$", cost=site.CHEAP)
