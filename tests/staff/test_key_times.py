"""Keys end by themselves and get new texts; a key gives no other more than it has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar

from crm import staff
from crm.businesses import Business
from crm.db import Database
from crm.events import Actor
from crm.staff import Key, NewKey, Scope
from tests.staff import site
from tests.staff.conftest import Clock

SYSTEM = Actor.system()
DAY = timedelta(days=1)
_SHOWN = re.compile(r'id="key">([^<]+)<')


async def _key(
    database: Database,
    business: Business,
    *,
    days: int | None = None,
    scopes: Sequence[Scope] = tuple(Scope),
) -> tuple[Key, str]:
    new = NewKey(name="Till", scopes=list(scopes), reason="to greet", days=days)
    async with database.write(business.id) as db:
        return await staff.add_key(db, SYSTEM, new)


async def _works(app: Litestar, *texts: str) -> list[bool]:
    async with site.program(app) as program:
        answers = [await program.get("/v1/key", headers=site.bearing(text)) for text in texts]
    return [answer.status_code == 200 for answer in answers]


async def test_it_works(clocked: Database, business: Business, app: Litestar, clock: Clock) -> None:
    """To its last second, and no longer; nor can it be revived then."""
    _, text = await _key(clocked, business, days=30)
    clock.move(30 * DAY - timedelta(seconds=1))
    before = await _works(app, text)
    clock.move(timedelta(seconds=1))
    async with site.program(app) as program:
        late = await program.post("/v1/key/rotation", json={}, headers=site.bearing(text))

    assert (before, await _works(app, text), late.status_code) == ([True], [False], 401)


async def test_both_texts_work_for_a_while(
    clocked: Database, business: Business, app: Litestar, clock: Clock
) -> None:
    """A program is told in peace; the second rotation ends the first text at once."""
    key, first = await _key(clocked, business)
    async with site.program(app) as program:
        made = await program.post(
            "/v1/key/rotation", json={"overlap_hours": 2}, headers=site.bearing(first)
        )
        second = made.json()["text"]
        both = await _works(app, first, second)
        clock.move(timedelta(hours=2))
        over = await _works(app, first, second)
        again = await program.post("/v1/key/rotation", json={}, headers=site.bearing(second))
        third = again.json()["text"]
        last = await program.post(
            "/v1/key/rotation", json={"overlap_hours": 0}, headers=site.bearing(third)
        )
    async with clocked.read(business.id) as db:
        (kept,) = await staff.api_keys(db)

    assert (made.status_code, made.json()["key"]["id"]) == (201, str(key.id))
    assert (both, over) == ([True, True], [False, True])
    assert await _works(app, first, second, third, last.json()["text"]) == [False] * 3 + [True]
    assert kept.previous_until == clock.now
    assert ("key.rotated", "Till") in await site.kinds(clocked, business.id)


async def test_only_the_newest_text_is_replaced(
    clocked: Database, business: Business, app: Litestar
) -> None:
    """Whoever has the one before gets no other by it; an answer that got lost is given again."""
    key, first = await _key(clocked, business)
    named = {"idempotency-key": uuid4().hex}
    async with site.program(app) as program:
        made, repeated, again, other = [
            await program.post(path, json={}, headers=site.bearing(first) | more)
            for path, more in (
                ("/v1/key/rotation", named),
                ("/v1/key/rotation", named),
                ("/v1/key/rotation", {}),
                (f"/v1/keys/{key.id}/rotation", {}),
            )
        ]

    assert (made.status_code, repeated.json()) == (201, made.json())
    assert [each.json()["code"] for each in (again, other)] == ["text_replaced"] * 2
    assert await _works(app, first, made.json()["text"]) == [True, True]


async def test_revoking_ends_both(clocked: Database, business: Business, app: Litestar) -> None:
    key, first = await _key(clocked, business)
    _, boss = await _key(clocked, business)
    async with site.program(app) as program:
        where = f"/v1/keys/{key.id}"
        second = await program.post(f"{where}/rotation", json={}, headers=site.bearing(boss))
        revoked = await program.post(f"{where}/revocation", headers=site.bearing(boss))
        late = await program.post(f"{where}/rotation", json={}, headers=site.bearing(boss))

    assert revoked.json()["revoked_at"] is not None
    assert await _works(app, first, second.json()["text"]) == [False, False]
    assert (late.status_code, late.json()["code"]) == (409, "key_ended")


async def test_staff_give_a_new_text(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    """By one press, and the page says until when the other works."""
    answer = await owner.fill(
        "/staff/keys", name="Till", reason="to greet", scopes=["customers:read"], days="90"
    )
    (first,) = _SHOWN.findall(answer.text)
    async with clocked.read(business.id) as db:
        (key,) = await staff.api_keys(db)
    shown = await owner.fill("/staff/keys", f"/staff/keys/{key.id}/rotation")
    (second,) = _SHOWN.findall(shown.text)

    assert key.expires_at == key.created_at + 90 * DAY
    assert await _works(app, first, second) == [True, True]
    assert "The text before works until" in (await owner.get("/staff/keys")).text


@pytest.mark.parametrize(
    ("own_days", "more"),
    [
        (None, {"scopes": ["customers:read"]}),
        (10, {"days": None}),
        (10, {"days": 11}),
    ],
)
async def test_no_key_gives_more_than_it_has(
    clocked: Database,
    business: Business,
    app: Litestar,
    own_days: int | None,
    more: dict[str, Any],
) -> None:
    """Neither a scope nor time: a small key of one day is no way to a large one for ever."""
    _, text = await _key(clocked, business, days=own_days, scopes=[Scope.keys_write])
    body = {"name": "Own", "scopes": ["keys:write"], "reason": "to have as much", "days": own_days}
    headers = site.bearing(text) | {"idempotency-key": uuid4().hex}
    async with site.program(app) as program:
        refused = await program.post("/v1/keys", json=body | more, headers=headers)
        fine = await program.post("/v1/keys", json=body, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (403, "more_than_own")
    assert await _works(app, fine.json()["text"]) == [True]


async def test_a_larger_key_is_not_rotated(
    clocked: Database, business: Business, app: Litestar
) -> None:
    """Its text would be a way to what the smaller may not."""
    large, _ = await _key(clocked, business)
    _, small = await _key(clocked, business, scopes=[Scope.keys_write])
    async with site.program(app) as program:
        refused = await program.post(
            f"/v1/keys/{large.id}/rotation", json={}, headers=site.bearing(small)
        )
        unnamed = await program.post(
            f"/v1/keys/{uuid4()}/rotation", json={}, headers=site.bearing(small)
        )

    assert refused.json()["code"] == "more_than_own"
    assert unnamed.status_code == 404


@pytest.mark.parametrize("days", [None, 11])
async def test_a_key_that_works_longer_is_not_rotated(
    clocked: Database, business: Business, app: Litestar, days: int | None
) -> None:
    """Its text would outlast the key that asked for it; one that ends no later is rotated."""
    longer, kept = await _key(clocked, business, days=days, scopes=[Scope.keys_write])
    shorter, _ = await _key(clocked, business, days=9, scopes=[Scope.keys_write])
    _, text = await _key(clocked, business, days=10, scopes=[Scope.keys_write])
    async with site.program(app) as program:
        refused, rotated = [
            await program.post(
                f"/v1/keys/{each.id}/rotation",
                json={"overlap_hours": 0},
                headers=site.bearing(text),
            )
            for each in (longer, shorter)
        ]

    assert refused.json()["code"] == "more_than_own"
    assert rotated.status_code == 201
    assert await _works(app, kept) == [True]
