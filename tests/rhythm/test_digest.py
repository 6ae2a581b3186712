"""The weekly digest: offered by staff, chosen by customers, made once, and every count holds."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from crm import campaigns, consent, customers, rhythm
from crm.businesses import Business
from crm.campaigns import (
    Campaign,
    NewCampaign,
    NewPlan,
    NotAPerson,
    NotOffered,
    State,
    filling,
    jobs,
)
from crm.campaigns.digest import Issue, composed, monday_of, week_ends
from crm.campaigns.render import Draft, Letterhead, compile_message
from crm.consent import Method
from crm.db import Database
from crm.events import Actor
from crm.rhythm import Wanted
from crm.staff import Member
from tests import make
from tests.browser import Browser
from tests.campaigns.site import client
from tests.campaigns.test_share import until_waiting
from tests.conftest import Cluster
from tests.rhythm.test_obey import Shop, at, ctx, opened, worked
from tests.smtpd import Smtpd, smtpd

TUESDAY = datetime(2030, 6, 4, 10, tzinfo=UTC)
# The week of the digest ends on Fridays at nine, by the clock of the business, which is UTC.
PLAN = NewPlan(5, 9, "The week, {{ first_name | default('reader') }}", "All of *this week*.")
FRIDAY = datetime(2030, 6, 7, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("after", "zone", "ends"),
    [
        (TUESDAY, "UTC", FRIDAY),
        (FRIDAY - HOUR, "UTC", FRIDAY),
        (FRIDAY, "UTC", FRIDAY + timedelta(days=7)),
        (TUESDAY, "Europe/Berlin", FRIDAY - 2 * HOUR),
        # Saturday there already.
        (FRIDAY + 4 * HOUR, "Pacific/Auckland", FRIDAY + timedelta(days=6, hours=12)),
    ],
)
def test_a_week_ends_by_the_clock_of_the_business(
    after: datetime, zone: str, ends: datetime
) -> None:
    assert week_ends(after, 5, 9, zone) == ends
    assert monday_of(FRIDAY, "UTC") == date(2030, 6, 3)


def test_an_issue_is_the_same_in_a_digest() -> None:
    """Fields stay fields and literal braces literal; a picture is its description."""
    source = (
        "# Rye\n\nDear {{ first_name | default('you') }}: [rye](https://example.com/?a=1&b=2) "
        "![A loaf](loaf.png) \\{{ braces }} 1 < 2\n\n{% if name > 'A' %}Hi{% else %}Oh{% endif %}"
    )
    issue = Issue(
        id=UUID(int=7),
        subject="A & \\{{b}} {{ name }}",
        source=source,
        format="markdown",
        public=True,
        images=["loaf.png"],
        settled=True,
        goes=True,
        kept=True,
    )
    text = composed("", [issue], "https://b.example/archive")
    message = compile_message(
        Draft(subject="Week", source=text, kind="html", purpose="Letter", list_id="l.example"),
        Letterhead(
            name="B", legal_name="B", postal_address="Here", sender_name="B",
            sender_address="a@b.example", locale="en",
        ),
    )  # fmt: skip
    read = message.preview({"name": "Nora", "first_name": ""})
    for words in ("A & {{b}} Nora", "Dear you: rye", "A loaf {{ braces }} 1 < 2", "Hi"):
        assert words in read.text
    for link in (f"https://b.example/archive/{UUID(int=7)}", "https://example.com/?a=1&b=2"):
        assert link in read.text
    assert message.warnings == ()
    # Which issue it is stands in the digest's text, and in no mail.
    assert str(UUID(int=7)) in text
    assert "<!-- issue" not in read.html


async def offered(database: Database, shop: Shop, *weekly: UUID) -> Member:
    """Let staff offer a digest, and these readers choose it."""
    async with database.write(shop.business.id) as db:
        who = await make.owner(db)
        await campaigns.offer_digest(db, who.actor, shop.purposes[0], PLAN)
        for reader in weekly:
            await rhythm.choose_digest(db, reader, shop.purposes[0], weekly=True)
    return who


async def issue(database: Database, shop: Shop, subject: str, **changes: Any) -> Campaign:
    """Start an issue and write down whom it is for."""
    given = {"source": f"# About {subject}\n\nDear {{{{ first_name | default('you') }}}}."}
    async with database.write(shop.business.id) as db:
        new = NewCampaign(purpose_id=shop.purposes[0], subject=subject, **given | changes)
        campaign = await campaigns.draft(db, make.SYSTEM, new)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    await jobs.fill(ctx(database, 1), str(shop.business.id), str(campaign.id))
    return campaign


async def made(database: Database, shop: Shop) -> list[UUID]:
    async with database.write(shop.business.id) as db:
        return await campaigns.make_digests(db, shop.purposes[0])


async def gone(database: Database, shop: Shop, campaign_id: UUID, relay: Smtpd) -> None:
    """Let a scheduled digest start and be sent, as the sweeps do."""
    here = ctx(database, relay.port)
    await jobs._start_scheduled(here, shop.business.id, campaign_id)  # noqa: SLF001
    await jobs.fill(here, str(shop.business.id), str(campaign_id))
    await jobs.send(here, str(shop.business.id), str(campaign_id))


async def test_a_week_of_issues_comes_in_one_mail(database: Database) -> None:
    """Single issues leave her out for it; the digest has their texts, goes once, and adds up."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 3)
    weekly, *_ = shop.readers
    who = await offered(now, shop, weekly)
    async with smtpd() as relay:
        rye = await issue(now, shop, "Rye & *oats*", public=True)
        html = "<h1>Cake</h1><p>On <a href='https://example.com/cake'>Sundays</a>.</p>"
        cake = await issue(now, shop, "Cake", source=html, format="html")
        for each in (rye, cake):
            counts = await worked(now, shop, each, relay)
            assert (counts.sent, counts.reasons) == (2, {"digest": 1})
        assert await made(now, shop) == []

        (digest,) = await made(friday, shop)
        assert await made(friday, shop) == []
        await gone(friday, shop, digest, relay)
    async with friday.read(shop.business.id) as db:
        sent = await campaigns.get(db, digest)
        counts = await campaigns.recount(db, digest)
        assert counts == await campaigns.counts(db, digest)
        (line,) = [each for each in await campaigns.page(db) if each.digest]
        assert await campaigns.verdicts(db, digest)
        warrants = [each.event_id async for each in campaigns.export(db, weekly)]
        assert warrants[0] is not None
    assert (sent.state, sent.approved_by, line.id) == (State.done, who.id, digest)
    assert (counts.audience, counts.sent) == (1, 1)
    assert len(relay.messages) == 5
    mail = message_from_bytes(relay.messages[-1].content, policy=policy.default)
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert mail["Subject"] == "The week, Reader"
    for words in ("Rye & *oats*", "Dear Reader.", "Sundays", f"/archive/{rye.id}"):
        assert words in text
    assert f"/archive/{cake.id}" not in text


