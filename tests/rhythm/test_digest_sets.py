"""What a digest is made of: for each reader what was kept for her, whatever records are merged."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from crm import campaigns, consent, customers, mail, privacy, rhythm, segments
from crm.businesses import Business
from crm.campaigns import State, filling, jobs
from crm.consent import Method
from crm.customers import NewTag
from crm.db import Database
from crm.events import Actor
from crm.privacy import merging
from crm.segments import NewSegment
from tests import make
from tests.browser import Browser
from tests.rhythm.test_digest import FRIDAY, HOUR, PLAN, TUESDAY, gone, issue, made, offered
from tests.rhythm.test_obey import Shop, at, ctx, opened, worked
from tests.smtpd import Message, Smtpd, smtpd


async def segment_of(database: Database, shop: Shop, name: str, *readers: UUID) -> UUID:
    """Return a segment of just these readers."""
    async with database.write(shop.business.id) as db:
        tag = NewTag(label=name, purpose="Advice.", retention="P1Y")
        await customers.declare_tag(db, make.SYSTEM, name, tag)
        for each in readers:
            await customers.put_tag(db, make.SYSTEM, each, name)
        rule = {"test": "tag", "name": name}
        return (await segments.add(db, make.SYSTEM, NewSegment(name=name, rule=rule))).id


async def written(database: Database, shop: Shop, campaign_id: UUID) -> None:
    """Start a digest and write down whom it is for, without sending it."""
    here = ctx(database, 1)
    await jobs._start_scheduled(here, shop.business.id, campaign_id)  # noqa: SLF001
    await jobs.fill(here, str(shop.business.id), str(campaign_id))


async def address_of(database: Database, shop: Shop, reader: UUID) -> str:
    async with database.read(shop.business.id) as db:
        return (await customers.get(db, reader)).address


async def merged(database: Database, shop: Shop, kept: UUID, other: UUID) -> None:
    async with database.write(shop.business.id) as db:
        await merging.merge(db, make.SYSTEM, kept, other)


def mailed(relay: Smtpd) -> dict[str, bytes]:
    """What went to each, which is one mail."""
    by = {each.recipients[0]: each.content for each in relay.messages}
    assert len(by) == len(relay.messages)
    return by


def subjects(mail: Message | bytes) -> set[str]:
    content = mail if isinstance(mail, bytes) else mail.content
    return {each for each in ("Rye", "Cake", "Buns") if f"About {each}".encode() in content}


async def test_an_issue_for_a_segment_stays_in_it(database: Database) -> None:
    """Each reader gets one digest, of what was kept for her; forecast and sums are of it alone."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 4)
    regular, *others = shop.readers
    await offered(now, shop, *shop.readers)
    segment = await segment_of(now, shop, "regular", regular)
    await issue(now, shop, "Rye", segment_id=segment)
    await issue(now, shop, "Cake")
    digests = await made(friday, shop)
    assert await made(friday, shop) == []
    async with friday.read(shop.business.id) as db:
        assert [(await campaigns.review(db, each)).will_get for each in digests] == [3, 1]
    async with smtpd() as relay:
        for each in digests:
            await gone(friday, shop, each, relay)

    async with friday.read(shop.business.id) as db:
        counts = [await campaigns.counts(db, each) for each in digests]
        assert counts == [await campaigns.recount(db, each) for each in digests]
        addresses = {each: (await customers.get(db, each)).address for each in shop.readers}
    assert [(each.audience, each.sent) for each in counts] == [(3, 3), (1, 1)]
    by = mailed(relay)
    assert subjects(by[addresses[regular]]) == {"Rye", "Cake"}
    assert [subjects(by[addresses[each]]) for each in others] == [{"Cake"}] * 3


