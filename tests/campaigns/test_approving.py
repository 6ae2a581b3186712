"""What begins is what was approved: the version that was reviewed, and only while it is wanted."""

from __future__ import annotations

import asyncio
import html
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import httpx2
import pytest

from crm import campaigns, consent
from crm.businesses import Business
from crm.campaigns import Campaign, ChangedSinceReview, NewCampaign, State, checking, images, jobs
from crm.db import Database, Db
from crm.events import Actor
from crm.mail import sending_domains
from crm.staff import Member
from tests import make
from tests.campaigns.site import approving, caller, client, drafted, form, member, present, wall
from tests.campaigns.test_images import PNG
from tests.campaigns.test_send import settings
from tests.campaigns.test_share import until_waiting
from tests.conftest import Cluster
from tests.rhythm.test_obey import at as at_another_time

LATER = datetime.now(UTC) + timedelta(days=30)


@pytest.fixture
async def who(database: Database, business: Business) -> Member:
    """An owner."""
    return await member(database, business)


@pytest.fixture
async def campaign(database: Database, business: Business) -> Campaign:
    """A draft whose values are checked."""
    campaign, _, _ = await drafted(database, business)
    async with database.write(business.id) as db:
        while await checking.walk_piece(db, campaign):
            pass
    return campaign


def another(campaign: Campaign) -> NewCampaign:
    """A text that nobody has looked at, with nothing in it that is to be checked."""
    return NewCampaign(
        purpose_id=campaign.purpose_id, subject="Something else", source="There is rye bread."
    )


async def test_what_is_taken_back_at_the_moment_it_starts_does_not(  # noqa: PLR0917  (fixtures)
    database: Database,
    business: Business,
    who: Member,
    campaign: Campaign,
    root: asyncpg.Connection,
    shared_cluster: Cluster,
) -> None:
    """The job has seen that it is due; staff are told that it is a draft again."""
    async with database.write(business.id) as db:
        await campaigns.schedule(db, who.actor, campaign.id, db.now + timedelta(days=1))
    await root.execute(
        "UPDATE crm.campaign SET scheduled_at = now() - interval '1 second' WHERE business_id = $1",
        business.id,
    )
    ctx: jobs.Ctx = {"database": database, "settings": settings(1), "sending": asyncio.Lock()}
    async with database.write(business.id) as db:
        assert (await campaigns.unschedule(db, who.actor, campaign.id)).state is State.draft
        sweep = asyncio.create_task(jobs.sweep(ctx))
        await until_waiting(shared_cluster, 1)
    await sweep

    now = await present(database, business, campaign)
    assert (now.state, now.approved_by) == (State.draft, None)


@pytest.mark.parametrize("later", [False, True])
async def test_what_is_changed_while_it_is_approved_does_not_begin(
    database: Database,
    business: Business,
    who: Member,
    campaign: Campaign,
    shared_cluster: Cluster,
    *,
    later: bool,
) -> None:
    """The other text would go out in the name of somebody who never saw it."""

    async def approved() -> None:
        async with database.write(business.id) as db:
            if later:
                at, version = db.now + timedelta(days=1), campaign.version
                await campaigns.schedule(db, who.actor, campaign.id, at, version=version)
            else:
                await campaigns.start(db, who.actor, campaign.id, version=campaign.version)

    async with database.write(business.id) as db:
        await campaigns.change(
            db, make.SYSTEM, campaign.id, another(campaign), version=campaign.version
        )
        approval = asyncio.create_task(approved())
        await until_waiting(shared_cluster, 1)
    with pytest.raises(ChangedSinceReview):
        await approval

    now = await present(database, business, campaign)
    assert (now.state, now.subject, now.approved_by) == (State.draft, "Something else", None)


async def test_staff_look_again_at_what_has_changed(
    database: Database, business: Business, who: Member, campaign: Campaign
) -> None:
    """The review that refuses shows the new text, and approves that when it is sent."""
    async with database.write(business.id) as db:
        changed = await campaigns.change(
            db, make.SYSTEM, campaign.id, another(campaign), version=campaign.version
        )
        while await checking.walk_piece(db, changed):
            pass
    base = f"/staff/campaigns/{campaign.id}"
    async with client(database, business, who=who) as browser:
        for stale in (
            approving(campaign),
            form(),
            form(version="\u0663"),
            form(version="9" * 5000),
        ):
            refused = await browser.post(f"{base}/start", data=stale)
            assert refused.status_code == 409
            assert "has changed since you reviewed it" in refused.text
            assert "Something else" in refused.text
            later = await browser.post(f"{base}/schedule", data=stale | {"at": wall(LATER)})
            assert later.status_code == 409
        assert (await browser.post(f"{base}/start", data=approving(changed))).status_code == 303

    assert (await present(database, business, campaign)).approved_by == who.id


