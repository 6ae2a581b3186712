"""What began goes on only while the settings allow it: its basis, and its sender's domain."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from litestar.types import ASGIApp

from crm import businesses, campaigns, consent, customers, events, segments
from crm.businesses import Business, NewBusiness
from crm.campaigns import Counts, State, filling, jobs
from crm.consent import Basis, Circumstances, Method, SoftOptInOff
from crm.db import Database
from crm.events import Actor, Kind
from crm.mail import sending_domains
from crm.mail.sending_domain import About, DomainNotReady, Finding, Severity
from tests import make
from tests.browser import Browser
from tests.campaigns.test_send import settings, started
from tests.smtpd import Smtpd, smtpd

SHOP = Actor.key(UUID(int=9), "Shop")
_YES = '<span class="tag yes">Yes</span>'
NEVER_CHECKED = "letter@never-checked.example"


async def _set(database: Database, business: Business, **changes: Any) -> None:
    """Change the settings as they are now."""
    async with database.write(business.id) as db:
        present = msgspec.structs.asdict(await businesses.get(db))
        known = {name: present[name] for name in NewBusiness.__struct_fields__}
        await businesses.change(db, make.SYSTEM, NewBusiness(**known | changes))


async def _told_at_a_sale(database: Database, count: int = 3) -> tuple[Business, UUID, list[UUID]]:
    """A business that mails its buyers, and who they are."""
    business = await make.business(database, soft_opt_in=True)
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, basis=Basis.soft_opt_in)
        notice = await make.notice(db, purpose.id)
        how = Circumstances(Method.api, evidence={"order": "4711"})
        ids = [(await make.customer(db)).id for _ in range(count)]
        for each in ids:
            await consent.tell_at_sale(db, SHOP, each, notice.question, how)
    return business, purpose.id, ids


async def _filled(database: Database, business: Business, campaign_id: UUID) -> None:
    ctx: jobs.Ctx = {"database": database, "settings": settings(1), "sending": asyncio.Lock()}
    await jobs.fill(ctx, str(business.id), str(campaign_id))


async def _sent(
    database: Database, business: Business, campaign_id: UUID, relay: Smtpd
) -> tuple[State, Counts]:
    """Send what may be sent; what the campaign does then, and its counted rows."""
    ctx: jobs.Ctx = {
        "database": database,
        "settings": settings(relay.port),
        "sending": asyncio.Lock(),
    }
    await jobs.send(ctx, str(business.id), str(campaign_id))
    async with database.read(business.id) as db:
        state = (await campaigns.get(db, campaign_id)).state
        return state, await campaigns.recount(db, campaign_id)


async def _begun(database: Database, business: Business, purpose_id: UUID) -> UUID:
    async with database.write(business.id) as db:
        campaign = await make.campaign(db, purpose_id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    await _filled(database, business, campaign.id)
    return campaign.id


async def test_a_basis_that_is_switched_off_mails_nobody(database: Database) -> None:
    """It pauses in that transaction, and goes on with nobody lost once it is on again."""
    business, purpose_id, ids = await _told_at_a_sale(database)
    campaign_id = await _begun(database, business, purpose_id)
    await _set(database, business, soft_opt_in=False)
    async with database.write(business.id) as db:
        course = await campaigns.course(db, campaign_id)
        noted = await events.page(db)
        with pytest.raises(SoftOptInOff):
            await campaigns.resume(db, make.SYSTEM, campaign_id)
    async with smtpd() as relay:
        off, waits = await _sent(database, business, campaign_id, relay)
        none = len(relay.messages)
        await _set(database, business, soft_opt_in=True)
        async with database.write(business.id) as db:
            await campaigns.resume(db, make.SYSTEM, campaign_id)
        on, done = await _sent(database, business, campaign_id, relay)

    assert "Soft opt-in was switched off" in course.paused_why
    assert Kind.campaign_paused in {each.kind for each in noted}
    assert (off, waits.waiting, none) == (State.paused, len(ids), 0)
    assert (on, done.sent) == (State.done, len(ids))


async def test_what_began_at_that_moment_is_held(
    database: Database, root: asyncpg.Connection
) -> None:
    """Where the pause did not see it, it is seen before the first range is sent."""
    business, purpose_id, ids = await _told_at_a_sale(database)
    campaign_id = await _begun(database, business, purpose_id)
    off = "UPDATE crm.business SET soft_opt_in = false WHERE business_id = $1"
    await root.execute(off, business.id)
    async with smtpd() as relay:
        state, counts = await _sent(database, business, campaign_id, relay)

    assert (state, counts.waiting, len(relay.messages)) == (State.paused, len(ids), 0)


async def test_other_campaigns_go_on(database: Database, business: Business) -> None:
    await _set(database, business, soft_opt_in=True)
    campaign_id, ids = await started(database, business, 3)
    await _filled(database, business, campaign_id)
    await _set(database, business, soft_opt_in=False)
    async with smtpd() as relay:
        state, counts = await _sent(database, business, campaign_id, relay)

    assert (state, counts.sent) == (State.done, len(ids))


async def test_checks_reads_segments_and_sending_agree(database: Database) -> None:
    """What was told at a sale stands, and allows nothing while the settings let it not."""
    business, purpose_id, ids = await _told_at_a_sale(database)

    async def said() -> list[object]:
        async with database.write(business.id) as db:
            one = await consent.check(db, ids[0], purpose_id)
            many = await consent.check_many(db, purpose_id, ids)
            hers = await consent.allowed(db, ids[0])
            draft = await make.campaign(db, purpose_id)
            review = await campaigns.review(db, draft.id)
            chosen = [
                (
                    await segments.count(
                        db, {"test": "consent", "purpose_id": str(purpose_id), "state": state}
                    )
                ).customers
                for state in ("allowed", "ended")
            ]
        reasons = {one.reason, *(each.reason for each in many), *(each.reason for each in hers)}
        return [reasons, review.will_get, review.left_out, chosen]

    on = await said()
    await _set(database, business, soft_opt_in=False)
    off = await said()

    assert on == [{None}, 3, {}, [3, 0]]
    assert off == [{"soft_opt_in_off"}, 0, {"soft_opt_in_off": 3}, [0, 3]]


async def test_pages_say_what_rests_on_a_sale_as_sending_does(
    site: ASGIApp, database: Database
) -> None:
    """While it is off nobody reads that she is mailed; she can object all the same."""
    business, purpose_id, ids = await _told_at_a_sale(database, 1)
    async with database.read(business.id) as db:
        her = await customers.get(db, ids[0])
    async with Browser(site, business.origin) as staff, Browser(site, business.origin) as web:
        await make.let_in_as_owner(database, business, staff)
        await make.let_in_as_customer(database, business, her, web)
        record = f"/staff/customers/{her.id}"
        await staff.fill(record, f"{record}/look", usual="question")

        async def said() -> list[object]:
            tab = (await staff.get(f"{record}/consent")).text
            hers = (await web.get("/me/consent")).text
            return [
                _YES in tab,
                "let nothing rest on a sale" in tab,
                "<b>Nothing is sent</b> at present" in hers,
                "each issue comes when it is written" in (await web.get("/me/rhythm")).text,
                f"/me/consent/{purpose_id}/withdrawal" in hers,
            ]

        on = await said()
        await _set(database, business, soft_opt_in=False)
        off = await said()

    assert on == [True, False, False, True, True]
    assert off == [False, True, True, False, True]


async def test_whose_deliveries_are_written_while_it_is_off_are_left_out(
    database: Database,
) -> None:
    business, purpose_id, ids = await _told_at_a_sale(database)
    async with database.write(business.id) as db:
        campaign = await make.campaign(db, purpose_id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    await _set(database, business, soft_opt_in=False)
    async with database.write(business.id) as db:
        await filling.fill_piece(db, campaign.id, 10)
        counts = await campaigns.recount(db, campaign.id)

    assert counts.reasons == {"soft_opt_in_off": len(ids)}


async def test_the_rest_does_not_come_from_a_domain_that_was_never_checked(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """It would be unsigned: it waits until the sender's domain is right."""
    campaign_id, ids = await started(database, business, 5)
    await _filled(database, business, campaign_id)
    await _set(database, business, sender_address=NEVER_CHECKED)
    async with smtpd() as relay:
        state, counts = await _sent(database, business, campaign_id, relay)
        none = len(relay.messages)
        async with database.write(business.id) as db:
            course = await campaigns.course(db, campaign_id)
            with pytest.raises(DomainNotReady):
                await campaigns.resume(db, make.SYSTEM, campaign_id)
            domain = sending_domains.domain_of(NEVER_CHECKED)
            await sending_domains.confirm(db, make.SYSTEM, domain)
            await campaigns.resume(db, make.SYSTEM, campaign_id)
        # Whoever held it has let its range lie.
        await root.execute("UPDATE crm.lease SET expires_at = 'epoch' WHERE holder IS NOT NULL")
        done, sums = await _sent(database, business, campaign_id, relay)

    assert (state, counts.waiting, none) == (State.paused, len(ids), 0)
    assert "never-checked.example is not among your sending domains" in course.paused_why
    assert (done, sums.sent) == (State.done, len(ids))


