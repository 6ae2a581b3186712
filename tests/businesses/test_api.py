"""The business for programs: read with its hosts, and changed by a patch that forgets nothing."""

from __future__ import annotations

from typing import Any

import pytest

from crm.businesses import Business, NewBusiness
from crm.db import Database
from crm.staff import Scope
from tests import make
from tests.browser import Browser

PATH = "/v1/business"
PATCH = {"content-type": "application/merge-patch+json"}
# What the answer has besides what the settings page changes.
BESIDES = {"id", "hosts", "version", "created_at"}


async def patched(api: Browser, version: str, **changes: Any) -> Any:
    """Send a patch that was made from this version."""
    return await api.patch(PATH, json=changes, headers={**PATCH, "if-match": version})


async def test_it_is_changed_and_the_rest_stays(api: Browser, business: Business) -> None:
    """Null puts back what a new one begins with; a new host answers beside the old one."""
    before = await api.get(PATH)
    assert (before.status_code, before.headers["etag"]) == (200, '"v1"')
    known = before.json()
    assert known.keys() == {*NewBusiness.__struct_fields__, *BESIDES}
    assert known["hosts"] == [business.host]
    moved = f"http://new-{business.host}"
    answer = await patched(
        api, '"v1"', officer="Dr Rye", image_hosts=["a.example", "a.example"], origin=moved
    )
    assert (answer.status_code, answer.headers["etag"]) == (200, '"v2"')
    changes = {"officer": "Dr Rye", "image_hosts": ["a.example"], "origin": moved, "version": 2}
    hosts = sorted([business.host, f"new-{business.host}"])
    assert answer.json() == known | changes | {"hosts": hosts}

    back = await patched(api, "*", officer=None, image_hosts=None, locale=None)
    assert back.json() == known | {"origin": moved, "version": 3, "hosts": hosts}
    assert (await api.get(PATH)).json() == back.json()
    told = (await api.get("/v1/events")).json()["rows"][0]
    assert (told["kind"], told["actor_kind"]) == ("business.changed", "key")


async def test_nobody_is_overwritten(
    api: Browser, console: Browser, database: Database, business: Business
) -> None:
    """A version that is not the present one is refused, whoever was faster; so is none."""
    page = {
        name: str(getattr(business, name))
        for name in NewBusiness.__struct_fields__
        if getattr(business, name) is not False
    }
    assert (await console.fill("/staff/settings", **page)).status_code == 303
    late = await patched(api, '"v1"', officer="Dr Rye")
    assert (late.status_code, late.json()["code"]) == (412, "match_failed")
    blind = await api.patch(PATH, json={"officer": "Dr Rye"}, headers=PATCH)
    assert (blind.status_code, blind.json()["code"]) == (428, "match_missing")
    plain = await api.patch(PATH, json={"officer": "Dr Rye"}, headers={"if-match": "*"})
    assert plain.status_code == 415
    assert plain.headers["accept-patch"] == PATCH["content-type"]
    assert (await api.get(PATH)).json()["officer"] == ""


async def test_every_wrong_value_is_told_at_once(api: Browser) -> None:
    answer = await patched(
        api, "*", origin="/here", time_zone="Atlantis", mails_from=9, mails_until=8,
        dormant_months=3,
    )  # fmt: skip
    wrong = [each["pointer"] for each in answer.json()["errors"]]
    assert answer.status_code == 422
    assert wrong == ["#/dormant_months", "#/origin", "#/mails_until", "#/time_zone"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"sender_address": "nobody"},
        {"image_hosts": ["https://a.example"]},
        {"postal_address": "a\u0007b"},
        {"created_at": None},
        {"theme": "dark"},
    ],
)
async def test_bad_input(api: Browser, changes: dict[str, Any]) -> None:
    answer = await patched(api, "*", **changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_no_host_of_another_is_taken(api: Browser, other_business: Business) -> None:
    answer = await patched(api, "*", origin=other_business.origin)
    assert (answer.status_code, answer.json()["code"]) == (409, "unusable_host")


async def test_reading_changes_nothing(
    web: Browser, database: Database, business: Business
) -> None:
    """Each takes its scope."""
    await make.let_in_by_key(database, business, web, [Scope.business_read])
    assert (await web.get(PATH)).status_code == 200
    refused = await patched(web, "*", officer="Dr Rye")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
