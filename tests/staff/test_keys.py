"""API keys: shown once, scoped, and gone the moment they are revoked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from litestar import Litestar, get, post
from litestar.di import NamedDependency

from crm import customers, staff
from crm.businesses import Business
from crm.db import Database, Db, ReadDb, Statement, open_database
from crm.errors import Invalid, NotFound
from crm.events import Actor
from crm.staff import Key, NewKey, Scope, credentials
from crm.staff.auth import needs
from crm.staff.model import TooManyKeys
from crm.web.transaction import in_one_transaction
from tests import make
from tests.browser import Browser
from tests.conftest import KEYS, Cluster
from tests.staff import site
from tests.staff.conftest import Clock

SYSTEM = Actor.system()
WHY = "to greet customers at the till"
PID = Statement("pid", "Which connection this is.", "SELECT pg_backend_pid()", ())
_SHOWN = re.compile(r'id="key">([^<]+)<')


async def _key(database: Database, business: Business, *scopes: Scope) -> tuple[Key, str]:
    new = NewKey(name="Till", scopes=list(scopes or [Scope.customers_read]), reason=WHY)
    async with database.write(business.id) as db:
        return await staff.add_key(db, SYSTEM, new)


async def test_it_works(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    scopes = ["customers:read", "consents:read"]
    answer = await owner.fill("/staff/keys", name="Till", reason=WHY, scopes=scopes)
    assert answer.status_code == 200
    found = _SHOWN.search(answer.text)
    assert found is not None
    assert found[1] not in (await owner.get("/staff/keys")).text
    async with site.program(app) as program:
        said = await program.get("/v1/key", headers=site.bearing(found[1]))
    assert said.status_code == 200
    assert said.json() == {
        "id": said.json()["id"],
        "name": "Till",
        "scopes": ["customers:read", "consents:read"],
        "reason": WHY,
        "purposes": [],
        "expires_at": None,
        "previous_until": None,
    }
    assert ("key.added", "Till") in await site.kinds(clocked, business.id)


async def test_only_a_hash_is_kept(clocked: Database, business: Business) -> None:
    key, text = await _key(clocked, business)
    read = credentials.read_key(text)
    assert read is not None
    assert (read.business_id, read.key_id) == (business.id, key.id)
    async with clocked.read(business.id) as db:
        kept = await staff.keys.key_of(db, read)
    assert kept is not None
    assert kept.secret_hash == credentials.fingerprint(text)
    assert not hasattr(key, "secret_hash")


async def test_a_revoked_key_is_refused_at_once(
    clocked: Database, business: Business, app: Litestar, owner: site.Browser
) -> None:
    key, text = await _key(clocked, business)
    async with site.program(app) as program:
        assert (await program.get("/v1/key", headers=site.bearing(text))).status_code == 200
        action = f"/staff/keys/{key.id}/revocation"
        assert (await owner.fill("/staff/keys", action)).status_code == 303
        assert (await program.get("/v1/key", headers=site.bearing(text))).status_code == 401
    async with clocked.write(business.id) as db:
        again = await staff.revoke_key(db, SYSTEM, key.id)
    assert again.revoked_at is not None
    kinds = [kind for kind, _ in await site.kinds(clocked, business.id)]
    assert kinds.count("key.revoked") == 1


async def test_every_bad_key_reads_the_same(
    clocked: Database, business: Business, other_business: Business, app: Litestar
) -> None:
    _, text = await _key(clocked, business)
    read = credentials.read_key(text)
    assert read is not None
    _, other = await _key(clocked, other_business)
    head, secret = text.rsplit("_", 1)
    last = "a" if secret[-1] != "a" else "b"
    elsewhere = credentials.key_text(other_business.id, read.key_id, b"s" * 32)
    bad = [
        {},
        {"authorization": ""},
        {"authorization": text},
        {"authorization": f"Basic {text}"},
        site.bearing(""),
        site.bearing(text[:-1]),
        site.bearing(text[:40]),
        site.bearing(f"{head}_{secret[:-1]}{last}"),
        site.bearing(text.upper()),
        site.bearing(f"{text} {text}"),
        site.bearing("fh_" + "_".join([elsewhere.split("_")[1], *text.split("_")[2:]])),
        site.bearing("_".join([head, other.rsplit("_", 1)[1]])),
        site.bearing(credentials.key_text(uuid4(), uuid4(), b"s" * 32)),
    ]
    foreign = httpx2.Headers([(b"authorization", f"Bearer {text}é".encode())])
    seen = set()
    async with site.program(app) as program:
        for headers in [*map(httpx2.Headers, bad), foreign]:
            answer = await program.get("/v1/key", headers=headers)
            assert answer.status_code == 401, headers
            assert answer.headers["www-authenticate"] == 'Bearer realm="firsthand"'
            seen.add(answer.text)
    assert len(seen) == 1
    assert '"code":"unknown_key"' in seen.pop()


async def test_the_word_bearer_may_be_written_small(
    clocked: Database, business: Business, app: Litestar
) -> None:
    _, text = await _key(clocked, business)
    async with site.program(app) as program:
        headers = {"authorization": f"bearer  {text} "}
        assert (await program.get("/v1/key", headers=headers)).status_code == 200


async def test_a_missing_scope_is_named(clocked: Database, business: Business) -> None:
    @get("/guarded", guards=[needs("campaigns:send")], sync_to_thread=False)
    def get_guarded() -> str:
        return "in"

    @get("/named", opt={"scope": "campaigns:send"}, sync_to_thread=False)
    def get_named() -> str:
        return "in"

    _, poor = await _key(clocked, business, Scope.campaigns_write)
    _, rich = await _key(clocked, business, Scope.campaigns_send)
    app = site.application(clocked, api=[get_guarded, get_named])
    async with site.program(app) as program:
        for path in ("/v1/guarded", "/v1/named"):
            refused = await program.get(path, headers=site.bearing(poor))
            assert refused.status_code == 403
            assert refused.json()["code"] == "scope_missing"
            assert "campaigns:send" in refused.json()["detail"]
            assert (await program.get(path, headers=site.bearing(rich))).status_code == 200


def test_a_scope_that_is_none_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="everything"):
        needs("everything")


async def test_use_is_written_once_a_minute(
    clocked: Database, business: Business, app: Litestar, clock: Clock
) -> None:
    key, text = await _key(clocked, business)
    seen = []
    async with site.program(app) as program:
        for step in (0, 30, 30):
            clock.move(timedelta(seconds=step))
            await program.get("/v1/key", headers=site.bearing(text))
            async with clocked.read(business.id) as db:
                seen.append((await staff.api_keys(db))[0].last_used_at)
    begun = clock.now - timedelta(seconds=60)
    assert seen == [begun, begun, clock.now]
    assert key.last_used_at is None


async def test_use_is_written_though_the_request_is_refused(
    clocked: Database, business: Business
) -> None:
    @get("/guarded", guards=[needs("campaigns:send")], sync_to_thread=False)
    def get_guarded(db: NamedDependency[ReadDb]) -> str:
        return str(db.now)

    _, text = await _key(clocked, business)
    async with site.program(site.application(clocked, api=[get_guarded])) as program:
        refused = await program.get("/v1/guarded", headers=site.bearing(text))
    assert refused.status_code == 403
    async with clocked.read(business.id) as db:
        assert (await staff.api_keys(db))[0].last_used_at is not None


async def test_a_key_is_looked_up_in_the_transaction_of_the_request(
    shared_cluster: Cluster, clocked: Database, business: Business
) -> None:
    """Also the first use, which is written on its own, needs one connection at a time."""

    @get("/pid")
    async def get_pid(db: NamedDependency[ReadDb]) -> int:
        return await db.one(PID, int)

    @post("/pid", status_code=200)
    async def post_pid(db: NamedDependency[Db]) -> int:
        return await db.one(PID, int)

    _, text = await _key(clocked, business)
    async with open_database(shared_cluster.app_url, KEYS, size=1) as single:
        app = site.application(single, api=[get_pid, post_pid])
        wrapped: Any = in_one_transaction(app)
        async with site.program(wrapped) as program, asyncio.timeout(10):
            for method in ("GET", "POST", "GET", "POST"):
                answer = await program.request(method, "/v1/pid", headers=site.bearing(text))
                assert answer.status_code == 200
                bad = await program.request(method, "/v1/pid", headers=site.bearing(f"{text}a"))
                assert bad.status_code == 401


@pytest.mark.parametrize(
    "fields",
    [{"name": ""}, {"reason": "no"}, {"reason": ""}, {"scopes": []}, {"scopes": ["everything"]}],
)
async def test_a_bad_key_is_not_made(
    clocked: Database, business: Business, owner: site.Browser, fields: dict[str, str | list[str]]
) -> None:
    good: dict[str, str | list[str]] = {"name": "Till", "reason": WHY, "scopes": ["customers:read"]}
    answer = await owner.fill("/staff/keys", "", **good | fields)
    assert answer.status_code == 422
    async with clocked.read(business.id) as db:
        assert await staff.api_keys(db) == []


async def test_a_reason_says_something(clocked: Database, business: Business) -> None:
    new = NewKey(name="Till", scopes=[Scope.customers_read], reason="  a\n ")
    async with clocked.write(business.id) as db:
        with pytest.raises(Invalid):
            await staff.add_key(db, SYSTEM, new)


async def test_a_stranger_cannot(
    clocked: Database, business: Business, other_business: Business, owner: site.Browser
) -> None:
    theirs, _ = await _key(clocked, other_business)
    answer = await owner.fill("/staff/keys", f"/staff/keys/{theirs.id}/revocation")
    assert answer.status_code == 404
    async with clocked.write(business.id) as db:
        assert await staff.api_keys(db) == []
        with pytest.raises(NotFound):
            await staff.revoke_key(db, SYSTEM, theirs.id)


async def test_there_is_room_for_so_many_that_work(
    monkeypatch: pytest.MonkeyPatch, clocked: Database, business: Business
) -> None:
    """One that is revoked makes room; a key says which made it."""
    monkeypatch.setattr("crm.staff.keys.MOST_KEYS", 2)
    new = NewKey(name="Till", scopes=[Scope.keys_write], reason="to make others")
    async with clocked.write(business.id) as db:
        first, _ = await staff.add_key(db, SYSTEM, new)
        second, _ = await staff.add_key(db, Actor.key(first.id, first.name), new)
        with pytest.raises(TooManyKeys):
            await staff.add_key(db, SYSTEM, new)
        await staff.revoke_key(db, SYSTEM, first.id)
        await staff.add_key(db, SYSTEM, new)
    assert (first.created_by, second.created_by) == (None, first.id)


async def test_a_key_that_is_revoked_while_a_body_comes_does_nothing(
    api: Browser, database: Database, business: Business
) -> None:
    """The client takes its time; what it asked for is not done for a key that is gone."""

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"address": '
        async with database.write(business.id) as db:
            (key,) = await staff.api_keys(db)
            await staff.revoke_key(db, make.SYSTEM, key.id)
        yield b'"late@example.com"}'

    headers = {"content-type": "application/json"}
    answer = await api.post("/v1/customers", content=slowly(), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_key")
    async with database.read(business.id) as db:
        assert await customers.find(db, "late@example.com", limit=1) == []


async def test_a_session_that_ends_while_a_form_comes_does_nothing(
    console: Browser, database: Database, business: Business
) -> None:
    """The same for staff, whose account is closed meanwhile."""
    token = await console.token("/staff/customers/new")

    async def slowly() -> AsyncIterator[bytes]:
        yield f"csrf={token}&address=".encode()
        async with database.write(business.id) as db:
            await staff.end_sessions(db)
        yield b"late%40example.com"

    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await console.post("/staff/customers", content=slowly(), headers=headers)

    assert answer.status_code == 401
    async with database.read(business.id) as db:
        assert await customers.find(db, "late@example.com", limit=1) == []