async def test_an_issue_that_she_got_singly_is_not_in_her_digest(database: Database) -> None:
    """She chose the digest in mid-week; others have it with both issues, and their pages say so."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    weekly, late = shop.readers
    await offered(now, shop, weekly)
    async with smtpd() as relay:
        await worked(now, shop, await issue(now, shop, "Rye"), relay)
        async with now.write(shop.business.id) as db:
            await rhythm.choose_digest(db, late, shop.purposes[0], weekly=True)
        await issue(now, shop, "Cake")
    async with smtpd() as relay:
        for each in await made(friday, shop):
            await gone(friday, shop, each, relay)

    by = mailed(relay)
    assert subjects(by[await address_of(now, shop, weekly)]) == {"Rye", "Cake"}
    assert subjects(by[await address_of(now, shop, late)]) == {"Cake"}
    async with friday.read(shop.business.id) as db:
        for reader, kept in ((weekly, 2), (late, 1)):
            me = await customers.get(db, reader)
            lines = await campaigns.grounded(db, me, await campaigns.mails(db, me))
            found = [each.digest for each in lines if each.digest]
            assert len(found) == kept
            assert {(each.digest, each.state) for each in found} == {
                (line.mail.id, line.mail.state)
                for line in lines
                if line.mail.subject.startswith("The week")
            }


async def test_a_set_has_one_digest_in_a_week(database: Database, root: asyncpg.Connection) -> None:
    """PostgreSQL keeps to that as well."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    await offered(now, shop, *shop.readers)
    segment = await segment_of(now, shop, "regular", shop.readers[0])
    await issue(now, shop, "Rye", segment_id=segment)
    cake = await issue(now, shop, "Cake")
    assert len(await made(friday, shop)) == 2
    with pytest.raises(asyncpg.UniqueViolationError, match="digest_of_set"):
        await root.execute(
            "INSERT INTO crm.digest (business_id, purpose_id, week, campaign_id, first_id, issues,"
            " made_at) SELECT business_id, purpose_id, week, $1, first_id, issues, made_at"
            " FROM crm.digest WHERE business_id = $2 AND campaign_id <> first_id",
            cake.id,
            shop.business.id,
        )


async def test_what_was_kept_for_a_record_comes_to_the_one_it_is_merged_into(
    database: Database,
) -> None:
    """Also where she had left the digest since."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    await offered(now, shop, *shop.readers)
    await issue(now, shop, "Rye")
    addresses = []
    for other, weekly in zip(shop.readers, (True, False), strict=True):
        async with at(database, TUESDAY + 2 * HOUR).write(shop.business.id) as db:
            kept = await make.customer(db)
            (notice,) = await consent.notices(db, shop.purposes[0])
            await consent.give(db, make.SYSTEM, kept.id, notice.question, make.ELSEWHERE)
            await rhythm.choose_digest(db, other, shop.purposes[0], weekly=weekly)
            await merging.merge(db, make.SYSTEM, kept.id, other)
            choices = await campaigns.digest_choices(db, kept.id)
        assert [each.left_at is None for each in choices] == [weekly]
        addresses.append(kept.address)
    async with smtpd() as relay:
        (digest,) = await made(friday, shop)
        async with friday.read(shop.business.id) as db:
            assert (await campaigns.review(db, digest)).will_get == 2
        await gone(friday, shop, digest, relay)
    assert set(mailed(relay)) == set(addresses)


async def test_what_another_of_her_records_got_is_not_in_her_digest(database: Database) -> None:
    """It was sent to the one that is kept, and kept for the one that goes."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    kept, other = shop.readers
    await offered(now, shop, other)
    async with smtpd() as relay:
        await worked(now, shop, await issue(now, shop, "Rye"), relay)
    await issue(now, shop, "Cake", segment_id=await segment_of(now, shop, "regular", other))
    await merged(at(database, TUESDAY + HOUR), shop, kept, other)
    async with smtpd() as relay:
        (digest,) = await made(friday, shop)
        await gone(friday, shop, digest, relay)
    assert [subjects(each) for each in relay.messages] == [{"Cake"}]


