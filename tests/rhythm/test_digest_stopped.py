"""An issue that was stopped is in no digest until it goes on, and what was cancelled never is."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from crm import businesses, campaigns, rhythm
from crm.businesses import NewBusiness
from crm.campaigns import Campaign, State, jobs
from crm.campaigns.canary import sql
from crm.campaigns.digests import IssueStopped
from crm.db import Database
from tests import make
from tests.rhythm.test_digest import FRIDAY, PLAN, TUESDAY, _mails, gone, issue, made, offered
from tests.rhythm.test_obey import Shop, at, ctx, opened
from tests.smtpd import smtpd

WEEK = timedelta(days=7)


async def paused(database: Database, shop: Shop, campaign: Campaign) -> None:
    async with database.write(shop.business.id) as db:
        await campaigns.pause(db, make.SYSTEM, campaign.id, why="0.5 % reported it as unwanted")


async def texts(database: Database, shop: Shop, digests: list[UUID]) -> list[str]:
    async with database.read(shop.business.id) as db:
        return [(await campaigns.get(db, each)).source for each in digests]


async def sending(database: Database, shop: Shop, subject: str) -> Campaign:
    """Start an issue that is still on its way to a reader without the digest."""
    campaign = await issue(database, shop, subject)
    async with database.read(shop.business.id) as db:
        assert (await campaigns.get(db, campaign.id)).state is State.sending
    return campaign


async def test_a_paused_issue_comes_when_it_goes_on(database: Database) -> None:
    """However long that takes, and though whoever it was kept for has left the digest since."""
    now = at(database, TUESDAY)
    shop = await opened(now, 2)
    reader = shop.readers[0]
    await offered(now, shop, reader)
    rye, _ = await sending(now, shop, "Rye"), await sending(now, shop, "Cake")
    await paused(now, shop, rye)
    friday = at(database, FRIDAY)
    (digest,) = await made(friday, shop)
    (text,) = await texts(friday, shop, [digest])
    assert ("About Rye" in text, "About Cake" in text) == (False, True)
    assert "which has not been sent" in await _mails(friday, shop, reader)
    async with friday.write(shop.business.id) as db:
        await rhythm.choose_digest(db, reader, shop.purposes[0], weekly=False)
    for weeks in range(1, 8):
        assert await made(at(database, FRIDAY + weeks * WEEK), shop) == []
    late = at(database, FRIDAY + 7.5 * WEEK)
    async with late.write(shop.business.id) as db:
        await campaigns.resume(db, make.SYSTEM, rye.id)
    assert "it comes in your digest of" in await _mails(late, shop, reader)
    (digest,) = await made(at(database, FRIDAY + 8 * WEEK), shop)
    (text,) = await texts(late, shop, [digest])
    assert ("About Rye" in text, "About Cake" in text) == (True, False)


@pytest.mark.parametrize("arrives", ["changed", "not", "as it was"])
async def test_an_issue_waits_for_its_canary(database: Database, arrives: str) -> None:
    """One that arrived changed never begins; one that passes is in the next digest."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    await offered(now, shop, shop.readers[0])
    async with now.write(shop.business.id) as db:
        kept = {name: getattr(shop.business, name) for name in NewBusiness.__struct_fields__}
        new = NewBusiness(**kept | {"canary": "seed@example.com"})
        await businesses.change(db, make.SYSTEM, new)
    rye = await issue(now, shop, "Rye")
    differences = [{"what": "a pixel"}] if arrives == "changed" else []
    if arrives == "changed":
        async with now.write(shop.business.id) as db:
            await db.run(sql.land_canary, campaign_id=rye.id, differences=differences, remarks=[])
    assert await made(friday, shop) == []
    if arrives == "as it was":
        async with friday.write(shop.business.id) as db:
            await db.run(sql.land_canary, campaign_id=rye.id, differences=[], remarks=[])
        # Until it has begun nothing is decided.
        assert await made(at(database, FRIDAY + WEEK), shop) == []
        await jobs.fill(ctx(friday, 1), str(shop.business.id), str(rye.id))
    later = await made(at(database, FRIDAY + WEEK), shop)
    assert len(later) == (arrives == "as it was")


