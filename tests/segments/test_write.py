"""Segments are written, read, replaced, deleted and counted by programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from crm import campaigns, events
from crm.db import Database
from crm.staff import Scope
from tests import make
from tests.browser import Browser
from tests.segments.conftest import Shop

BAKES: dict[str, Any] = {"test": "tag", "name": "bakes"}
NEW = {"name": "Bakers", "rule": BAKES}


async def test_it_is_written_read_replaced_and_deleted(api: Browser, shop: Shop) -> None:
    key = {"idempotency-key": uuid4().hex}
    written = await api.post("/v1/segments", json=NEW, headers=key)
    again = await api.post("/v1/segments", json=NEW, headers=key)
    path = written.headers["location"]
    read = await api.get(path)

    assert (written.status_code, again.json()) == (201, written.json())
    assert read.json() == written.json()
    assert (await api.get("/v1/segments")).json() == [read.json()]

    other = {"name": "All others", "rule": {"test": "not", "of": BAKES}}
    blind = await api.put(path, json=other)
    replaced = await api.put(path, json=other, headers={"if-match": read.headers["etag"]})
    late = await api.put(path, json=NEW, headers={"if-match": read.headers["etag"]})

    assert [each.status_code for each in (blind, replaced, late)] == [428, 200, 412]
    assert replaced.json()["version"] == 2
    assert (await api.delete(path)).status_code == 204
    assert (await api.get(path)).status_code == 404


async def test_a_name_is_taken_once(api: Browser, shop: Shop) -> None:
    await api.post("/v1/segments", json=NEW)
    second = await api.post("/v1/segments", json={**NEW, "name": "Others"})
    taken = await api.post("/v1/segments", json=NEW)
    renamed = await api.put(second.headers["location"], json=NEW, headers={"if-match": "*"})

    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    assert (renamed.status_code, renamed.json()["code"]) == (409, "name_taken")


async def test_a_name_has_room_for_so_many_letters(api: Browser, shop: Shop) -> None:
    """As they are kept: this one is two once it is composed."""
    path = (await api.post("/v1/segments", json=NEW)).headers["location"]
    named = {**NEW, "name": "\u0958" * 101}
    refused = [
        await api.post("/v1/segments", json=named),
        await api.put(path, json=named, headers={"if-match": "*"}),
    ]
    fits = await api.post("/v1/segments", json={**NEW, "name": "\u0958" * 100})

    assert [each.status_code for each in refused] == [422, 422]
    assert [each.json()["errors"][0]["pointer"] for each in refused] == ["#/name", "#/name"]
    assert (fits.status_code, len(fits.json()["name"])) == (201, 200)


async def test_there_is_room_for_so_many(
    monkeypatch: pytest.MonkeyPatch, api: Browser, shop: Shop
) -> None:
    """Whatever writes them in a loop is told what to do."""
    monkeypatch.setattr("crm.segments.actions.MOST_SEGMENTS", 1)
    first, second = [
        await api.post("/v1/segments", json={"name": name, "rule": {"test": "mailed"}})
        for name in ("Readers", "More of them")
    ]
    assert first.status_code == 201
    assert (second.status_code, second.json()["code"]) == (409, "too_many_segments")


async def test_it_is_counted_with_some_of_them(
    api: Browser, shop: Shop, database: Database
) -> None:
    counted = await api.post("/v1/segments/count", json={"rule": BAKES})
    none = await api.post("/v1/segments/count", json={"rule": {"test": "any", "of": []}})
    async with database.read(shop.business.id) as read:
        looked = [await events.looks_at(read, each) for each in (shop.tagged[0], shop.ids[-1])]

    assert counted.json() == {"customers": 4, "sample": [str(each) for each in shop.tagged]}
    assert none.json() == {"customers": 0, "sample": []}
    assert [len(each) for each in looked] == [1, 0]


@pytest.mark.parametrize(
    ("scopes", "status"),
    [
        ([Scope.customers_read, Scope.consents_read], 200),
        ([Scope.customers_read], 403),
        ([Scope.consents_read, Scope.campaigns_write], 403),
    ],
)
async def test_counting_takes_two_scopes(
    database: Database, shop: Shop, web: Browser, scopes: list[Scope], status: int
) -> None:
    await make.let_in_by_key(database, shop.business, web, scopes=scopes)
    answer = await web.post("/v1/segments/count", json={"rule": BAKES})
    assert answer.status_code == status


@pytest.mark.parametrize("more", [[], [Scope.customers_read], [Scope.consents_read]])
async def test_a_campaign_is_no_way_round_that(
    database: Database, shop: Shop, api: Browser, web: Browser, more: list[Scope]
) -> None:
    """Whoever may not count by a rule reads nothing of whom it selects through a campaign."""
    segment = f"/v1/segments/{(await api.post('/v1/segments', json=NEW)).json()['id']}"
    draft = {"purpose_id": str(shop.notice.purpose_id), "subject": "Rye", "source": "# Rye"}
    aimed = {**draft, "segment_id": segment.rpartition("/")[2]}
    theirs, whole = [
        (await api.post("/v1/campaigns", json=each)).headers["location"] for each in (aimed, draft)
    ]
    scopes = [Scope.campaigns_read, Scope.campaigns_write, *more]
    await make.let_in_by_key(database, shop.business, web, scopes=scopes)
    headers = {"if-match": "*"}
    refused = [
        await web.post("/v1/campaigns", json=aimed),
        await web.put(whole, json=aimed, headers=headers),
        await web.put(segment, json=NEW, headers=headers),
        *[
            await web.get(f"{theirs}/{part}")
            for part in ("review", "counts", "figures", "deliveries?state=excluded")
        ],
    ]
    fine = [
        await web.get(f"{whole}/review"),
        await web.get(f"{whole}/counts"),
        await web.put(theirs, json=aimed, headers=headers),
        await web.put(theirs, json=draft, headers=headers),
    ]

    assert [each.json()["code"] for each in refused] == ["scope_missing"] * 7
    assert [each.status_code for each in fine] == [200] * 4


async def test_all_that_is_wrong_is_said_at_once(api: Browser, shop: Shop) -> None:
    rule = {
        "test": "all",
        "of": [
            {"test": "tag", "name": "rides"},
            {"test": "attribute", "name": "points", "is": "contains", "value": "7"},
            {"test": "attribute", "name": "points", "is": "equals", "value": "many"},
            {"test": "attribute", "name": "points", "is": "at_least"},
            {"test": "not", "of": {"test": "anniversary", "name": "points"}},
            {"test": "interaction", "kind": "call", "since": "2026-01-01", "within_days": 3},
            {"test": "mailed", "ever": True},
            {"test": "sql", "of": "SELECT 1"},
            {"test": "created"},
            "tag",
        ],
    }
    answer = await api.post("/v1/segments/count", json={"rule": rule})

    assert (answer.status_code, answer.json()["code"]) == (422, "bad_rule")
    assert [each["pointer"].removeprefix("#/rule/of/") for each in answer.json()["errors"]] == [
        "0/name", "1/is", "2/value", "3/value", "4/of/name", "5/kind", "5/within_days", "6",
        "7/test", "8/since", "9",
    ]  # fmt: skip


def _deep(depth: int) -> dict[str, Any]:
    rule: dict[str, Any] = BAKES
    for _ in range(depth - 1):
        rule = {"test": "not", "of": rule}
    return rule


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        (_deep(8), 200),
        (_deep(9), 422),
        (_deep(400), 422),
        ({"test": "all", "of": [BAKES] * 49}, 200),
        ({"test": "all", "of": [BAKES] * 50}, 422),
        ({"test": "any", "of": [{"test": "any", "of": [BAKES] * 20}] * 49}, 422),
    ],
)
async def test_a_rule_has_a_size(api: Browser, shop: Shop, rule: Any, status: int) -> None:
    answer = await api.post("/v1/segments/count", json={"rule": rule})
    assert answer.status_code == status
    assert len(answer.content) < 20_000


async def test_what_a_campaign_waits_for_stays(
    api: Browser, shop: Shop, database: Database
) -> None:
    path = (await api.post("/v1/segments", json=NEW)).headers["location"]
    segment_id = path.rpartition("/")[2]
    async with database.write(shop.business.id) as db:
        campaign = await make.campaign(db, shop.notice.purpose_id, segment_id=segment_id)
    drafted = await api.delete(path)
    changed = await api.put(path, json={**NEW, "name": "Home bakers"}, headers={"if-match": "*"})
    at = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    scheduled = await api.post(f"/v1/campaigns/{campaign.id}/schedule", json={"at": at})
    approved = await api.put(path, json=NEW, headers={"if-match": "*"})

    assert (drafted.status_code, drafted.json()["code"]) == (409, "segment_in_use")
    assert (changed.status_code, scheduled.status_code) == (200, 200), scheduled.text
    assert (approved.status_code, approved.json()["code"]) == (409, "segment_in_use")

    async with database.write(shop.business.id) as db:
        await campaigns.cancel(db, make.SYSTEM, campaign.id)
    assert (await api.delete(path)).status_code == 204
