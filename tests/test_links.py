"""Promise 8: scanners may open every link of every mail; nothing changes on GET or HEAD."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

import asyncpg
import pytest

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import jobs as campaigns_jobs
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor
from crm.letterbox.letter import parse
from crm.mail import jobs as mail_jobs
from tests import make
from tests.browser import Browser
from tests.campaigns.test_send import settings
from tests.conftest import Cluster
from tests.smtpd import Smtpd, smtpd

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


async def _everything(cluster: Cluster, business: Business) -> dict[str, list[str]]:
    """Read every row of every table that belongs to the business."""
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'crm'")
        found = {}
        for (table,) in tables:
            rows = await conn.fetch(
                f"SELECT t::text FROM crm.{table} t WHERE business_id = $1 ORDER BY 1",  # noqa: S608
                business.id,
            )
            found[table] = [row[0] for row in rows]
        return found
    finally:
        await conn.close()


async def _mails(
    database: Database, business: Business, web: Browser, customer: Customer, relay: Smtpd
) -> None:
    """Have every kind of mail sent: a newsletter, a confirmation and a way into the portal."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        await make.audience(db, await make.notice(db, purpose.id), 2)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, Actor.system(), campaign.id)
        owner = await make.owner(db)
        await campaigns.try_out(db, owner.actor, campaign.id, owner.address)
    form = await web.get("/sign-up")
    fields = dict(_HIDDEN.findall(form.text))
    typed = {"email": "new@example.org", "name": "", "purpose": purpose.slug}
    answer = await web.post("/sign-up", data=fields | typed)
    while answer.status_code == 422:
        # Faster than a person reads: the form asks for another press.
        await asyncio.sleep(0.5)
        answer = await web.post("/sign-up", data=dict(_HIDDEN.findall(answer.text)) | typed)
    asked = await web.post("/sign-in", data={"address": customer.address})
    assert asked.status_code in {200, 303}, asked.text
    ctx: campaigns_jobs.Ctx = {
        "database": database,
        "settings": settings(relay.port),
        "sending": asyncio.Lock(),
    }
    await campaigns_jobs.fill(ctx, str(business.id), str(campaign.id))
    await campaigns_jobs.send(ctx, str(business.id), str(campaign.id))
    letters: mail_jobs.Ctx = {"database": database, "settings": ctx["settings"]}
    await mail_jobs.deliver(letters, str(business.id))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_opening_every_link_changes_nothing(  # noqa: PLR0917  (fixtures)
    database: Database,
    shared_cluster: Cluster,
    business: Business,
    web: Browser,
    customer: Customer,
    method: str,
) -> None:
    """Every link of every caught mail, then the whole database compared."""
    async with smtpd() as relay:
        await _mails(database, business, web, customer, relay)
    letters = [parse(message.content) for message in relay.messages]
    ours = urlsplit(business.origin).netloc
    links = {link for letter in letters for link in letter.links if urlsplit(link).netloc == ours}
    before = await _everything(shared_cluster, business)
    statuses = {
        link: (await web.request(method, link.removeprefix(business.origin))).status_code
        for link in links
    }
    after = await _everything(shared_cluster, business)

    assert len(letters) == 5, [letter.subject for letter in letters]
    kinds = {urlsplit(link).path.split("/")[1] for link in links}
    assert kinds >= {"u", "p", "why", "confirm", "sign-in"}
    assert set(statuses.values()) == {200}, statuses
    assert after == before
