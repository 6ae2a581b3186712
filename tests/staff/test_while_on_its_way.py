"""Who was let out, or may less, while her form was on its way or her password was looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx2
import pytest

from crm import staff
from crm.businesses import Business
from crm.db import Database, Db
from crm.staff import Member, NewMember, Role, second_factor
from tests import make
from tests.browser import Browser
from tests.routes import ROUTES, Route

_FORM = {"content-type": "application/x-www-form-urlencoded"}
_OLGA = NewMember(name="Olga", address="olga@bakery.example", role=Role.owner)
# What each form of a handler that opens its own transactions takes.
_FIELDS = {
    "name": "bakery.example",
    "address": "mallory@example.com",
    "role": "care",
    "proof": make.PASSWORD,
    "present": make.PASSWORD,
    "password": "quite another sentence of mine",
}
_NO_MORE = "Your role does not include this."

Happens = Callable[[Db, UUID], Awaitable[object]]


async def _disabled(db: Db, member_id: UUID) -> None:
    await staff.disable(db, make.SYSTEM, member_id)


async def _demoted(db: Db, member_id: UUID) -> None:
    await staff.set_role(db, make.SYSTEM, member_id, Role.viewer)


async def _insisted(db: Db, _: UUID) -> None:
    await second_factor.insist(db, make.SYSTEM, on=True)


@pytest.fixture
async def owner(database: Database, business: Business, console: Browser) -> Member:
    """The owner whose form is on its way; there is another one, who can let her out."""
    async with database.write(business.id) as db:
        (found,) = await staff.members(db)
        await staff.invite(db, make.SYSTEM, _OLGA, "x")
    return found


class _Sender:
    """Sends forms of the owner in two pieces, and something happens to her in between."""

    def __init__(
        self, console: Browser, database: Database, business: Business, owner: Member
    ) -> None:
        self._console, self._database = console, database
        self._business, self._owner = business, owner

    async def happens(self, what: Happens) -> None:
        async with self._database.write(self._business.id) as db:
            await what(db, self._owner.id)

    async def send(self, path: str, fields: dict[str, str], what: Happens) -> httpx2.Response:
        token = await self._console.token("/staff/account")

        async def slowly() -> AsyncIterator[bytes]:
            yield urlencode({"csrf": token} | fields).encode()
            await self.happens(what)
            yield b"&last=1"

        return await self._console.post(path, content=slowly(), headers=_FORM)


@pytest.fixture
def sender(console: Browser, database: Database, business: Business, owner: Member) -> _Sender:
    return _Sender(console, database, business, owner)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/staff/members", {"name": "Mallory", "address": "m@example.com", "role": "care"}),
        ("/staff/keys", {"name": "Mine", "reason": "to look", "scopes": "customers:read"}),
    ],
)
@pytest.mark.parametrize(("what", "status"), [(_disabled, 401), (_demoted, 403), (_insisted, 403)])
async def test_who_may_not_any_more_makes_nothing(  # noqa: PLR0917  (fixtures)
    sender: _Sender,
    database: Database,
    business: Business,
    path: str,
    fields: dict[str, str],
    what: Happens,
    status: int,
) -> None:
    answer = await sender.send(path, fields, what)
    assert answer.status_code == status
    async with database.read(business.id) as db:
        assert len(await staff.members(db)) == 2
        assert await staff.api_keys(db) == []


def _signed_in(route: Route) -> bool:
    return "signed_in" in {getattr(each, "__name__", "") for each in route.handler.resolve_guards()}


async def test_each_form_asks_again(sender: _Sender, owner: Member) -> None:
    """Also where a handler opens its own transactions, which nothing else would ask for it."""
    forms = [each for each in ROUTES if each.method == "POST" and _signed_in(each)]
    assert len(forms) > 50
    wrong = {}
    for route in forms:
        path = route.path.format(**{name: str(uuid4()) for name in route.types})
        answer = await sender.send(path, _FIELDS, _demoted)
        if answer.status_code != 403 or _NO_MORE not in answer.text:
            wrong[str(route)] = answer.status_code
        await sender.happens(lambda db, who: staff.set_role(db, make.SYSTEM, who, Role.owner))
    assert wrong == {}


async def test_what_happens_while_a_password_is_hashed_counts(
    sender: _Sender,
    console: Browser,
    database: Database,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed = staff.hashed

    async def slowly(password: str, *, once: bool = False) -> str:
        await sender.happens(_disabled)
        return await hashed(password, once=once)

    monkeypatch.setattr(staff, "hashed", slowly)
    new = {"name": "Mallory", "address": "mallory@example.com", "role": "care"}
    answer = await console.fill("/staff/members", **new)

    assert answer.status_code == 401
    async with database.read(business.id) as db:
        assert len(await staff.members(db)) == 2