@pytest.mark.parametrize("blocks", [False, True])
async def test_a_look_of_long_ago_stops_only_a_start(
    database: Database, business: Business, root: asyncpg.Connection, *, blocks: bool
) -> None:
    """What that look found to be wrong stops what is under way, too."""
    campaign_id, ids = await started(database, business, 3)
    await _filled(database, business, campaign_id)
    await _looked_at_long_ago(database, business, root, blocks=blocks)
    async with database.read(business.id) as db:
        old = await sending_domains.not_ready(db, business)
    async with smtpd() as relay:
        state, counts = await _sent(database, business, campaign_id, relay)

    assert old is not None
    assert state is (State.paused if blocks else State.done)
    assert counts.sent == (0 if blocks else len(ids))


@pytest.mark.parametrize("signs", [True, False])
async def test_a_question_that_dns_did_not_answer_stops_only_a_start(
    database: Database, business: Business, *, signs: bool
) -> None:
    """One resolver that is away must not pause everybody; but nothing goes out unsigned."""
    campaign_id, ids = await started(database, business, 3)
    await _filled(database, business, campaign_id)
    domain = sending_domains.domain_of(business.sender_address)
    silent = Finding(Severity.blocks, About.dns, "DNS did not say what TXT records it has.")
    async with database.write(business.id) as db:
        await sending_domains.revoke(db, make.SYSTEM, domain)
        made = {each.selector for each in await sending_domains.keys(db, domain)}
        seen = frozenset(made if signs else ())
        await sending_domains.keep(db, domain, [silent], seen)
        starts = await sending_domains.not_ready(db, business) is None
    async with smtpd() as relay:
        state, counts = await _sent(database, business, campaign_id, relay)

    assert not starts
    assert state is (State.done if signs else State.paused)
    assert counts.sent == (len(ids) if signs else 0)