@pytest.mark.parametrize("cancelled", [True, False])
async def test_an_issue_is_stopped_before_its_digest_starts(
    database: Database, *, cancelled: bool
) -> None:
    """It is read again then: it starts once the issue goes on, or is not in its text any more."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    who = await offered(now, shop, shop.readers[0])
    rye, _ = await sending(now, shop, "Rye & oats"), await sending(now, shop, "Cake")
    (digest,) = await made(friday, shop)
    await paused(friday, shop, rye)
    async with smtpd() as relay:
        await gone(friday, shop, digest, relay)
        assert relay.messages == []
        async with friday.write(shop.business.id) as db:
            found = await campaigns.hindrances(db, await campaigns.get(db, digest))
            assert [each.code for each in found] == ["issue_stopped"]
            with pytest.raises(IssueStopped):
                await campaigns.start(db, who.actor, digest, despite_gaps=True)
        async with friday.write(shop.business.id) as db:
            if cancelled:
                await campaigns.cancel(db, make.SYSTEM, rye.id)
                draft = await campaigns.unschedule(db, who.actor, digest)
                kept = {
                    name: getattr(draft, name) for name in campaigns.NewCampaign.__struct_fields__
                }
                *_, cake = draft.source.rpartition("<hr>")
                new = campaigns.NewCampaign(**kept | {"source": cake})
                await campaigns.change(db, who.actor, digest, new, version=draft.version)
                await campaigns.start(db, make.SYSTEM, digest)
            else:
                await campaigns.resume(db, make.SYSTEM, rye.id)
        await gone(friday, shop, digest, relay)
    (mail,) = relay.messages
    assert (b"About Rye" in mail.content) is not cancelled
    assert b"About Cake" in mail.content


@pytest.mark.parametrize("cut", [True, False])
async def test_an_issue_is_known_by_more_than_its_subject(database: Database, *, cut: bool) -> None:
    """Another of the same subject goes, and no other heading lets a cancelled one go."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    who = await offered(now, shop, shop.readers[0])
    rye, _ = await sending(now, shop, "Rye"), await sending(now, shop, "Rye")
    (digest,) = await made(friday, shop)
    async with friday.write(shop.business.id) as db:
        await campaigns.cancel(db, make.SYSTEM, rye.id)
        draft = await campaigns.unschedule(db, who.actor, digest)
        *_, first, last = draft.source.split("<hr>")
        assert str(rye.id) in first
        text = last if cut else draft.source.replace(">Rye<", ">Rye bread<")
        kept = {name: getattr(draft, name) for name in campaigns.NewCampaign.__struct_fields__}
        new = campaigns.NewCampaign(**kept | {"source": text})
        changed = await campaigns.change(db, who.actor, digest, new, version=draft.version)
        found = await campaigns.hindrances(db, changed)
    assert [each.code for each in found] == ([] if cut else ["issue_stopped"])


async def test_a_stopped_digest_leaves_what_is_paused_to_staff(database: Database) -> None:
    """In the draft, and not once more in the digest when that is offered again."""
    now = at(database, TUESDAY)
    shop = await opened(now, 2)
    who = await offered(now, shop, shop.readers[0])
    rye = await sending(now, shop, "Rye")
    await paused(now, shop, rye)
    async with now.write(shop.business.id) as db:
        (left,) = await campaigns.stop_digest(db, who.actor, shop.purposes[0])
        await campaigns.offer_digest(db, who.actor, shop.purposes[0], PLAN)
        await campaigns.resume(db, make.SYSTEM, rye.id)
    assert "About Rye" in (await texts(now, shop, [left]))[0]
    assert await made(at(database, FRIDAY), shop) == []


async def test_she_reads_that_an_issue_was_cancelled(database: Database) -> None:
    """And no day is promised for it, nor for one that is too old for any digest."""
    now = at(database, TUESDAY)
    shop = await opened(now, 2)
    reader = shop.readers[0]
    await offered(now, shop, reader)
    rye = await sending(now, shop, "Rye")
    assert "it comes in your digest of" in await _mails(now, shop, reader)
    async with now.write(shop.business.id) as db:
        await campaigns.cancel(db, make.SYSTEM, rye.id)
    for week in range(4):
        assert await made(at(database, FRIDAY + week * WEEK), shop) == []
    page = await _mails(at(database, FRIDAY + 3.5 * WEEK), shop, reader)
    assert "it comes in your digest of" not in page
    assert "it was kept for your digest, and then cancelled" in page
