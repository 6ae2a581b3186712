"""A domain that is written with letters slows down like any other, and holds up nobody else."""

from __future__ import annotations

from crm import campaigns
from crm.businesses import Business
from crm.db import Database
from tests import make
from tests.campaigns.test_relays import SYSTEM, context, counted, relay, sent, waits
from tests.campaigns.test_send import started
from tests.smtpd import smtpd


async def test_a_domain_with_a_sharp_s_that_slows_down(
    database: Database, business: Business
) -> None:
    """Nobody else waits for it; neither in this campaign nor in the next, where its own wait."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        await make.audience(db, notice, 1, domain="straße.de")
        first = await make.campaign(db, purpose.id)
        await campaigns.start(db, SYSTEM, first.id)
    async with smtpd() as server:
        server.fails_for("reader0@xn--strae-oqa.de", "rcpt", "451 4.7.1 Too fast")
        await relay(database, business, server.port)
        assert (await sent(context(database), business, first.id)).waiting == 1
        second, _ = await started(database, business, 60)
        await sent(context(database), business, second)
        async with database.write(business.id) as db:
            third = await make.campaign(db, purpose.id)
            await campaigns.start(db, SYSTEM, third.id)
        await sent(context(database), business, third.id)
    assert (await counted(database, business, second)).sent == 60
    assert await waits(database, business, third.id) == {"domain xn--strae-oqa.de": 1}
