"""The trust page: what is asked for, and sums that name nobody, counted from what happened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from litestar.types import ASGIApp

from crm import campaigns, consent, trust
from crm.businesses import Business
from crm.consent import Method, Notice
from crm.db import Database
from crm.events import Actor
from crm.trust import ENOUGH, Figures
from tests import make
from tests.browser import Browser
from tests.imports.lists import letter, take

MANY = ENOUGH + 20


async def _sent(
    database: Database, business: Business, root: asyncpg.Connection, count: int
) -> tuple[Notice, list[UUID]]:
    """Let a campaign have gone out to so many, a minute ago, each hand-over within a second."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        ids = await make.audience(db, notice, count)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    await root.execute(
        """INSERT INTO crm.delivery (business_id, campaign_id, customer_id, state, claimed_at,
                                     done_at, attempt, event_id, notice_id)
           SELECT s.business_id, $2, s.customer_id, 'sent', now() - interval '60 seconds',
                  now() - interval '59 seconds', 1, s.event_id, s.notice_id
             FROM crm.consent s WHERE s.business_id = $1""",
        business.id,
        campaign.id,
    )
    await root.execute(
        """INSERT INTO crm.lease (business_id, campaign_id, number, low, high, cursor, due_at,
                                  waiting, sent, excluded, complaints)
           VALUES ($1, $2, 1, $4, $5, $5, now(), 0, $3, 0, 3)""",
        business.id,
        campaign.id,
        count,
        UUID(int=0),
        UUID(int=2**128 - 1),
    )
    return notice, ids


async def _leave(
    database: Database,
    business: Business,
    root: asyncpg.Connection,
    who: Sequence[UUID],
    notice: Notice,
    *,
    before: float,
) -> None:
    """Let customers leave so many seconds before their mail was handed over."""
    for each in who:
        async with database.write(business.id) as db:
            by = Actor.customer(each)
            await consent.withdraw(db, by, each, notice.purpose_id, method=Method.portal)
    await root.execute(
        """UPDATE crm.consent s SET at = d.done_at - $3::interval FROM crm.delivery d
            WHERE s.business_id = $1 AND s.customer_id = ANY ($2::uuid[])
              AND d.business_id = $1 AND d.customer_id = s.customer_id""",
        business.id,
        list(who),
        timedelta(seconds=before),
    )


async def _counted(database: Database, business: Business) -> Figures:
    async with database.write(business.id) as db:
        await trust.count(db)
    async with database.read(business.id) as db:
        figures = (await trust.shown(db)).figures
    assert figures is not None
    return figures