@pytest.mark.parametrize("first", [0, 1, 2])
async def test_two_are_merged_before_their_digests_are_written(
    database: Database, first: int
) -> None:
    """There is none of both their sets: she gets one of them, whichever is written first."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 4)
    kept, other, *_ = shop.readers
    await offered(now, shop, *shop.readers)
    for number, subject in enumerate(("Rye", "Cake", "Buns")):
        own = [shop.readers[number], shop.readers[2]]
        segment = await segment_of(now, shop, subject.lower(), *own)
        await issue(now, shop, subject, segment_id=segment)
    digests = await made(friday, shop)
    assert len(digests) == 3
    await merged(friday, shop, kept, other)
    async with smtpd() as relay:
        for each in digests[first:] + digests[:first]:
            await gone(friday, shop, each, relay)
    by = mailed(relay)
    assert len(by) == 2
    assert len(subjects(by[await address_of(now, shop, kept)])) == 1
    assert subjects(by[await address_of(now, shop, shop.readers[2])]) == {"Rye", "Cake", "Buns"}


async def test_two_are_merged_between_their_digests(database: Database) -> None:
    """The one has gone; the other is not sent, whether it was written by then or not."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    for is_written in (False, True):
        shop = await opened(now, 2)
        await offered(now, shop, *shop.readers)
        for reader, subject in zip(shop.readers, ("Rye", "Cake"), strict=True):
            segment = await segment_of(now, shop, subject.lower(), reader)
            await issue(now, shop, subject, segment_id=segment)
        digests = await made(friday, shop)
        async with smtpd() as relay:
            await gone(friday, shop, digests[0], relay)
            if is_written:
                await written(friday, shop, digests[1])
            by = mailed(relay)
            readers = {await address_of(now, shop, each): each for each in shop.readers}
            (went,) = by
            other = readers.pop(went)
            (kept,) = readers.values()
            await merged(friday, shop, kept, other)
            if is_written:
                here = ctx(friday, relay.port)
                await jobs.send(here, str(shop.business.id), str(digests[1]))
            else:
                await gone(friday, shop, digests[1], relay)
            assert len(relay.messages) == 1
        async with friday.read(shop.business.id) as db:
            counts = await campaigns.recount(db, digests[1])
            assert counts == await campaigns.counts(db, digests[1])
        assert counts.reasons == ({"merged": 1} if is_written else {})


async def test_one_that_is_written_past_her_is_not_hers(database: Database) -> None:
    """Merged when the digest with most for her was written, she gets the other one."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 4)
    both, rye, *cake = shop.readers
    await offered(now, shop, *shop.readers)
    segment = await segment_of(now, shop, "rye", both, rye)
    await issue(now, shop, "Rye", segment_id=segment)
    segment = await segment_of(now, shop, "cake", both, *cake)
    await issue(now, shop, "Cake", segment_id=segment)
    digests = await made(friday, shop)
    async with friday.read(shop.business.id) as db:
        texts = [(await campaigns.get(db, each)).source for each in digests]
    (of_both,) = [
        each
        for each, text in zip(digests, texts, strict=True)
        if "About Rye" in text and "About Cake" in text
    ]
    async with smtpd() as relay:
        await gone(friday, shop, of_both, relay)
        await merged(friday, shop, cake[0], rye)
        for each in digests:
            if each != of_both:
                await gone(friday, shop, each, relay)
    by = mailed(relay)
    assert set(by) == {await address_of(now, shop, each) for each in (both, *cake)}
    assert len(subjects(by[await address_of(now, shop, cake[0])])) == 1


async def test_the_review_says_whom_it_leaves_out_as_it_is_written_then(database: Database) -> None:
    """Whoever may get no mail any more is of her set, but for the erased; so is a merged one."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 9)
    gone_since, frozen, bounced, both, erased, kept, other, *_ = shop.readers
    await offered(now, shop, *shop.readers)
    await issue(now, shop, "Rye", segment_id=await segment_of(now, shop, "r", *shop.readers[:7]))
    await issue(now, shop, "Cake")
    digests = await made(friday, shop)
    await merged(friday, shop, kept, other)
    async with friday.write(shop.business.id) as db:
        portal = Actor.customer(gone_since)
        await consent.withdraw(db, portal, gone_since, shop.purposes[0], method=Method.portal)
        for each in (frozen, both):
            await customers.restrict(db, make.SYSTEM, each)
        for each in (bounced, both):
            address = (await customers.get(db, each)).address
            hashed = db.keys.address_hash(db.business_id, customers.fold(address))
            await mail.suppress(db, make.SYSTEM, hashed, mail.Scope.all, mail.Why.bounced)
        await privacy.erase(db, make.SYSTEM, erased)
        reviews = [await campaigns.review(db, each) for each in digests]
    for each in digests:
        await written(friday, shop, each)
    async with friday.read(shop.business.id) as db:
        counts = [await campaigns.recount(db, each) for each in digests]
    assert [each.left_out for each in reviews] == [each.reasons for each in counts]
    assert [each.will_get for each in reviews] == [each.waiting for each in counts] == [1, 2]
    assert reviews[0].left_out == {"withdrawn": 1, "frozen": 2, "suppressed": 1}