@pytest.mark.parametrize("gone", [False, True])
async def test_other_pictures_are_another_version(
    database: Database, business: Business, who: Member, campaign: Campaign, *, gone: bool
) -> None:
    """A picture says as much as the text around it."""
    async with database.write(business.id) as db:
        await images.attach(db, make.SYSTEM, campaign.id, "rye.png", PNG)
        reviewed = await campaigns.get(db, campaign.id)
        if gone:
            await images.take_out(db, make.SYSTEM, campaign.id, "rye.png")
        else:
            await images.attach(db, make.SYSTEM, campaign.id, "rye.png", PNG)
    for act in (campaigns.start, schedule_tomorrow):
        with pytest.raises(ChangedSinceReview):
            async with database.write(business.id) as db:
                await act(db, who.actor, campaign.id, version=reviewed.version)
    # Its values are checked anew, so that it can be approved as it is now.
    ctx: jobs.Ctx = {"database": database, "settings": settings(1), "sending": asyncio.Lock()}
    await jobs.check_values(ctx, str(business.id), str(campaign.id))
    now = await present(database, business, campaign)
    async with database.write(business.id) as db:
        check = await checking.newest(db, now)
        assert check is not None
        assert (check.state, check.version) == ("done", now.version)
        await campaigns.start(db, who.actor, campaign.id, version=now.version)


async def schedule_tomorrow(db: Db, by: Actor, campaign_id: UUID, *, version: int) -> Campaign:
    at = db.now + timedelta(days=1)
    return await campaigns.schedule(db, by, campaign_id, at, version=version)


async def test_programs_name_the_version_if_they_like(
    database: Database, business: Business, campaign: Campaign
) -> None:
    async with client(database, business, key=caller()) as api:
        base = f"/v1/campaigns/{campaign.id}"
        stale = {"version": campaign.version + 1}
        at = {"at": LATER.isoformat()}
        refused: list[httpx2.Response] = [
            await api.post(f"{base}/start", params=stale, headers={"idempotency-key": "a"}),
            await api.post(f"{base}/schedule", json=at | stale),
        ]
        for each in refused:
            assert (each.status_code, each.json()["code"]) == (409, "changed_since_review")
        right = {"version": campaign.version}
        scheduled = await api.post(f"{base}/schedule", json=at | right)
        assert scheduled.status_code == 200
        started = await api.post(f"{base}/start", params=right, headers={"idempotency-key": "b"})
        assert started.json()["state"] == "starting"


async def test_what_keeps_it_from_being_sent_is_said_before_and_after(
    database: Database, business: Business, who: Member, campaign: Campaign
) -> None:
    """To staff and programs, and by the list; nobody reads that it only waits for a worker."""
    base = f"/staff/campaigns/{campaign.id}"
    async with database.write(business.id) as db:
        at = db.now + timedelta(hours=1)
        await campaigns.schedule(db, who.actor, campaign.id, at)
    late = at_another_time(database, at + timedelta(minutes=1))
    async with client(late, business, who=who) as browser:
        assert "It starts as soon as a worker runs" in (await browser.get(f"{base}/review")).text
    async with database.write(business.id) as db:
        await consent.retire(db, make.SYSTEM, campaign.purpose_id)
        domain = sending_domains.domain_of(business.sender_address)
        await sending_domains.revoke(db, make.SYSTEM, domain)

    async with client(late, business, who=who) as browser:
        review = (await browser.get(f"{base}/review")).text
        listed = (await browser.get("/staff/campaigns")).text
    async with client(late, business, key=caller()) as api:
        told = (await api.get(f"/v1/campaigns/{campaign.id}/review")).json()
    reasons = ["never checked", "This purpose is not in use any more"]
    for reason in reasons:
        assert reason in html.unescape(review)
    assert "as soon as a worker runs" not in review
    assert f'action="{base}/start"' not in review
    assert "Should have started" in listed
    assert [r in p["message"] for r, p in zip(reasons, told["problems"], strict=True)] == [True] * 2


async def test_one_that_never_started_has_its_pages(
    database: Database, business: Business, who: Member, campaign: Campaign
) -> None:
    """Cancelled while it was scheduled, it has an end and no beginning."""
    base = f"/staff/campaigns/{campaign.id}"
    async with database.write(business.id) as db:
        await campaigns.schedule(db, who.actor, campaign.id, db.now + timedelta(days=1))
        await campaigns.cancel(db, who.actor, campaign.id)
    async with client(database, business, who=who) as browser:
        for page in ("progress", "figures"):
            shown = await browser.get(f"{base}/{page}")
            assert shown.status_code == 200
            assert "Never started" in shown.text
    async with client(database, business, key=caller()) as api:
        figures = (await api.get(f"/v1/campaigns/{campaign.id}/figures")).json()
    assert (figures["started_at"], figures["seconds"]) == (None, 0)


async def test_whoever_decides_about_a_held_one_says_for_how_long_it_is_news(
    database: Database, business: Business, who: Member, campaign: Campaign
) -> None:
    async with database.write(business.id) as db:
        await campaigns.schedule(db, who.actor, campaign.id, db.now + timedelta(days=1))
        await campaigns.hold(db, make.SYSTEM, campaign.id)
        await campaigns.expire_after(db, campaign.id, 6)
        await campaigns.check_again(db, who.actor, campaign.id)
        assert (await campaigns.course(db, campaign.id)).expires_hours == 6
