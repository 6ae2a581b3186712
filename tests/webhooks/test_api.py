"""Endpoints for programs, the stream that is followed, and what staff press."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import httpx2
import pytest
from litestar.types import ASGIApp

from crm import events, staff, webhooks
from crm.businesses import Business
from crm.db import Database
from crm.events import Kind
from crm.staff import NewKey, Scope
from crm.webhooks import NewEndpoint
from tests import make
from tests.browser import Browser
from tests.webhooks.receiver import Receiver, Reply
from tests.webhooks.site import SYSTEM, added, happened, reload, turn

NEW = {"name": "Shop", "url": "https://shop.example/events", "kinds": ["consent.withdrawn"]}


async def _made(api: Browser) -> tuple[str, dict[str, Any]]:
    answer = await api.post("/v1/webhooks", json=NEW)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return f"/v1/webhooks/{made['endpoint']['id']}", made


async def test_a_program_keeps_an_endpoint(api: Browser) -> None:
    path, made = await _made(api)
    assert re.fullmatch(r"whsec_[\w+/]{43}=", made["secret"])
    read = await api.get(path)
    assert read.json() == made["endpoint"]
    assert made["secret"] not in read.text
    changed = await api.put(
        path, json=NEW | {"name": "Till"}, headers={"if-match": read.headers["etag"]}
    )
    assert changed.json()["name"] == "Till"
    stale = await api.put(path, json=NEW, headers={"if-match": read.headers["etag"]})
    assert stale.status_code == 412
    rotated = (await api.post(f"{path}/secrets", json={"overlap_seconds": 60})).json()
    assert rotated["secret"] != made["secret"]
    assert rotated["endpoint"]["former_secret_ends_at"]
    assert (await api.post(f"{path}/switch", json={"on": False})).json()["off_why"] == "staff"
    assert (await api.post(f"{path}/test")).json()["code"] == "endpoint_off"
    assert (await api.post(f"{path}/switch", json={"on": True})).json()["state"] == "on"
    assert (await api.delete(path)).status_code == 204
    assert (await api.get(path)).status_code == 404
    assert (await api.delete(path)).status_code == 404
    assert (await api.get("/v1/webhooks")).json() == []


async def test_the_same_request_makes_one_endpoint_with_one_secret(api: Browser) -> None:
    headers = {"idempotency-key": "an-endpoint"}
    first = await api.post("/v1/webhooks", json=NEW, headers=headers)
    again = await api.post("/v1/webhooks", json=NEW, headers=headers)
    assert again.json() == first.json()
    assert len((await api.get("/v1/webhooks")).json()) == 1


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"url": "http://shop.example/"}, "#/url"),
        ({"url": "https://10.0.0.1/"}, "#/url"),
        ({"kinds": ["customer.looked"]}, "#/kinds"),
    ],
)
async def test_what_cannot_be_is_refused_where_it_is(
    api: Browser, wrong: dict[str, Any], pointer: str
) -> None:
    answer = await api.post("/v1/webhooks", json=NEW | wrong)
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_a_scheme_is_kept_in_small_letters(api: Browser) -> None:
    made = await api.post("/v1/webhooks", json=NEW | {"url": "HTTPS://shop.example/Events"})
    assert made.status_code == 201, made.text
    assert made.json()["endpoint"]["url"] == "https://shop.example/Events"


async def test_an_instant_without_a_zone_is_refused(api: Browser) -> None:
    path, _ = await _made(api)
    answer = await api.post(f"{path}/replay", json={"since": "2026-05-01T09:00:00"})
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == ["#/since"]


@pytest.mark.parametrize(
    ("scopes", "kinds", "status"),
    [
        ([Scope.webhooks_write], ["campaign.done"], 403),
        ([Scope.events_read, Scope.customers_read], ["campaign.done"], 403),
        ([Scope.webhooks_write, Scope.events_read, Scope.customers_read], ["campaign.done"], 201),
        ([Scope.webhooks_write, Scope.events_read, Scope.customers_read], ["rhythm.changed"], 403),
        ([Scope.webhooks_write, Scope.events_read, Scope.customers_read], [], 403),
        ([Scope.webhooks_acknowledge, Scope.webhooks_read], ["campaign.done"], 403),
    ],
)
async def test_a_key_has_told_what_it_may_read(
    *,
    site: ASGIApp,
    database: Database,
    business: Business,
    scopes: list[Scope],
    kinds: list[str],
    status: int,
) -> None:
    async with database.write(business.id) as db:
        new = NewKey(name="Till", scopes=scopes, reason="to hear of it")
        _, text = await staff.add_key(db, SYSTEM, new)
    async with Browser(site, business.origin) as program:
        program.headers["authorization"] = f"Bearer {text}"
        answer = await program.post("/v1/webhooks", json=NEW | {"kinds": kinds})
    assert answer.status_code == status


async def test_a_key_leads_nothing_elsewhere_that_it_may_not_read(
    site: ASGIApp, database: Database, business: Business, there: Receiver, api: Browser
) -> None:
    """What waits would go to the new address: her decisions to whoever may not read them."""
    endpoint, _ = await added(database, business, there, Kind.consent_withdrawn)
    scopes = [
        Scope.webhooks_write, Scope.webhooks_manage, Scope.events_read, Scope.customers_read
    ]  # fmt: skip
    async with database.write(business.id) as db:
        new = NewKey(name="Till", scopes=scopes, reason="to hear of customers")
        _, text = await staff.add_key(db, SYSTEM, new)
    path, headers = f"/v1/webhooks/{endpoint.id}", {"if-match": f'"v{endpoint.version}"'}
    changed = NEW | {"url": "https://mine.example/events", "kinds": ["customer.added"]}
    async with Browser(site, business.origin) as program:
        program.headers["authorization"] = f"Bearer {text}"
        refused = await program.put(path, json=changed, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert (await api.put(path, json=changed, headers=headers)).status_code == 200


async def test_a_key_manages_its_own_endpoints(
    *,
    site: ASGIApp,
    database: Database,
    business: Business,
    there: Receiver,
    api: Browser,
    console: Browser,
) -> None:
    """Those of others take another scope, also once the key that made them is revoked."""
    others, _ = await added(database, business, there, Kind.campaign_done)
    scopes = [Scope.webhooks_write, Scope.webhooks_read, Scope.events_read, Scope.customers_read]
    async with database.write(business.id) as db:
        key, text = await staff.add_key(
            db, SYSTEM, NewKey(name="Till", scopes=scopes, reason="to hear of campaigns")
        )
    async with Browser(site, business.origin) as program:
        program.headers["authorization"] = f"Bearer {text}"
        made = await program.post("/v1/webhooks", json=NEW | {"kinds": ["campaign.done"]})
        own = f"/v1/webhooks/{made.json()['endpoint']['id']}"
        assert (await program.post(f"{own}/secrets", json={})).status_code == 201
        refused = [await call for call in _each_way(program, f"/v1/webhooks/{others.id}")]
    assert {(each.status_code, each.json()["code"]) for each in refused} == {
        (403, "others_endpoint")
    }
    maker = (await api.get(own)).json()["created_by"]
    assert maker == {"kind": "key", "id": str(key.id), "name": "Till", "ended_at": None}
    async with database.write(business.id) as db:
        await staff.revoke_key(db, SYSTEM, key.id)
    assert (await api.get(own)).json()["created_by"]["ended_at"]
    shown = (await console.get("/staff/webhooks")).text
    assert "Made by the key Till" in shown
    assert "its key is revoked or over" in shown
    assert (await api.delete(own)).status_code == 204


def _each_way(program: Browser, path: str) -> list[Coroutine[Any, Any, httpx2.Response]]:
    """Every way to change an endpoint."""
    since = {"since": "2026-01-01T09:00:00Z"}
    kinds = NEW | {"kinds": ["campaign.done"]}
    return [
        program.put(path, json=kinds, headers={"if-match": "*"}),
        program.post(f"{path}/switch", json={"on": False}),
        program.post(f"{path}/test"),
        program.post(f"{path}/secrets", json={}),
        program.post(f"{path}/replay", json=since),
        program.post(f"{path}/deliveries/{UUID(int=1)}/replay"),
        program.delete(path),
    ]


async def test_deliveries_and_attempts_come_by_pages(
    database: Database, business: Business, api: Browser, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there, Kind.interaction_recorded)
    async with database.write(business.id) as db:
        her = await make.customer(db)
        await happened(db, her.id, "first", "second", "third")
    for _ in range(3):
        await turn(database, business, endpoint)
    for what in ("deliveries", "attempts"):
        seen: list[str] = []
        path = f"/v1/webhooks/{endpoint.id}/{what}?limit=2"
        while path:
            answer = await api.get(path)
            seen += [each["event_id"] for each in answer.json()["rows"]]
            path = answer.headers.get("link", "").partition(">")[0].lstrip("<")
        assert seen == [each.id for each in reversed(there.heard)]
    waiting = await api.get(f"/v1/webhooks/{endpoint.id}/deliveries?only=waiting")
    assert waiting.json()["rows"] == []


async def test_the_stream_is_followed_by_its_cursor_and_is_what_is_told(
    database: Database, business: Business, api: Browser, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there)
    path = "/v1/events?order=oldest&limit=2"
    seen: list[str] = []
    for what in ("first", "second", "third"):
        async with database.write(business.id) as db:
            her = await make.customer(db)
            await happened(db, her.id, what)
        await turn(database, business, endpoint)
        while True:
            answer = await api.get(path)
            assert answer.status_code == 200, answer.text
            rows = answer.json()["rows"]
            seen += [each["id"] for each in rows]
            # There is always a way on, also from an empty page.
            path = answer.headers["link"].partition(">")[0].lstrip("<")
            assert "order=oldest" in path
            if not rows:
                break
    told = [each.id for each in there.heard]
    assert [each for each in seen if each in set(told)] == told
    # Whom a page named can see it, and that is none of the stream.
    async with database.read(business.id) as db:
        assert {each.kind for each in await events.following(db, limit=200)} & {
            Kind.customer_looked
        } == set()
    other = await api.get(path.replace("order=oldest", "order=newest"))
    assert other.json()["code"] == "bad_cursor"


async def test_staff_do_the_same(
    database: Database, business: Business, console: Browser, there: Receiver
) -> None:
    token = await console.token("/staff/webhooks")
    wrong = await console.post(
        "/staff/webhooks", data={"csrf": token, "name": "Shop", "url": "http://shop.example/"}
    )
    assert wrong.status_code == 422
    assert "begins with https://" in wrong.text
    made = await console.post(
        "/staff/webhooks",
        data={"csrf": token, "name": "Shop", "url": "https://shop.example/", "acknowledges": "on"},
    )
    assert re.search(r'id="secret">whsec_[\w+/=]{44}<', made.text)
    endpoint, _ = await added(database, business, there, Kind.interaction_recorded)
    async with database.write(business.id) as db:
        her = await make.customer(db)
        await happened(db, her.id, "first")
    await turn(database, business, endpoint)
    here = f"/staff/webhooks/{endpoint.id}"
    shown = (await console.get(here)).text
    assert "The last attempt" in shown
    press = re.search(rf'action="({here}/deliveries/[\w-]+/replay)"', shown)
    assert press is not None
    assert (await console.post(press[1], data={"csrf": token})).status_code == 303
    await turn(database, business, endpoint)
    assert len(there.heard) == 2
    for path, more in (
        ("/test", {}),
        ("/replay", {"since": "2026-01-01T09:00"}),
        ("/switch", {"decision": "off"}),
        ("/switch", {"decision": "on"}),
        ("", {"name": "Till", "url": "https://till.example/", "version": "3"}),
        ("/removal", {}),
    ):
        answer = await console.post(f"{here}{path}", data={"csrf": token, **more})
        assert answer.status_code == 303, (path, answer.text)
    async with database.read(business.id) as db:
        assert [each.name for each in await webhooks.endpoints(db)] == ["Shop"]
    secret = await console.post(
        f"/staff/webhooks/{(await _only(database, business))}/secrets",
        data={"csrf": token, "overlap": "1"},
    )
    assert "whsec_" in secret.text


async def test_who_saves_late_is_asked_first(
    database: Database, business: Business, console: Browser, there: Receiver
) -> None:
    endpoint, _ = await added(database, business, there)
    here = f"/staff/webhooks/{endpoint.id}"
    new = NewEndpoint(name="Till", url="https://till.example/", acknowledges=True)
    async with database.write(business.id) as db:
        await webhooks.change(db, SYSTEM, endpoint.id, new, local=False)

    typed = {"name": "Shop", "url": "https://shop.example/", "version": str(endpoint.version)}
    for missing in (typed, typed | {"version": ""}):
        late = await console.fill(here, **missing)
        assert late.status_code == 422
    late = await console.fill(here, **typed)
    assert "Somebody changed this endpoint since you read it." in late.text
    async with database.read(business.id) as db:
        assert (await webhooks.endpoint(db, endpoint.id)).name == "Till"

    version = re.search(r'name="version" value="(\d+)"', late.text)
    assert version is not None
    again = await console.fill(here, **typed | {"version": version[1]})
    assert again.status_code == 303


async def test_of_a_long_backlog_so_much_is_counted(
    monkeypatch: pytest.MonkeyPatch,
    database: Database,
    business: Business,
    console: Browser,
    there: Receiver,
) -> None:
    """Whoever looks at an endpoint that is away for days does not read all that waits for it."""
    monkeypatch.setattr("crm.webhooks.actions.COUNTED", 2)
    monkeypatch.setattr("crm.webhooks.console.COUNTED", 2)
    there.answer = lambda _: Reply(503)
    endpoint, _ = await added(database, business, there, Kind.interaction_recorded)
    async with database.write(business.id) as db:
        await happened(db, None, "first", "second", "third", "fourth")
    await turn(database, business, endpoint)
    assert (await reload(database, business, endpoint)).waiting == 3
    assert "more than 2" in (await console.get("/staff/webhooks")).text


async def _only(database: Database, business: Business) -> str:
    async with database.read(business.id) as db:
        (found,) = await webhooks.endpoints(db)
    return str(found.id)


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
async def test_everything_is_told_again_from_before_there_was_anything(
    database: Database, business: Business, api: Browser, there: Receiver, since: str
) -> None:
    endpoint, _ = await added(database, business, there)
    answer = await api.post(f"/v1/webhooks/{endpoint.id}/replay", json={"since": since})

    assert answer.status_code == 202, answer.text