async def test_a_piece_with_nobody_of_hers_is_passed(database: Database) -> None:
    """Each piece is of so many who chose the digest, whomever of them it is for."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 6)
    last = max(shop.readers, key=lambda each: each.bytes)
    await offered(now, shop, *shop.readers)
    await issue(now, shop, "Rye", segment_id=await segment_of(now, shop, "regular", last))
    await issue(now, shop, "Cake")
    (_, digest) = await made(friday, shop)
    await jobs._start_scheduled(ctx(friday, 1), shop.business.id, digest)  # noqa: SLF001
    pieces = 0
    more = True
    while more:
        async with friday.write(shop.business.id) as db:
            more = await filling.fill_piece(db, digest, 2)
        pieces += more
    async with friday.read(shop.business.id) as db:
        counts = await campaigns.recount(db, digest)
        assert counts == await campaigns.counts(db, digest)
    assert (pieces, counts.audience) == (3, 1)


async def test_each_is_left_as_a_draft_where_the_digest_is_switched_off(
    database: Database, business: Business, console: Browser
) -> None:
    """And staff are led to the list, where all of them are."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        readers = await make.audience(db, notice, 2)
    shop = Shop(business, readers, [notice.purpose_id])
    await offered(database, shop, *readers)
    segment = await segment_of(database, shop, "regular", readers[0])
    await issue(database, shop, "Rye", segment_id=segment)
    await issue(database, shop, "Cake")
    path = f"/staff/digests/{notice.purpose_id}"
    answer = await console.fill(path, f"{path}/end")
    assert answer.headers["location"] == "/staff/campaigns"
    async with database.read(business.id) as db:
        left = [each for each in await campaigns.page(db) if each.digest]
        reviews = [await campaigns.review(db, each.id) for each in left]
    assert {(each.subject, each.state) for each in left} == {(PLAN.subject, State.draft)}
    assert [each.will_get for each in reviews] == [1, 1]


async def test_stopped_in_a_week_of_several_it_goes_on_with_the_next(database: Database) -> None:
    """What was left as drafts is not in the digests of the same week that come after."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    regular, _ = shop.readers
    who = await offered(now, shop, *shop.readers)
    segment = await segment_of(now, shop, "regular", regular)
    await issue(now, shop, "Rye", segment_id=segment)
    await issue(now, shop, "Cake")
    async with now.write(shop.business.id) as db:
        left = await campaigns.stop_digest(db, who.actor, shop.purposes[0])
        await campaigns.offer_digest(db, who.actor, shop.purposes[0], PLAN)
    later = at(database, TUESDAY + timedelta(hours=1))
    await issue(later, shop, "Buns")
    digests = await made(friday, shop)
    assert (len(left), len(digests)) == (2, 1)
    async with smtpd() as relay:
        await gone(friday, shop, digests[0], relay)
    assert [subjects(each) for each in relay.messages] == [{"Buns"}, {"Buns"}]
