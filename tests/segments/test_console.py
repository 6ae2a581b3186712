"""Staff put a rule together in a form, see at once whom it selects, and save it."""

from __future__ import annotations

import html
import re

import pytest

from crm import campaigns, consent, customers, segments
from crm.campaigns import filling
from crm.consent import Basis, Method, Purpose
from crm.customers import AttributeType, LawfulBasis, NewAttribute, NewInteraction, NewKind, NewTag
from crm.db import Database
from crm.events import Actor
from crm.segments.building import Part, added
from crm.segments.model import NewSegment, Vocabulary
from crm.staff import Role
from tests import make
from tests.browser import Browser
from tests.campaigns.test_resolve import DOUBT
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


async def _special(database: Database, shop: Shop) -> Purpose:
    """Make a purpose about health with all that a rule can ask of it; nobody uses it any more."""
    async with database.write(shop.business.id) as db:
        special = await make.purpose(db, special_category=True, basis=Basis.explicit_consent)
        tag = NewTag(label="Diet", purpose="Advice.", retention="P1Y", purpose_id=special.id)
        await customers.declare_tag(db, make.SYSTEM, "diet", tag)
        kind = NewKind(label="Diet", purpose="Advice.", retention="P1Y", purpose_id=special.id)
        await customers.declare_kind(db, make.SYSTEM, "diet", kind)
        since = NewAttribute(
            label="Diet", purpose="Advice.", retention="P1Y", purpose_id=special.id,
            type=AttributeType.date, basis=LawfulBasis.consent, origin="From you.",
        )  # fmt: skip
        await customers.declare_attribute(db, make.SYSTEM, "diet", since)
        return special


_SPECIAL = [
    '{"test": "consent", "purpose_id": "SPECIAL"}',
    '{"test": "delivery", "campaign_id": "CAMPAIGN"}',
    '{"test": "tag", "name": "diet"}',
    '{"test": "interaction", "kind": "diet"}',
    '{"test": "attribute", "name": "diet", "is": "known"}',
    '{"test": "not", "of": {"test": "date_near", "name": "diet", "from_days": 0, "to_days": 9}}',
    '{"test": "any", "of": [{"test": "anniversary", "name": "diet"}]}',
]
_NOT_YOURS = "health, belief, politics or sexual life"


async def test_who_may_not_see_special_decisions_cannot_ask_by_them(
    console: Browser, web: Browser, shop: Shop, database: Database
) -> None:
    """Neither count nor save, whatever it is by that the rule asks; also of a purpose retired."""
    special = await _special(database, shop)
    async with database.write(shop.business.id) as db:
        campaign = await make.campaign(db, special.id)
        await consent.retire(db, make.SYSTEM, special.id)
    await make.let_in_as_owner(database, shop.business, web, Role.editor)
    for each in _SPECIAL:
        rule = each.replace("SPECIAL", str(special.id)).replace("CAMPAIGN", str(campaign.id))
        counted = await _send(web, "/staff/segments", then="count", rule=rule)
        saved = await _send(web, "/staff/segments", then="save", name="Theirs", rule=rule)
        owners = await _send(console, "/staff/segments", then="count", rule=rule)
        assert (_NOT_YOURS in counted, _NOT_YOURS in saved, _NOT_YOURS in owners) == (
            True, True, False,
        ), rule  # fmt: skip
    async with database.read(shop.business.id) as read:
        assert await segments.segments(read) == []


_UNTOLD = "Not shown to your role"


async def test_a_review_tells_no_decision_to_whom_it_is_not_for(
    console: Browser, web: Browser, shop: Shop, database: Database
) -> None:
    """Of a special rule to an editor, before the start as after it."""
    await _special(database, shop)
    async with database.write(shop.business.id) as db:
        rule = {"test": "not", "of": {"test": "tag", "name": "diet"}}
        segment = await segments.add(db, make.SYSTEM, NewSegment(name="Others", rule=rule))
        draft = await make.campaign(db, shop.notice.purpose_id, segment_id=segment.id)
        gone = await make.campaign(db, shop.notice.purpose_id, segment_id=segment.id)
        await campaigns.start(db, make.SYSTEM, gone.id)
        await customers.restrict(db, make.SYSTEM, shop.ids[0])
        left = Actor.customer(shop.ids[1])
        purpose_id = shop.notice.purpose_id
        await consent.withdraw(db, left, shop.ids[1], purpose_id, method=Method.portal)
        await filling.fill_piece(db, gone.id, 100)
    await make.let_in_as_owner(database, shop.business, web, Role.editor)
    pages = [f"{draft.id}/review", f"{gone.id}/progress", f"{gone.id}/figures"]
    for each in pages:
        theirs = (await web.get(f"/staff/campaigns/{each}")).text
        owners = (await console.get(f"/staff/campaigns/{each}")).text
        assert (_UNTOLD in theirs, _UNTOLD in owners) == (True, False), each
    review = (await web.get(f"/staff/campaigns/{draft.id}/review")).text
    assert "Will get it" not in review
    assert "Approve and send</button>" in review