async def test_the_figures_are_those_of_the_rows(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """Ten leave: four before any mail, four long after theirs, two while it was on its way."""
    notice, ids = await _sent(database, business, root, MANY)
    await _leave(database, business, root, ids[:4], notice, before=100)
    await _leave(database, business, root, ids[4:8], notice, before=-10)
    await _leave(database, business, root, ids[8:10], notice, before=0.5)
    figures = await _counted(database, business)

    assert (figures.campaigns, figures.readers, figures.mails) == (1, MANY, MANY)
    # Who left before any mail was no reader yet.
    assert (figures.withdrawals, figures.on_the_way, figures.complaints) == (6, 2, 3)
    assert figures.lag_median == 0
    assert figures.lag_p99 == pytest.approx(0.5)
    assert figures.of_thousand(figures.withdrawals) == round(6_000 / MANY, 1)
    assert [each.mails for each in figures.months] == [MANY]


async def test_what_staff_said_later_is_no_lag(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """An uncertain mail, resolved days after its reader left, was not on its way for days."""
    notice, ids = await _sent(database, business, root, MANY)
    await _leave(database, business, root, ids[:2], notice, before=0.5)
    await root.execute(
        "UPDATE crm.delivery SET done_at = done_at + interval '3 days', resolved_by = $2"
        " WHERE business_id = $1",
        business.id,
        UUID(int=1),
    )
    figures = await _counted(database, business)

    assert (figures.withdrawals, figures.on_the_way, figures.lag_p99) == (2, 0, 0)


async def test_who_left_a_former_tool_never_left_us(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """The opt-outs of a list are nobody who read us, also where a mail had gone to some of them."""
    notice, ids = await _sent(database, business, root, MANY)
    await _leave(database, business, root, ids[:2], notice, before=0.5)
    await letter(database, business.id)
    gone = "".join(f"old{number}@example.com,unsubscribed\n" for number in range(30))
    await take(database, business.id, f"Email Address,Status\n{gone}")
    by_list = "UPDATE crm.consent SET method = 'import' WHERE business_id = $1 AND customer_id = $2"
    await root.execute(by_list, business.id, ids[0])
    figures = await _counted(database, business)

    assert (figures.withdrawals, figures.on_the_way) == (1, 1)
    assert figures.lag_median == pytest.approx(0.5)


async def test_a_no_to_what_mails_nobody_is_no_reader_who_left(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """A use of data has no readers; nor has a purpose that has not been mailed for yet."""
    _, ids = await _sent(database, business, root, MANY)
    async with database.write(business.id) as db:
        for channel in ("none", "email"):
            purpose = await make.purpose(db, channel=channel, double_opt_in=False)
            await make.notice(db, purpose.id)
            by = Actor.customer(ids[0])
            await consent.withdraw(db, by, ids[0], purpose.id, method=Method.portal)
    figures = await _counted(database, business)

    assert (figures.withdrawals, figures.on_the_way) == (0, 0)


async def test_what_is_over_does_not_count(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """A campaign of half a year ago is in its month, and in no rate."""
    notice, ids = await _sent(database, business, root, MANY)
    await _leave(database, business, root, ids[:2], notice, before=0.5)
    await root.execute(
        "UPDATE crm.consent SET at = at - interval '100 days' WHERE business_id = $1", business.id
    )
    await root.execute(
        "UPDATE crm.campaign SET started_at = started_at - interval '100 days'"
        " WHERE business_id = $1",
        business.id,
    )
    figures = await _counted(database, business)

    assert (figures.mails, figures.withdrawals, figures.enough) == (0, 0, False)
    # A month without a mail is a month.
    assert [each.mails for each in figures.months] == [MANY, *[0] * (len(figures.months) - 1)]
    assert len(figures.months) in {4, 5}


async def test_everybody_sees_the_words_and_the_sums(
    database: Database, business: Business, root: asyncpg.Connection, site: ASGIApp
) -> None:
    """Without signing in, without a cookie; each version of a text with its digest."""
    first, ids = await _sent(database, business, root, MANY)
    await _leave(database, business, root, ids[:6], first, before=0.5)
    async with database.write(business.id) as db:
        newer = await make.notice(db, first.purpose_id, text="Yes, twice a month from now on.")
    await _counted(database, business)
    async with Browser(site, business.origin) as anybody:
        answer = await anybody.get("/trust")

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "no-store" not in answer.headers["cache-control"]
    for said in (
        newer.text,
        newer.sha256.hex(),
        first.text,
        first.sha256.hex(),
        str(MANY),
        "<dd>50</dd>",
    ):
        assert said in answer.text, said
    assert answer.text.index(newer.text) < answer.text.index("Earlier words")
    assert "example.com" not in re.sub(r"privacy@[\w.-]+", "", answer.text)


async def test_few_readers_are_nobodys_business(
    database: Database, business: Business, root: asyncpg.Connection, site: ASGIApp
) -> None:
    """One reader below the threshold, and before anything was counted: words, and no rates."""
    async with Browser(site, business.origin) as anybody:
        before = await anybody.get("/trust")
        notice, ids = await _sent(database, business, root, ENOUGH - 1)
        await _leave(database, business, root, ids[:7], notice, before=0.5)
        await _counted(database, business)
        after = await anybody.get("/trust")

    assert before.status_code == after.status_code == 200
    for answer in (before, after):
        assert "Too few mails" in answer.text
        assert "so many readers left" not in answer.text
        assert "Mails a month" not in answer.text


async def test_it_is_counted_business_by_business(
    database: Database,
    business: Business,
    other_business: Business,
    root: asyncpg.Connection,
) -> None:
    await _sent(database, business, root, MANY)
    assert (await _counted(database, other_business)).mails == 0
    assert (await _counted(database, business)).mails == MANY