async def test_she_reads_where_an_issue_went(database: Database) -> None:
    """It comes with the digest; then that is made, and has gone, or has not gone to her."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    stays, leaves = shop.readers
    await offered(now, shop, stays, leaves)
    await issue(now, shop, "Rye")
    due = await _mails(now, shop, stays)
    (digest,) = await made(friday, shop)
    waits = await _mails(friday, shop, stays)
    async with friday.write(shop.business.id) as db:
        who = Actor.customer(leaves)
        await consent.withdraw(db, who, leaves, shop.purposes[0], method=Method.portal)
    async with smtpd() as relay:
        await gone(friday, shop, digest, relay)

    assert "it comes in your digest of" in due
    assert "your digest, which has not been sent" in waits
    assert f'it was in <a href="/me/mails/{digest}">' in await _mails(friday, shop, stays)
    assert "your digest, which did not go to you" in await _mails(friday, shop, leaves)


async def _mails(database: Database, shop: Shop, reader: UUID) -> str:
    async with database.read(shop.business.id) as db:
        me = await customers.get(db, reader)
    async with client(database, shop.business, me=me) as portal:
        return (await portal.get("/me/mails")).text


async def test_a_week_without_an_issue_has_no_digest(database: Database) -> None:
    """Nor one in which nobody was left out for it; the next week begins all the same."""
    now = at(database, TUESDAY)
    shop = await opened(now, 2)
    await offered(now, shop)
    await issue(now, shop, "Rye")
    assert await made(at(database, FRIDAY), shop) == []
    async with now.write(shop.business.id) as db:
        (plan,) = await campaigns.digest_plans(db)
        await rhythm.choose_digest(db, shop.readers[0], shop.purposes[0], weekly=True)
    assert plan.due_at == FRIDAY + timedelta(days=7)
    assert await made(at(database, plan.due_at), shop) == []


async def test_who_chooses_after_the_list_was_written_gets_that_issue_singly(
    database: Database,
) -> None:
    """And who goes back to single issues still gets what was kept for her."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 3)
    stays, leaves, late = shop.readers
    await offered(now, shop, stays, leaves)
    campaign = await issue(now, shop, "Rye")
    async with now.write(shop.business.id) as db:
        await rhythm.choose_digest(db, late, shop.purposes[0], weekly=True)
        await rhythm.choose_digest(db, leaves, shop.purposes[0], weekly=False)
    async with smtpd() as relay:
        counts = await worked(now, shop, campaign, relay)
        assert (counts.sent, counts.reasons) == (1, {"digest": 2})
        (digest,) = await made(friday, shop)
        await gone(friday, shop, digest, relay)
        async with friday.read(shop.business.id) as db:
            assert (await campaigns.recount(db, digest)).sent == 2
        next_one = await worked(friday, shop, await issue(friday, shop, "Cake"), relay)
    assert (next_one.sent, next_one.reasons) == (1, {"digest": 2})


