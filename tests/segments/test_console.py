"""Staff put a rule together in a form, see at once whom it selects, and save it."""

from __future__ import annotations

import html
import re

import pytest

from crm import segments
from crm.consent import Basis
from crm.db import Database
from crm.segments.building import Part, added
from crm.segments.model import NewSegment, Vocabulary
from crm.staff import Role
from tests import make
from tests.browser import Browser
from tests.segments.conftest import Shop

_RULE = re.compile(r'<textarea[^>]*name="rule"[^>]*>\n?(.*?)</textarea>', re.DOTALL)


async def _send(console: Browser, path: str, **fields: str) -> str:
    data = {"csrf": await console.token("/staff/segments/new"), **fields}
    answer = await console.post(path, data=data)
    return answer.headers.get("location") or answer.text


def _rule(text: str) -> str:
    found = _RULE.search(text)
    assert found is not None
    return html.unescape(found[1])


async def test_a_rule_is_built_counted_and_saved(
    console: Browser, shop: Shop, database: Database
) -> None:
    one = await _send(console, "/staff/segments", then="add", about="tag:bakes", rule="")
    two = await _send(
        console, "/staff/segments", then="add", about="attribute:points", compared="at_least",
        value="100", negated="on", rule=_rule(one),
    )  # fmt: skip
    saved = await _send(console, "/staff/segments", then="save", name="Bakers", rule=_rule(two))
    shown = (await console.get(saved)).text
    listed = (await console.get("/staff/segments")).text

    assert "4</b> customers" in re.sub(r"\s+", " ", one)
    assert "tag Bakes at home and not (Points is at least 100)" in two
    assert "4</b> customers" in shown
    assert "Bakers" in listed
    async with database.read(shop.business.id) as read:
        (segment,) = await segments.segments(read)
    assert segment.rule == {
        "test": "all",
        "of": [
            {"test": "tag", "name": "bakes"},
            {
                "test": "not",
                "of": {"test": "attribute", "name": "points", "is": "at_least", "value": 100},
            },
        ],
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"then": "count", "rule": "{"}, "This is not JSON"),
        ({"then": "count", "rule": '{"test": "tag", "name": "x"}'}, "no tag of this name"),
        ({"then": "save", "rule": "", "name": "Empty"}, "Add a test first."),
        ({"then": "add", "rule": "", "about": "attribute:points", "value": "x",
          "compared": "equals"}, "This is a number"),
        ({"then": "add", "rule": "", "about": "attribute:points", "value": "x",
          "compared": "contains"}, "number"),
        ({"then": "add", "rule": "", "about": "tag:rides"}, "choose one of these"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_and_stays_typed(
    console: Browser, shop: Shop, fields: dict[str, str], said: str
) -> None:
    assert said in html.unescape(await _send(console, "/staff/segments", **fields))


async def test_who_may_not_see_special_decisions_cannot_count_by_them(
    console: Browser, web: Browser, shop: Shop, database: Database
) -> None:
    async with database.write(shop.business.id) as db:
        special = await make.purpose(db, special_category=True, basis=Basis.explicit_consent)
    rule = f'{{"test": "consent", "purpose_id": "{special.id}"}}'
    await make.let_in_as_owner(database, shop.business, web, Role.editor)
    theirs = await _send(web, "/staff/segments", then="count", rule=rule)
    owners = await _send(console, "/staff/segments", then="count", rule=rule)

    assert "health, belief, politics or sexual life" in theirs
    assert "health, belief" not in owners


async def test_who_may_only_look_is_shown_whom_it_selects(
    web: Browser, shop: Shop, database: Database
) -> None:
    async with database.write(shop.business.id) as db:
        rule = {"test": "tag", "name": "bakes"}
        segment = await segments.add(db, make.SYSTEM, NewSegment(name="Bakers", rule=rule))
    await make.let_in_as_owner(database, shop.business, web, Role.care)
    shown = await web.get(f"/staff/segments/{segment.id}")
    form = {"csrf": await web.token("/staff/account"), "then": "save"}
    refused = await web.post(f"/staff/segments/{segment.id}", data=form)

    assert "4</b> customers" in shown.text
    assert 'name="then"' not in shown.text
    assert refused.status_code == 403


def test_a_test_is_added_to_any_rule() -> None:
    known = Vocabulary(attributes={}, tags={}, kinds={}, purposes={})
    rule = {"test": "any", "of": []}
    assert added(rule, Part(about="mailed:", days=3), known) == {
        "test": "all",
        "of": [rule, {"test": "mailed", "within_days": 3}],
    }
