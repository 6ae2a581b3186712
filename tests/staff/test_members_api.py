"""Who works here, for programs: a key gives no more than its maker, and opens no console."""

from __future__ import annotations

from uuid import uuid4

import pytest
from litestar.types import ASGIApp

from crm import staff
from crm.businesses import Business
from crm.db import Database
from crm.events import Actor
from crm.staff import Key, Member, NewKey, Role, Scope
from tests import make
from tests.browser import Browser

STAFF = "/v1/staff"
ELIF = {"name": "Elif Editor", "address": "elif@bakery.example", "role": "editor"}
CARLA = {"name": "Carla Care", "address": "carla@bakery.example", "role": "care"}


async def hired(database: Database, business: Business, role: Role = Role.owner) -> Member:
    async with database.write(business.id) as db:
        return await make.owner(db, role)


async def by_key_of(program: Browser, database: Database, business: Business, maker: Actor) -> Key:
    """Let a program in by a key that `maker` made."""
    new = NewKey(name="Payroll", scopes=[Scope.staff_read, Scope.staff_write], reason="to hire")
    async with database.write(business.id) as db:
        key, text = await staff.add_key(db, maker, new)
    program.headers["authorization"] = f"Bearer {text}"
    return key


async def test_who_is_invited_waits_for_an_owner(
    web: Browser, api: Browser, console: Browser
) -> None:
    """She is listed without a secret, has no way in, and gets one on the staff page."""
    headers = {"idempotency-key": "hire 17"}
    added = await api.post(STAFF, json=ELIF, headers=headers)
    again = await api.post(STAFF, json=ELIF, headers=headers)
    assert (added.status_code, again.json()) == (201, added.json())
    elif_ = added.json()
    assert (elif_["role"], elif_["invited"], elif_["second_factor"]) == ("editor", True, False)
    assert elif_ in (await api.get(STAFF)).json()
    assert not [name for each in (await api.get(STAFF)).json() for name in each if "passw" in name]
    for password in ("", "once:", " "):
        form = {"address": ELIF["address"], "password": password}
        assert (await web.post("/staff/sign-in", data=form)).status_code == 422
    twice = await api.post(STAFF, json=ELIF)
    assert (twice.status_code, twice.json()["code"]) == (409, "works_here_already")
    assert "no way in yet" in (await console.get("/staff/members")).text
    path = f"/staff/members/{elif_['id']}/password"
    shown = await console.fill("/staff/members", path, proof=make.PASSWORD)
    assert 'id="password">' in shown.text
    assert (await api.get(f"{STAFF}/{elif_['id']}")).json()["invited"] is False


async def test_somebody_leaves_at_once_and_comes_back(
    *, api: Browser, site: ASGIApp, database: Database, business: Business
) -> None:
    """Again changes nothing, and is no event."""
    await hired(database, business)
    async with Browser(site, business.origin) as browser:
        carla = await make.let_in_as_owner(database, business, browser, Role.care)
        path = f"{STAFF}/{carla.id}"
        demoted = [await api.post(f"{path}/role", json={"role": "viewer"}) for _ in range(2)]
        assert [each.json()["role"] for each in demoted] == ["viewer"] * 2
        gone = [await api.post(f"{path}/access", json={"on": False}) for _ in range(2)]
        assert gone[0].json()["disabled_at"] == gone[1].json()["disabled_at"] is not None
        assert (await browser.get("/staff/account")).status_code == 303
        back = await api.post(f"{path}/access", json={"on": True})
        assert back.json()["disabled_at"] is None
    rows = (await api.get("/v1/events")).json()["rows"]
    said = [each["reason"] for each in rows if each["kind"] == "member.changed"]
    assert said == ["enabled", "disabled", "now viewer"]
    assert {each["actor_kind"] for each in rows if each["kind"] == "member.changed"} == {"key"}