async def test_a_digest_obeys_her_rhythm_and_her_leaving(database: Database) -> None:
    """It takes a place of the week as any campaign does; who has left meanwhile is left out."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    modest, leaving = shop.readers
    await offered(now, shop, modest, leaving)
    await issue(now, shop, "Rye")
    async with now.write(shop.business.id) as db:
        await rhythm.change(db, modest, Wanted(None, FRIDAY + 10 * HOUR))
    (digest,) = await made(friday, shop)
    async with now.write(shop.business.id) as db:
        who = Actor.customer(leaving)
        await consent.withdraw(db, who, leaving, shop.purposes[0], method=Method.portal)
    async with smtpd() as relay:
        await gone(friday, shop, digest, relay)
        async with friday.read(shop.business.id) as db:
            counts = await campaigns.recount(db, digest)
        assert (counts.deferred, counts.reasons) == (1, {"withdrawn": 1})
        later = at(database, FRIDAY + 10 * HOUR)
        await jobs.send(ctx(later, relay.port), str(shop.business.id), str(digest))
    async with later.read(shop.business.id) as db:
        assert (await campaigns.recount(db, digest)).sent == 1


async def test_two_workers_make_one_digest(database: Database, root: asyncpg.Connection) -> None:
    """The second waits for the first; and PostgreSQL keeps a week to one."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 1)
    await offered(now, shop, *shop.readers)
    await issue(now, shop, "Rye")
    ids = await asyncio.gather(made(friday, shop), made(friday, shop))
    assert sorted(len(each) for each in ids) == [0, 1]
    with pytest.raises(asyncpg.UniqueViolationError):
        await root.execute(
            "INSERT INTO crm.digest (business_id, purpose_id, week, campaign_id, first_id, issues,"
            " made_at) SELECT g.business_id, g.purpose_id, g.week, c.campaign_id, c.campaign_id,"
            " g.issues, g.made_at FROM crm.digest g JOIN crm.campaign c USING (business_id)"
            " WHERE business_id = $1 AND c.campaign_id = ANY (g.issues)",
            shop.business.id,
        )


