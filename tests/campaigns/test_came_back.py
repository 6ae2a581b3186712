"""What comes back after a relay took it counts for the circuit breaker, too."""

from __future__ import annotations

import pytest

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import State, breaker, jobs
from crm.db import Database
from tests.campaigns.test_relays import context, counted, relay, sent
from tests.campaigns.test_send import started
from tests.smtpd import smtpd


@pytest.mark.parametrize(
    ("hard", "complaint", "words"),
    [(True, False, "no such mailbox"), (False, True, "reported the mail as unwanted")],
)
async def test_a_campaign_pauses_by_what_came_back(
    database: Database,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
    *,
    hard: bool,
    complaint: bool,
    words: str,
) -> None:
    """The relay takes all it is given; nobody more is mailed once the bound is reached."""
    monkeypatch.setattr(breaker, "COMPLAINTS_AFTER", 10)
    monkeypatch.setattr(breaker, "HARD_AFTER", 10)
    campaign_id, ids = await started(database, business, 40)
    async with smtpd() as server:
        await relay(database, business, server.port, daily_cap=20)
        assert (await sent(context(database, range=10), business, campaign_id)).sent == 20
        async with database.write(business.id) as db:
            for each in ids[:15]:
                await campaigns.came_back(db, campaign_id, each, complaint=complaint, hard=hard)
            # Another day.
            await db._conn.execute("UPDATE crm.relay SET daily_cap = 0")  # noqa: SLF001
            await db._conn.execute("UPDATE crm.lease SET due_at = now()")  # noqa: SLF001
        await jobs.send(context(database, range=10), str(business.id), str(campaign_id))
    async with database.read(business.id) as db:
        found = await campaigns.get(db, campaign_id)
        why = (await campaigns.course(db, campaign_id)).paused_why

    assert found.state is State.paused
    assert words in why
    assert (await counted(database, business, campaign_id)).waiting == 20