async def test_deliveries_name_nobody_to_whom_the_figures_are_not_shown(
    console: Browser, web: Browser, shop: Shop, database: Database
) -> None:
    """By name they tell even more: of a special rule, and of a special purpose without one."""
    special = await _special(database, shop)
    her, left = shop.ids[:2]
    async with database.write(shop.business.id) as db:
        text = await make.notice(db, special.id)
        for who in (her, left):
            how = await make.own_word(db, who)
            await consent.give(db, Actor.customer(who), who, text.question, how)
        rule = {"test": "any", "of": [{"test": "tag", "name": name} for name in ("diet", "bakes")]}
        segment = await segments.add(db, make.SYSTEM, NewSegment(name="Some", rule=rule))
        aimed = await make.campaign(db, shop.notice.purpose_id, segment_id=segment.id)
        whole = await make.campaign(db, special.id)
        plain = await make.campaign(db, shop.notice.purpose_id)
        for each in (aimed, whole, plain):
            await campaigns.start(db, make.SYSTEM, each.id)
        for purpose_id in (special.id, shop.notice.purpose_id):
            by = Actor.customer(left)
            await consent.withdraw(db, by, left, purpose_id, method=Method.portal)
        for each in (aimed, whole, plain):
            await filling.fill_piece(db, each.id, 100)
    await make.let_in_as_owner(database, shop.business, web, Role.editor)
    for each, told in ((aimed, False), (whole, False), (plain, True)):
        base = f"/staff/campaigns/{each.id}"
        theirs = await web.get(f"{base}/deliveries/waiting")
        owners = await console.get(f"{base}/deliveries/waiting")
        assert (theirs.status_code, str(her) in theirs.text) == (200 if told else 403, told)
        assert str(her) in owners.text
        for page in ("progress", "account"):
            assert f"{base}/deliveries/excluded" in (await console.get(f"{base}/{page}")).text
            shown = (await web.get(f"{base}/{page}")).text
            assert (f"{base}/deliveries/excluded" in shown) is told, page


async def test_who_is_not_shown_customers_says_not_what_became_of_them(
    web: Browser, shop: Shop, database: Database
) -> None:
    """The account sends an editor to an owner; neither of the forms takes a word of hers."""
    special = await _special(database, shop)
    her = shop.ids[0]
    async with database.write(shop.business.id) as db:
        text = await make.notice(db, special.id)
        await consent.give(
            db, Actor.customer(her), her, text.question, await make.own_word(db, her)
        )
        campaign = await make.campaign(db, special.id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
        await filling.fill_piece(db, campaign.id, 100)
        await db.run(DOUBT, campaign_id=campaign.id, customer_id=her)
    await make.let_in_as_owner(database, shop.business, web, Role.editor)
    base = f"/staff/campaigns/{campaign.id}"
    account = (await web.get(f"{base}/progress")).text
    token = await web.token(f"{base}/progress")
    asked = {"csrf": token, "ending": "sent", "number": "1", "sure": "yes"}
    answers = [
        await web.post(f"{base}/{path}/resolution", data=asked)
        for path in (f"deliveries/{her}", "uncertain")
    ]
    async with database.read(shop.business.id) as read:
        counts = await campaigns.counts(read, campaign.id)

    assert "ask an owner to look at each" in account
    assert [each.headers["location"] for each in answers] == [f"{base}/progress"] * 2
    assert counts.uncertain == 1


async def test_a_record_shows_an_editor_nothing_of_a_special_purpose(
    console: Browser, web: Browser, shop: Shop, database: Database
) -> None:
    """Neither value nor tag, nor what happened or was sent for it; care and owners see them."""
    special = await _special(database, shop)
    her = shop.ids[0]
    async with database.write(shop.business.id) as db:
        text = await make.notice(db, special.id)
        how = await make.own_word(db, her)
        await consent.give(db, Actor.customer(her), her, text.question, how)
        await customers.put_tag(db, make.SYSTEM, her, "diet")
        await customers.set_attributes(db, make.SYSTEM, her, {"diet": "2026-02-03"})
        happened = NewInteraction(kind="diet", title="Asked about gluten")
        await customers.interact(db, make.SYSTEM, her, happened)
        letter = await make.campaign(db, special.id, subject="Without gluten")
        await campaigns.start(db, make.SYSTEM, letter.id)
        await filling.fill_piece(db, letter.id, 100)
    await make.let_in_as_owner(database, shop.business, web, Role.editor)
    path = f"/staff/customers/{her}"
    for browser, told in ((web, False), (console, True)):
        await browser.fill(path, f"{path}/look", usual="question")
        record, mails = [(await browser.get(each)).text for each in (path, f"{path}/mails")]
        assert "Bakes at home" in record
        for words in ("Advice.", "2026-02-03", "Asked about gluten"):
            assert (words in record) is told, words
        assert ("Without gluten" in mails) is told


async def test_a_viewer_reads_no_reasons_of_a_few(
    web: Browser, shop: Shop, database: Database
) -> None:
    """Who sees no customers sees figures: but not of four."""
    async with database.write(shop.business.id) as db:
        rule = {"test": "tag", "name": "bakes"}
        segment = await segments.add(db, make.SYSTEM, NewSegment(name="Bakers", rule=rule))
        few = await make.campaign(db, shop.notice.purpose_id, segment_id=segment.id)
        everybody = await make.campaign(db, shop.notice.purpose_id)
    await make.let_in_as_owner(database, shop.business, web, Role.viewer)
    shown = [
        (await web.get(f"/staff/campaigns/{each.id}/review")).text for each in (few, everybody)
    ]
    assert [_UNTOLD in each for each in shown] == [True, False]


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