async def test_a_digest_that_is_long_overdue_is_held(database: Database) -> None:
    """News of last week surprises nobody: staff decide."""
    now, late = at(database, TUESDAY), at(database, FRIDAY + 20 * HOUR)
    shop = await opened(now, 1)
    await offered(now, shop, *shop.readers)
    await issue(now, shop, "Rye")
    (digest,) = await made(late, shop)
    await jobs._start_scheduled(ctx(late, 1), shop.business.id, digest)  # noqa: SLF001
    async with late.read(shop.business.id) as db:
        assert (await campaigns.get(db, digest)).state is State.held


async def test_only_staff_switch_it_on_and_off_it_leaves_a_draft(database: Database) -> None:
    """Once it is off nothing starts by itself, and nobody is left out for it any more."""
    now = at(database, TUESDAY)
    shop = await opened(now, 2)
    async with now.write(shop.business.id) as db:
        with pytest.raises(NotAPerson):
            await campaigns.offer_digest(db, make.SYSTEM, shop.purposes[0], PLAN)
        with pytest.raises(NotOffered):
            await rhythm.choose_digest(db, shop.readers[0], shop.purposes[0], weekly=True)
    who = await offered(now, shop, shop.readers[0])
    await issue(now, shop, "Rye")
    async with now.write(shop.business.id) as db:
        (left,) = await campaigns.stop_digest(db, who.actor, shop.purposes[0])
        assert (await campaigns.get(db, left)).state is State.draft
        assert (await campaigns.review(db, left)).will_get == 1
    assert await made(at(database, FRIDAY), shop) == []
    async with smtpd() as relay:
        assert (await worked(now, shop, await issue(now, shop, "Cake"), relay)).sent == 2


async def test_it_is_stopped_again_in_the_same_week(database: Database) -> None:
    """Each time leaves what was kept since; offered once more, the week has its digest too."""
    now = at(database, TUESDAY)
    shop = await opened(now, 3)
    who = await offered(now, shop, shop.readers[0])
    left: list[UUID] = []
    for subject in ("Rye", "Cake"):
        await issue(now, shop, subject)
        async with now.write(shop.business.id) as db:
            left += await campaigns.stop_digest(db, who.actor, shop.purposes[0])
            await campaigns.offer_digest(db, who.actor, shop.purposes[0], PLAN)
    await issue(now, shop, "Buns")
    (digest,) = await made(at(database, FRIDAY), shop)

    async with now.read(shop.business.id) as db:
        texts = [(await campaigns.get(db, each)).source for each in (*left, digest)]
    for text, its_own in zip(texts, ("Rye", "Cake", "Buns"), strict=True):
        assert [each for each in ("Rye", "Cake", "Buns") if each in text] == [its_own]


async def test_it_is_stopped_while_an_issue_leaves_out_whoever_chose_it(
    database: Database, shared_cluster: Cluster
) -> None:
    """Stopping waits, and then leaves that issue as a draft: else they would never get it."""
    now = at(database, TUESDAY)
    shop = await opened(now, 3)
    who = await offered(now, shop, shop.readers[0])
    async with now.write(shop.business.id) as db:
        new = NewCampaign(purpose_id=shop.purposes[0], subject="Rye", source="Rye, dear reader.")
        rye = await campaigns.draft(db, make.SYSTEM, new)
        await campaigns.start(db, make.SYSTEM, rye.id)

    async def stopped() -> list[UUID]:
        async with now.write(shop.business.id) as db:
            return await campaigns.stop_digest(db, who.actor, shop.purposes[0])

    async with now.write(shop.business.id) as db:
        assert await filling.fill_piece(db, rye.id, 100)
        stopping = asyncio.create_task(stopped())
        await until_waiting(shared_cluster, 1)
    (left,) = await stopping

    async with now.read(shop.business.id) as read:
        assert (await campaigns.counts(read, rye.id)).reasons == {"digest": 1}
        assert (await campaigns.review(read, left)).will_get == 1