async def _looked_at_long_ago(
    database: Database, business: Business, root: asyncpg.Connection, *, blocks: bool
) -> None:
    domain = sending_domains.domain_of(business.sender_address)
    wrong = [Finding(Severity.blocks, About.dkim, "There is no record.")] if blocks else []
    async with database.write(business.id) as db:
        await sending_domains.revoke(db, make.SYSTEM, domain)
        await sending_domains.keep(db, domain, wrong, frozenset())
        long_ago = db.now - timedelta(days=400)
    aged = "UPDATE crm.sending_domain SET checked_at = $2 WHERE business_id = $1"
    await root.execute(aged, business.id, long_ago)


async def test_staff_are_told_why_it_does_not_go_on(
    database: Database, business: Business, console: Browser
) -> None:
    campaign_id, _ = await started(database, business, 3)
    await _filled(database, business, campaign_id)
    async with database.write(business.id) as db:
        await campaigns.pause(db, make.SYSTEM, campaign_id)
    await _set(database, business, sender_address=NEVER_CHECKED)
    progress = f"/staff/campaigns/{campaign_id}/progress"
    answer = await console.fill(progress, f"/staff/campaigns/{campaign_id}/resumption")
    shown = (await console.get(progress)).text

    assert answer.status_code == 303
    assert "is not among your sending domains" in shown