async def test_nobody_is_made_an_owner_and_one_remains(
    api: Browser, database: Database, business: Business
) -> None:
    olga, second = await hired(database, business), await hired(database, business)
    elif_ = await hired(database, business, Role.editor)
    for path, body in (
        (STAFF, CARLA | {"role": "owner"}),
        (f"{STAFF}/{elif_.id}/role", {"role": "owner"}),
    ):
        refused = await api.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "owners_make_owners")
    assert (await api.post(f"{STAFF}/{second.id}/access", json={"on": False})).status_code == 200
    back = await api.post(f"{STAFF}/{second.id}/access", json={"on": True})
    assert (back.status_code, back.json()["code"]) == (403, "owners_make_owners")
    for what, less in (("access", {"on": False}), ("role", {"role": "viewer"})):
        refused = await api.post(f"{STAFF}/{olga.id}/{what}", json=less)
        assert (refused.status_code, refused.json()["code"]) == (409, "last_owner")


async def test_a_key_gives_no_more_than_its_maker_may_now(
    *, web: Browser, database: Database, business: Business
) -> None:
    """Also through a key that her key made; nor does it let anybody out that she may not."""
    await hired(database, business)
    olga = await hired(database, business)
    key = await by_key_of(web, database, business, olga.actor)
    assert (await web.post(STAFF, json=ELIF)).status_code == 201
    made = await by_key_of(web, database, business, Actor.key(key.id, key.name))
    assert made.created_by == key.id
    assert (await web.post(STAFF, json=CARLA)).status_code == 201
    async with database.write(business.id) as db:
        await staff.set_role(db, olga.actor, olga.id, Role.editor)
    lena = {**CARLA, "address": "lena@bakery.example", "role": "viewer"}
    refused = await web.post(STAFF, json=lena)
    assert (refused.status_code, refused.json()["code"]) == (403, "more_than_maker")
    async with database.write(business.id) as db:
        await staff.set_role(db, olga.actor, olga.id, Role.owner)
        await staff.disable(db, olga.actor, olga.id)
    assert (await web.post(STAFF, json=lena)).json()["code"] == "more_than_maker"
    carla = next(each for each in (await web.get(STAFF)).json() if each["role"] == "care")
    path = f"{STAFF}/{carla['id']}/access"
    assert (await web.post(path, json={"on": False})).json()["code"] == "more_than_maker"
    async with database.write(business.id) as db:
        await staff.disable(db, olga.actor, carla["id"])
    assert (await web.post(path, json={"on": False})).status_code == 200
    assert (await web.post(path, json={"on": True})).json()["code"] == "more_than_maker"


async def test_a_key_of_a_former_owner_lets_no_owner_out(
    *, web: Browser, database: Database, business: Business
) -> None:
    first, olga = await hired(database, business), await hired(database, business)
    await by_key_of(web, database, business, olga.actor)
    async with database.write(business.id) as db:
        await staff.set_role(db, first.actor, olga.id, Role.editor)
        await make.owner(db)
    for what, less in (("access", {"on": False}), ("role", {"role": "viewer"})):
        refused = await web.post(f"{STAFF}/{first.id}/{what}", json=less)
        assert (refused.status_code, refused.json()["code"]) == (403, "more_than_maker")


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"address": "nobody"}, 422, "invalid"),
        ({"role": "admin"}, 422, "invalid"),
        ({"password": "a sentence of hers"}, 422, "invalid"),
    ],
)
async def test_bad_input(api: Browser, more: dict[str, str], status: int, code: str) -> None:
    answer = await api.post(STAFF, json=ELIF | more)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_whoever_is_nobody_here_is_not_found(api: Browser) -> None:
    for path in ("", "/role", "/access"):
        body = {"/role": {"role": "viewer"}, "/access": {"on": False}}.get(path)
        where = f"{STAFF}/{uuid4()}{path}"
        answer = await (api.post(where, json=body) if body else api.get(where))
        assert answer.status_code == 404


async def test_reading_is_not_changing(
    web: Browser, database: Database, business: Business
) -> None:
    await make.let_in_by_key(database, business, web, [Scope.staff_read])
    assert (await web.get(STAFF)).status_code == 200
    assert (await web.post(STAFF, json=ELIF)).json()["code"] == "scope_missing"
