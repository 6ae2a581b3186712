"""The console: nothing typed is lost, every problem is said, and each role sees its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2
import pytest

from crm import businesses, campaigns, customers, events
from crm.businesses import Business, NewBusiness
from crm.campaigns import NewCampaign, State, filling
from crm.campaigns.progress import Glance, progress
from crm.db import Database
from crm.events import Actor, Kind
from crm.staff import Member, Role
from tests import make
from tests.campaigns.site import approving, client, drafted, form, member, present, wall
from tests.campaigns.test_resolve import doubted

SYSTEM = Actor.system()
LIST = "/staff/campaigns"


@pytest.fixture
async def who(database: Database, business: Business) -> Member:
    """An owner."""
    return await member(database, business)


@pytest.fixture
async def browser(
    database: Database, business: Business, who: Member
) -> AsyncIterator[httpx2.AsyncClient]:
    """Her browser."""
    async with client(database, business, who=who) as opened:
        yield opened


async def purpose_of(database: Database, business: Business) -> UUID:
    """A purpose to write for."""
    async with database.write(business.id) as db:
        return (await make.purpose(db)).id


@pytest.mark.parametrize("field", ["purpose_id", "segment_id"])
async def test_what_is_no_id_is_told(
    database: Database, business: Business, browser: httpx2.AsyncClient, field: str
) -> None:
    fields = {"purpose_id": str(await purpose_of(database, business)), field: "é"}
    for path in (LIST, f"{LIST}/check"):
        answer = await browser.post(path, data=form(**fields, format="markdown"))
        assert answer.status_code == (422 if path == LIST else 200)


async def test_a_draft_is_written_saved_and_listed(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """The form leads on to where the button says."""
    purpose_id = await purpose_of(database, business)
    fields = form(
        purpose_id=str(purpose_id), subject="Rye", source="# Rye", format="markdown", then="review"
    )
    kept = await browser.post(LIST, data=fields)
    listed = await browser.get(LIST)

    assert kept.status_code == 303
    assert kept.headers["location"].endswith("/review")
    assert "Rye" in listed.text
    assert "by Bob Okafor" in listed.text
    assert (await browser.get(kept.headers["location"])).status_code == 200


async def test_a_draft_comes_from_a_file(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """Heading, text and format are read from it; what is unclear is said."""
    purpose_id = await purpose_of(database, business)
    page = b"---\ntitle: Bread in June\n---\n\nHello {{ site.title }}"
    kept = await browser.post(
        LIST,
        data=form(purpose_id=str(purpose_id), subject="", source="", format="html"),
        files={"file": ("june.md", page, "text/markdown")},
    )
    campaign_id = UUID(kept.headers["location"].split("/")[3])
    async with database.read(business.id) as db:
        campaign = await campaigns.get(db, campaign_id)
    shown = await browser.get(kept.headers["location"])

    assert (campaign.subject, campaign.format) == ("Bread in June", "markdown")
    assert "Not a merge field" in shown.text


async def test_a_file_on_a_draft_is_looked_at_first(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """It stands in the form, and the text before is still what is kept."""
    campaign, _, _ = await drafted(database, business, 0)
    answer = await browser.post(
        f"{LIST}/{campaign.id}/text",
        data=form(
            purpose_id=str(campaign.purpose_id),
            subject="Old",
            source="Old",
            format="markdown",
            version="1",
        ),
        files={"file": ("new.html", b"<html><title>New</title><p>New text", "text/html")},
    )

    assert answer.status_code == 200
    assert "New text" in answer.text
    assert "nothing is saved yet" in answer.text
    assert (await present(database, business, campaign)).source == campaign.source


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "is empty"), (b"\x00\x01\x02", "not a text file"), (b"a" * 1_000_001, "larger than")],
)
async def test_a_bad_file_is_refused_on_the_page(
    database: Database, business: Business, browser: httpx2.AsyncClient, data: bytes, said: str
) -> None:
    """Beside its field, with all else still there."""
    purpose_id = await purpose_of(database, business)
    answer = await browser.post(
        LIST,
        data=form(purpose_id=str(purpose_id), subject="Kept", source="Kept", format="markdown"),
        files={"file": ("a.md", data, "text/markdown")},
    )

    assert answer.status_code == 422
    assert said in answer.text
    assert 'value="Kept"' in answer.text


async def test_the_slower_of_two_sees_both_texts(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """Nothing is lost; saving once more puts hers over it, knowingly."""
    campaign, _, _ = await drafted(database, business, 0)
    theirs = NewCampaign(purpose_id=campaign.purpose_id, subject="Theirs", source="Their words")
    async with database.write(business.id) as db:
        await campaigns.change(db, SYSTEM, campaign.id, theirs, version=1)
    mine = form(
        purpose_id=str(campaign.purpose_id),
        subject="Mine",
        source="My words",
        format="markdown",
        version="1",
    )
    refused = await browser.post(f"{LIST}/{campaign.id}/text", data=mine)
    saved = await browser.post(f"{LIST}/{campaign.id}/text", data={**mine, "version": "2"})

    assert refused.status_code == 409
    assert "My words" in refused.text
    assert "Their words" in refused.text
    assert 'name="version" value="2"' in refused.text
    assert saved.status_code == 303
    assert (await present(database, business, campaign)).source == "My words"


async def test_the_checker_lists_everything_and_keeps_nothing(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """What htmx asks while somebody types."""
    purpose_id = await purpose_of(database, business)
    answer = await browser.post(
        f"{LIST}/check",
        data=form(
            purpose_id=str(purpose_id), subject="", source="{{ a }}\n\n{{ b }}", format="markdown"
        ),
    )

    assert answer.text.lstrip().startswith('<section class="card flow" id="check">')
    assert all(said in answer.text for said in ("Line 1", "Line 3", "Write a subject."))
    async with database.read(business.id) as db:
        assert await campaigns.page(db) == []


async def test_a_draft_says_when_it_would_be_too_late(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """Kept with the text, shown where it is decided, and taken back by leaving it empty."""
    purpose_id = await purpose_of(database, business)
    typed = {"purpose_id": str(purpose_id), "subject": "Rye", "source": "# Rye"}
    typed |= {"format": "markdown", "then": "review"}
    wrong = await browser.post(LIST, data=form(**typed, expires_hours="721", answers="One"))
    kept = await browser.post(LIST, data=form(**typed, expires_hours="24"))
    at = kept.headers["location"].removesuffix("/review")
    review, sheet = await browser.get(f"{at}/review"), await browser.get(f"{at}/text")
    emptied = await browser.post(f"{at}/text", data=form(**typed, version="1", expires_hours=""))
    without = await browser.get(f"{at}/review")

    assert (wrong.status_code, kept.status_code, emptied.status_code) == (422, 303, 303)
    assert "This is a number from 1 to 720." in wrong.text
    assert 'value="721"' in wrong.text
    assert "2 things to put right" in wrong.text
    assert "What has not gone 24 hours after the start is given up." in review.text
    assert 'value="24"' in sheet.text
    assert "is given up" not in without.text


async def test_the_mail_can_do_nothing_in_its_frame(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """Its own policy, a sandbox around it, and no script of it survives."""
    campaign, _, _ = await drafted(
        database, business, 0, format="html", source="<p>Hi</p><script>alert(1)</script>"
    )
    page = await browser.get(f"{LIST}/{campaign.id}/preview")
    mail = await browser.get(f"{LIST}/{campaign.id}/mail")
    text = await browser.get(f"{LIST}/{campaign.id}/preview?part=text")

    assert f'sandbox="" src="{LIST}/{campaign.id}/mail?scheme=light"' in page.text
    assert "sandbox" in mail.headers["content-security-policy"]
    assert "alert(1)" not in mail.text
    assert "Stop these mails" in text.text


async def test_a_test_to_a_stranger_is_refused_on_the_page(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """And one to herself is on its way."""
    campaign, _, _ = await drafted(database, business, 0)
    path = f"{LIST}/{campaign.id}/trial"
    refused = await browser.post(path, data=form(address="reader0@example.com"))
    sent = await browser.post(path, data=form(address="bob@bakery.example"))

    assert refused.status_code == 422
    assert "somebody who works here" in refused.text
    assert sent.status_code == 303
    async with database.read(business.id) as db:
        assert Kind.campaign_tested in {event.kind for event in await events.page(db)}


async def test_the_review_adds_up_and_starts(
    database: Database, business: Business, browser: httpx2.AsyncClient, who: Member
) -> None:
    """The button says to how many; pressed twice, the second is told."""
    campaign, _, ids = await drafted(database, business)
    async with database.write(business.id) as db:
        await customers.restrict(db, SYSTEM, ids[0])
    review = await browser.get(f"{LIST}/{campaign.id}/review")
    first = await browser.post(f"{LIST}/{campaign.id}/start", data=approving(campaign))
    second = await browser.post(f"{LIST}/{campaign.id}/start", data=approving(campaign))
    told = await browser.get(f"{LIST}/{campaign.id}/progress")

    assert "Approve and send to 2 customers" in review.text
    assert "They asked us not to use it." in review.text
    assert (first.status_code, second.status_code) == (303, 303)
    assert "started already, so it cannot be started now" in told.text
    assert (await present(database, business, campaign)).approved_by == who.id


async def test_a_time_is_by_the_clock_of_the_business(database: Database) -> None:
    """07:00 in Lisbon in summer is 06:00 in UTC; a time gone by is refused in its field."""
    lisbon = await make.business(database, time_zone="Europe/Lisbon")
    who = await member(database, lisbon)
    campaign, _, _ = await drafted(database, lisbon)
    year = datetime.now(UTC).year + 1
    async with client(database, lisbon, who=who) as browser:
        path = f"{LIST}/{campaign.id}/schedule"
        past = await browser.post(path, data=form(at="2020-06-04T07:00"))
        nonsense = await browser.post(path, data=form(at="soon"))
        at = wall(datetime(year, 7, 4, 7, 0))  # noqa: DTZ001  (by its clock)
        done = await browser.post(path, data=approving(campaign, at=at))
        shown = await browser.get(f"{LIST}/{campaign.id}/review")
        back = await browser.post(f"{LIST}/{campaign.id}/unscheduling", data=form())

    assert past.status_code == 422
    assert "The scheduled time is in the past" in past.text
    assert nonsense.status_code == 422
    assert done.status_code == back.status_code == 303
    assert f"4 July {year}, 07:00 WEST" in shown.text
    assert datetime(year, 7, 4, 7, tzinfo=ZoneInfo("Europe/Lisbon")).utcoffset() == timedelta(
        hours=1
    )


async def test_without_postal_address_the_way_to_it_is_shown(database: Database) -> None:
    """Also where somebody sends the form nevertheless."""
    bare = await make.business(database, postal_address="")
    who = await member(database, bare)
    campaign, _, _ = await drafted(database, bare)
    async with client(database, bare, who=who) as browser:
        review = await browser.get(f"{LIST}/{campaign.id}/review")
        refused = await browser.post(f"{LIST}/{campaign.id}/start", data=approving(campaign))

    assert "Approve and send" not in review.text
    assert refused.status_code == 409
    assert 'href="/staff/settings"' in refused.text
    assert (await present(database, bare, campaign)).state is State.draft


async def test_what_would_not_start_says_so_beside_its_time(database: Database) -> None:
    """Whoever reads when it starts by itself reads there that it would not."""
    bakery = await make.business(database)
    who = await member(database, bakery)
    campaign, _, _ = await drafted(database, bakery)
    at = datetime.now(UTC) + timedelta(days=2)
    async with database.write(bakery.id) as db:
        await campaigns.schedule(db, SYSTEM, campaign.id, at)
    async with client(database, bakery, who=who) as browser:
        ready = await browser.get(f"{LIST}/{campaign.id}/review")
        async with database.write(bakery.id) as db:
            known = {name: getattr(bakery, name) for name in NewBusiness.__struct_fields__}
            await businesses.change(db, SYSTEM, NewBusiness(**known | {"postal_address": ""}))
        not_so = await browser.get(f"{LIST}/{campaign.id}/review")

    for page in (ready, not_so):
        assert "It starts by itself" in page.text
    assert "But not as things are" not in ready.text
    assert "But not as things are" in not_so.text


async def test_progress_adds_up_and_follows(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """The panel asks again by itself; paused view, other state and end stop it."""
    campaign, _, _ = await drafted(database, business, 4)
    base = f"{LIST}/{campaign.id}"
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
        await filling.fill_piece(db, campaign.id, 10)
    page = await browser.get(f"{base}/progress")
    still = await browser.get(f"{base}/progress?live=no")
    same = await browser.get(f"{base}/account?at=1&handed=0&settled=0&doing=starting")
    moved = await browser.get(f"{base}/account?at=1&handed=0&settled=0&doing=draft")

    assert 'hx-trigger="every 2s"' in page.text
    assert 'hx-trigger="every 2s"' not in still.text
    assert "must not happen" not in page.text
    assert "hx-refresh" not in same.headers
    assert moved.headers["hx-refresh"] == "true"


async def test_pause_resume_and_cancel_are_said(
    database: Database, business: Business, browser: httpx2.AsyncClient
) -> None:
    """Each press says what happens next; one that comes too late says why."""
    campaign, _, _ = await drafted(database, business, 4)
    base = f"{LIST}/{campaign.id}"
    await browser.post(f"{base}/start", data=approving(campaign))
    await browser.post(f"{base}/pause", data=form())
    told = await browser.get(f"{base}/progress")
    await browser.post(f"{base}/cancellation", data=form())
    ended = await browser.get(f"{base}/progress")

    assert "started already, so it cannot be paused" in told.text
    assert "Nobody more is mailed; whoever still waited is left out" in ended.text
    assert (await present(database, business, campaign)).state is State.cancelled


async def test_uncertain_ones_are_listed_and_resolved(
    database: Database, business: Business, browser: httpx2.AsyncClient, who: Member
) -> None:
    """With what the relay said; the customer can see that the list was read."""
    campaign_id, customer_id = await doubted(database, business)
    here = f"{LIST}/{campaign_id}/deliveries/uncertain"
    listed = await browser.get(here)
    path = f"{LIST}/{campaign_id}/deliveries/{customer_id}/resolution"
    nonsense = await browser.post(path, data=form(ending="waiting"))
    resolved = await browser.post(path, data=form(ending="sent"))
    again = await browser.post(path, data=form(ending="failed"))
    after = await browser.get(f"{LIST}/{campaign_id}/deliveries/sent")
    async with database.read(business.id) as db:
        looked = await events.looks_at(db, customer_id)

    assert "451 reader0@example.com" in listed.text
    assert nonsense.status_code == 422
    assert (resolved.status_code, again.status_code) == (303, 303)
    assert "Recorded by" in after.text
    assert who.name in after.text
    assert len(looked) == 2
    assert (await browser.get(f"{LIST}/{campaign_id}/deliveries/nowhere")).status_code == 404


@pytest.mark.parametrize(
    ("role", "writes", "sends", "looks"),
    [(Role.editor, 200, 303, 200), (Role.care, 403, 403, 200), (Role.viewer, 403, 403, 403)],
)
async def test_each_role_may_what_its_row_says(
    database: Database, business: Business, *, role: Role, writes: int, sends: int, looks: int
) -> None:
    """A viewer sees numbers and no customer; only who may send, sends."""
    who = await member(database, business, role)
    campaign, _, _ = await drafted(database, business)
    base = f"{LIST}/{campaign.id}"
    async with client(database, business, who=who) as browser:
        assert (await browser.get(LIST)).status_code == 200
        assert (await browser.get(f"{base}/review")).status_code == 200
        assert (await browser.get(f"{base}/text")).status_code == writes
        assert (await browser.post(f"{base}/start", data=approving(campaign))).status_code == sends
        assert (await browser.get(f"{base}/deliveries/failed")).status_code == looks


async def test_a_stranger_gets_nothing(
    database: Database, business: Business, other_business: Business, browser: httpx2.AsyncClient
) -> None:
    """Every page and every press on another business's campaign is a 404."""
    theirs, _, ids = await drafted(database, other_business)
    base = f"{LIST}/{theirs.id}"
    pages = ["", "/text", "/preview", "/mail", "/review", "/progress", "/account"]
    presses = ["start", "pause", "resumption", "cancellation", "unscheduling"]
    answers = [await browser.get(base + each) for each in [*pages, "/deliveries/failed"]]
    answers += [await browser.post(f"{base}/{each}", data=form()) for each in presses]
    path = f"{base}/deliveries/{ids[0]}/resolution"
    resolved = await browser.post(path, data=form(ending="sent"))

    assert {answer.status_code for answer in [*answers, resolved]} == {404}
    assert (await present(database, other_business, theirs)).state is State.draft


async def test_the_pace_is_that_between_two_looks(database: Database, business: Business) -> None:
    """Two seconds and a hundred mails are fifty a second, and so long the rest still takes."""
    campaign, _, _ = await drafted(database, business, 0)
    now = datetime(2026, 6, 4, 7, 0, 10, tzinfo=UTC)
    started = now - timedelta(seconds=10)
    moving = campaigns.Campaign(
        **{name: getattr(campaign, name) for name in campaign.__struct_fields__}
        | {"state": State.sending, "started_at": started}
    )
    counts = campaigns.Counts(waiting=1000, sending=0, sent=200, failed=0, excluded=5, uncertain=0)
    first = progress(moving, counts, now)
    second = progress(moving, counts, now, Glance(now.timestamp() - 2, 100, 105, "sending"))

    assert (first.per_second, second.per_second) == (20.0, 50.0)
    assert second.seconds_left == 20
    assert second.glance.settled == 205