async def test_the_review_knows_who_takes_the_digest(database: Database) -> None:
    """Its forecast is what the start then writes down."""
    now = at(database, TUESDAY)
    shop = await opened(now, 3)
    await offered(now, shop, shop.readers[0])
    async with now.write(shop.business.id) as db:
        campaign = await make.campaign(db, shop.purposes[0])
        review = await campaigns.review(db, campaign.id)
    assert (review.will_get, review.left_out, review.audience) == (2, {"digest": 1}, 3)


async def test_the_pages_of_both_sides(
    database: Database, business: Business, console: Browser, site: Any
) -> None:
    """Staff switch it on by a form, she chooses it on her page, and both see what is so."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        (nora,) = await make.audience(db, notice, 1)
        her = await customers.get(db, nora)
    path = f"/staff/digests/{notice.purpose_id}"
    wrong = await console.fill(path, weekday="8", hour="9", subject="")
    assert wrong.status_code == 422
    kept = await console.fill(path, weekday="5", hour="9", subject="The week", intro="")
    assert kept.headers["location"] == "/staff/digests"
    assert "Switched on by Olga Owner" in (await console.get("/staff/digests")).text
    async with Browser(site, business.origin) as browser:
        await make.let_in_as_customer(database, business, her, browser)
        field = f"digest-{notice.purpose_id}"
        assert 'value="singly" checked' in (await browser.get("/me/rhythm")).text
        fields = {"budget": "0", "pause": "none", "locale": "", field: "weekly"}
        assert (await browser.fill("/me/rhythm", **fields)).status_code == 303
        assert 'value="weekly" checked' in (await browser.get("/me/rhythm")).text
    assert (await console.fill(path, f"{path}/end")).headers["location"] == "/staff/digests"
    async with database.read(business.id) as db:
        assert await campaigns.digest_plans(db) == []
        assert len(await campaigns.digest_choices(db, nora)) == 1


async def test_an_issue_that_goes_offers_a_digest(database: Database) -> None:
    """In the name of whoever lets it go, once; what staff switch off, no later issue offers."""
    now = at(database, TUESDAY)
    shop = await opened(now)
    purpose, (reader,) = shop.purposes[0], shop.readers
    async with now.write(shop.business.id) as db:
        olga, other = await make.owner(db), await make.owner(db)

    async def goes(by: Actor) -> list[campaigns.Offer]:
        async with now.write(shop.business.id) as db:
            campaign = await make.campaign(db, purpose)
            await campaigns.start(db, by, campaign.id, despite_gaps=True)
            return await campaigns.digests_offered(db, reader)

    # A program can let an issue go, and no digest.
    assert await goes(make.SYSTEM) == []
    (offer,) = await goes(olga.actor)
    assert (offer.purpose_id, offer.due_at, offer.chosen) == (purpose, FRIDAY, False)
    await goes(other.actor)
    async with now.write(shop.business.id) as db:
        (plan,) = await campaigns.digest_plans(db)
        assert (plan.switched_by, plan.subject) == (
            olga.id,
            "The Corner Letter: the week in one mail",
        )
        await rhythm.choose_digest(db, reader, purpose, weekly=True)
        await campaigns.stop_digest(db, other.actor, purpose)
        with pytest.raises(NotAPerson):
            await campaigns.stop_digest(db, make.SYSTEM, purpose)
    assert await goes(olga.actor) == []
    async with now.write(shop.business.id) as db:
        assert await campaigns.digests_off(db) == {purpose}
        assert await campaigns.make_digests(db, purpose) == []
        await campaigns.offer_digest(db, olga.actor, purpose, PLAN)
    assert len(await goes(olga.actor)) == 1
