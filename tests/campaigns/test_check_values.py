"""What a text lacks for somebody is known before anybody is mailed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from crm import above, campaigns, customers, events
from crm.businesses import Business
from crm.campaigns import Campaign, NewCampaign, checking
from crm.campaigns.checking import (
    ValueCheck,
    ValuesAreAddresses,
    ValuesLacking,
    ValuesUnchecked,
    judged,
)
from crm.campaigns.merge import Marks
from crm.consent import Basis
from crm.customers import AttributeType, LawfulBasis, NewAttribute
from crm.db import Database
from crm.events import Actor, ActorKind
from crm.staff import Role
from tests import make
from tests.browser import Browser
from tests.campaigns.site import approving, caller, client, drafted, form, member

BY = Actor(ActorKind.key, UUID(int=7), "Shop")


async def walked(database: Database, campaign: Campaign, size: int = 2) -> ValueCheck:
    """Walk to the end, a few customers at a time."""
    more = True
    while more:
        async with database.write(OF[campaign.id]) as db:
            more = await checking.walk_piece(db, campaign, size)
    async with database.read(OF[campaign.id]) as db:
        check = await checking.newest(db, campaign)
    assert check is not None
    return check


OF: dict[UUID, UUID] = {}


async def written(
    database: Database, business: Business, source: str, count: int = 5, **changes: Any
) -> tuple[Campaign, list[UUID]]:
    """A draft to so many customers, the first of them without a name."""
    campaign, _, ids = await drafted(database, business, count, source=source, **changes)
    OF[campaign.id] = business.id
    async with database.write(business.id) as db:
        await customers.change(db, make.SYSTEM, ids[0], customers.Changes(name=None))
    return campaign, ids


async def test_whoever_lacks_a_value_is_counted(database: Database, business: Business) -> None:
    """With the field, and an example; and the start says no until somebody decides."""
    campaign, ids = await written(database, business, "Dear {{ first_name }}, {{ name | upper }}")
    async with database.write(business.id) as db:
        with pytest.raises(ValuesUnchecked):
            await campaigns.start(db, BY, campaign.id)
    check = await walked(database, campaign)

    assert (check.state, check.audience, check.looked, check.getting, check.lacking) == (
        *("done", 5, 5, 5, 1),
    )
    assert {(f.field, f.wrong, f.customers, tuple(f.examples)) for f in check.findings} == {
        ("first_name", "missing", 1, (ids[0],)),
        ("{{ name | upper }}", "missing", 1, (ids[0],)),
    }
    async with database.write(business.id) as db:
        with pytest.raises(ValuesLacking):
            await campaigns.start(db, BY, campaign.id)
        started = await campaigns.start(db, BY, campaign.id, despite_gaps=True)
    assert started.state == "starting"


async def test_a_default_is_no_gap(database: Database, business: Business) -> None:
    """Nobody waits for a check that can find nothing missing."""
    campaign, _ = await written(database, business, "Dear {{ first_name | default('reader') }}")
    async with database.write(business.id) as db:
        assert (await campaigns.start(db, BY, campaign.id)).state == "starting"


async def test_a_newer_version_ends_the_walk(database: Database, business: Business) -> None:
    """What was found for the text before says nothing about this one."""
    campaign, _ = await written(database, business, "Dear {{ first_name }}")
    async with database.write(business.id) as db:
        assert await checking.walk_piece(db, campaign, 2)
        new = NewCampaign(purpose_id=campaign.purpose_id, subject="s", source="{{ name }}")
        changed = await campaigns.change(db, BY, campaign.id, new, version=campaign.version)
    async with database.write(business.id) as db:
        assert not await checking.walk_piece(db, campaign, 2)
        assert await checking.newest(db, campaign) is None
    check = await walked(database, changed)

    assert [(f.field, f.customers) for f in check.findings] == [("name", 1)]


async def test_a_walk_nobody_is_at_is_found(database: Database, business: Business) -> None:
    """Redis may forget; the row does not."""
    campaign, _ = await written(database, business, "Dear {{ first_name }}")
    async with database.read(business.id) as db:
        now = db.now
    waiting = await above.value_checks_waiting(database, now)
    assert campaign.id in {each.campaign_id for each in waiting}
    await walked(database, campaign)
    waiting = await above.value_checks_waiting(database, now)
    assert campaign.id not in {each.campaign_id for each in waiting}


async def test_a_text_that_cannot_be_sent_has_nothing_to_check(
    database: Database, business: Business
) -> None:
    """And once it can, its start waits for a check."""
    campaign, _, _ = await drafted(database, business, 1, source="{{ nmae }}")
    async with database.write(business.id) as db:
        assert not await checking.walk_piece(db, campaign)
        assert await checking.newest(db, campaign) is None


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("Zoë", None),
        ("נורה", None),
        ("\u2067נורה\u2069", None),
        ("\u202eNora", "unwritable"),
        ("No\x07ra", "unwritable"),
        ("x" * 1_000_000, "unwritable"),
        (" ", "missing"),
    ],
)
def test_what_cannot_be_written_is_told(value: str, wrong: str | None) -> None:
    """Control characters, what turns the line around, and whole books."""
    marks = Marks()
    marks.protect("{{ name }} {{ name | upper }}")
    assert [judged(field, {"name": value}) for field in marks.fields] == [wrong, wrong]


def test_what_cannot_be_worked_out_is_told() -> None:
    """A number that is none."""
    marks = Marks()
    marks.protect("{{ attribute.points | int + 1 }}")
    assert judged(marks.fields[0], {"attribute.points": "many"}) == "unworkable"
    assert judged(marks.fields[0], {"attribute.points": "7"}) is None


async def test_the_review_asks_before_it_starts(database: Database, business: Business) -> None:
    """The console shows how far the walk is, what it found, and takes a tick for an answer."""
    campaign, _ = await written(database, business, "Dear {{ first_name }}")
    base = f"/staff/campaigns/{campaign.id}"
    async with client(database, business, who=await member(database, business)) as web:
        early = await web.get(f"{base}/review")
        following = await web.get(f"{base}/values")
        refused = await web.post(f"{base}/start", data=approving(campaign))
        await walked(database, campaign)
        over = await web.get(f"{base}/values")
        gaps = await web.get(f"{base}/review")
        unsaid = await web.post(f"{base}/start", data=approving(campaign))
        again = await web.post(f"{base}/values", data=form())
        await walked(database, campaign)
        started = await web.post(f"{base}/start", data=approving(campaign, despite_gaps="on"))

    assert 'hx-get="' + base in early.text
    assert "hx-refresh" not in following.headers
    assert over.headers["hx-refresh"] == "true"
    assert (refused.status_code, unsaid.status_code) == (409, 409)
    assert "still being checked" in refused.text
    assert "<b>1 customer</b>" in gaps.text
    assert "has no first_name" in gaps.text
    assert (again.status_code, started.status_code) == (303, 303)
    assert started.headers["location"] == base


async def test_a_program_is_told_and_may_insist(database: Database, business: Business) -> None:
    """409 with the reason; `despite_gaps` is an answer, at once or for a time."""
    campaign, _ = await written(database, business, "Dear {{ first_name }}")
    path = f"/v1/campaigns/{campaign.id}/start"
    async with client(database, business, key=caller()) as api:
        early = await api.post(path, headers={"idempotency-key": "one"})
        await walked(database, campaign)
        gaps = await api.post(path, headers={"idempotency-key": "two"})
        started = await api.post(f"{path}?despite_gaps=true", headers={"idempotency-key": "three"})

    told = [answer.status_code for answer in (early, gaps, started)]
    assert told == [409, 409, 200]
    assert "default" in gaps.json()["detail"]


@pytest.mark.parametrize(
    ("source", "values", "wrong"),
    [
        (
            "{{ attribute.page }}",
            {"attribute.page": "https://shop.example/open?reader=7"},
            "address",
        ),
        ("{{ attribute.page }}", {"attribute.page": "https\u202c://shop.example/7"}, "unwritable"),
        ("{{ attribute.page | default('x') }}", {"attribute.page": "www.shop.example"}, "address"),
        ("{{ attribute.page | trim }}", {"attribute.page": "shop.example/open"}, "address"),
        ("{{ attribute.page | replace('-', '/') }}", {"attribute.page": "a.example-7"}, "address"),
        ("{% if attribute.page %}Yours.{% endif %}", {"attribute.page": "www.a.example"}, None),
        ("{{ attribute.city }}", {"attribute.city": "www.spam.example"}, "unwritable"),
        ("{{ attribute.city | upper }}", {"attribute.city": "www.spam.example"}, "unwritable"),
        ("{{ attribute.city | default('x') }}", {"attribute.city": "www.spam.example"}, None),
        ("{{ name }}", {"name": "www.spam.example"}, "missing"),
        ("{{ name | default('reader') }}", {"name": "www.spam.example"}, None),
        ("{{ name | upper }}", {"name": "www.spam.example"}, "missing"),
        ("{{ name | replace(' ', '.') }}", {"name": "www spam"}, "missing"),
        ("{{ name }}", {"name": "Dr.med. Nora J.-P. O'Neil, St.Gallen"}, None),
        ("{{ name | default(address) }}", {"address": "x.ab/y@example.org"}, None),
        ("{{ 'Dear ' ~ address }}", {"address": "reader@www.example.org"}, None),
        ("{{ address | replace('@', ' at ') }}", {"address": "nora@www.example.org"}, "unwritable"),
        ("{{ address | replace('@', '.a.example/') }}", {"address": "nora@b.example"}, "address"),
        ("{{ address | replace('@', '.a.example/') }}", {"address": "n@www.b.example"}, "address"),
        (
            '{% if "@" in address %}a.example/{{ name | lower }}{% endif %}',
            {"address": "nora@b.example", "name": "Nora"},
            "address",
        ),
        ("{{ business ~ ', for ' ~ name }}", {"business": "www.rye.example", "name": "Nora"}, None),
    ],
)
def test_a_web_address_is_told(source: str, values: dict[str, str], wrong: str | None) -> None:
    """By whoever can set it, for nobody may keep a campaign from starting by what she types."""
    marks = Marks()
    marks.protect(source)
    assert judged(marks.fields[0], values, ["attribute.city"]) == wrong


async def test_a_web_address_is_not_waved_through(database: Database, business: Business) -> None:
    """Not with a default, nor by whoever takes gaps; with a name like that it starts."""
    await _attribute(database, business, hers=False)
    source = "Dear {{ name | default('reader') }}, {{ attribute.page | default('nothing') }}"
    campaign, ids = await written(database, business, source)
    async with database.write(business.id) as db:
        await customers.change(db, make.SYSTEM, ids[1], customers.Changes(name="www.spam.example"))
        await customers.set_attributes(db, make.SYSTEM, ids[2], {"page": "https://a.example/2"})
    check = await walked(database, campaign)
    assert [(f.wrong, f.customers, f.examples) for f in check.findings] == [
        ("address", 1, [ids[2]])
    ]
    base = f"/staff/campaigns/{campaign.id}"
    async with client(database, business, who=await member(database, business)) as web:
        told = await web.get(f"{base}/values")
        page = await web.get(f"{base}/review")
        refused = await web.post(f"{base}/start", data=approving(campaign, despite_gaps="on"))
        assert "web address of their own" in told.text
        # Nothing is offered that would be refused.
        assert "Put right what is said above" in page.text
        assert "despite_gaps" not in page.text
        assert refused.status_code == 409
        assert "Correct the records" in refused.text
    async with database.write(business.id) as db:
        with pytest.raises(ValuesAreAddresses):
            await campaigns.start(db, BY, campaign.id, despite_gaps=True)
        await customers.set_attributes(db, make.SYSTEM, ids[2], {"page": "a page"})
        await checking.begin(db, campaign.id)
    await walked(database, campaign)
    async with database.write(business.id) as db:
        assert (await campaigns.start(db, BY, campaign.id)).state == "starting"


async def test_what_customers_set_themselves_stops_no_start(
    database: Database, business: Business
) -> None:
    await _attribute(database, business, hers=True)
    campaign, ids = await written(database, business, "Yours: {{ attribute.page | default('x') }}")
    async with database.write(business.id) as db:
        await customers.set_attributes(db, make.SYSTEM, ids[2], {"page": "https://a.example/2"})
    assert (await walked(database, campaign)).findings == []


async def test_no_default_is_a_web_address(database: Database, business: Business) -> None:
    """It would be a link for those who have no name; what has started with one goes on."""
    source = "Dear {{ name | default('www.rye.example') }}"
    campaign, _ = await written(database, business, source)
    await walked(database, campaign)
    async with database.write(business.id) as db:
        with pytest.raises(ValuesAreAddresses):
            await campaigns.start(db, BY, campaign.id, despite_gaps=True)


async def _attribute(database: Database, business: Business, *, hers: bool) -> None:
    page = NewAttribute(
        basis=LawfulBasis.legitimate_interests, origin="From us.", label="Page",
        type=AttributeType.text, purpose="For the page.", retention="P24M", hers=hers,
    )  # fmt: skip
    async with database.write(business.id) as db:
        await customers.declare_attribute(db, make.SYSTEM, "page", page)


async def test_who_lacks_what_is_named_only_to_who_sees_customers(
    database: Database, business: Business, web: Browser
) -> None:
    """Where the review is shown, and where it follows the walk; a viewer reads numbers."""
    campaign, ids = await written(database, business, "Dear {{ first_name }}")
    await walked(database, campaign)
    base = f"/staff/campaigns/{campaign.id}"
    await make.let_in_as_owner(database, business, web, Role.viewer)
    shown = [(await web.get(f"{base}/{each}")).text for each in ("review", "values")]
    async with database.read(business.id) as db:
        looks = await events.looks_at(db, ids[0])

    assert all("<b>1 customer</b>" in each for each in shown)
    assert not any(str(ids[0]) in each or "Such as" in each for each in shown)
    assert looks == []


@pytest.mark.parametrize("way", ["review", "values", "start", "schedule"])
async def test_whoever_is_named_as_lacking_something_sees_that_look(
    database: Database, business: Business, console: Browser, way: str
) -> None:
    """Also where the review comes back with a refusal (promise 11)."""
    campaign, ids = await written(database, business, "Dear {{ first_name }}")
    await walked(database, campaign)
    base = f"/staff/campaigns/{campaign.id}"
    if way in {"review", "values"}:
        answer = await console.get(f"{base}/{way}")
    else:
        fields = {"version": str(campaign.version)}
        token = await console.token("/staff/account")
        answer = await console.post(f"{base}/{way}", data=fields | {"csrf": token})
    async with database.read(business.id) as db:
        looks = [len(await events.looks_at(db, each)) for each in ids]

    assert answer.status_code == {"start": 409, "schedule": 422}.get(way, 200)
    assert str(ids[0]) in answer.text
    assert looks == [1, 0, 0, 0, 0]


async def test_a_gap_that_tells_of_a_special_purpose_names_nobody_to_an_editor(
    database: Database, business: Business, web: Browser, console: Browser
) -> None:
    """Whoever does not allow the purpose lacks the value: the gap would say so by name."""
    async with database.write(business.id) as db:
        special = await make.purpose(db, special_category=True, basis=Basis.explicit_consent)
        diet = NewAttribute(
            label="Diet", purpose="Advice.", retention="P1Y", purpose_id=special.id,
            type=AttributeType.text, basis=LawfulBasis.consent, origin="From you.",
        )  # fmt: skip
        await customers.declare_attribute(db, make.SYSTEM, "diet", diet)
    source = "{{ first_name }} {{ attribute.diet | upper }}"
    campaign, ids = await written(database, business, source, count=3)
    await walked(database, campaign)
    await make.let_in_as_owner(database, business, web, Role.editor)
    review = f"/staff/campaigns/{campaign.id}/review"
    theirs, owners = [(await each.get(review)).text for each in (web, console)]

    assert [str(each) in theirs for each in ids] == [True, False, False]
    assert all(str(each) in owners for each in ids)
