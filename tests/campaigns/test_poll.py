"""One question: answered by a press, by nobody in particular, and shown once there are enough."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from litestar.types import ASGIApp

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import filling, poll
from crm.campaigns.composing import compiled
from crm.campaigns.invented import invented
from crm.campaigns.poll import Hidden, NoPoll
from crm.campaigns.verdict import findings
from crm.db import Database, Db
from crm.errors import Invalid
from tests import make
from tests.browser import Browser
from tests.campaigns.site import client, drafted, member
from tests.campaigns.test_render import SLOTS, read

QUESTION, ANSWERS = "Which bread next?", ["Rye", "Spelt & oats", "Neither"]


async def _asking(database: Database, business: Business, *, start: bool = True) -> UUID:
    campaign, _, _ = await drafted(database, business, 1, question=QUESTION, answers=ANSWERS)
    if start:
        async with database.write(business.id) as db:
            await campaigns.start(db, make.SYSTEM, campaign.id)
    return campaign.id


async def test_every_mail_leads_to_the_same_pages(database: Database, business: Business) -> None:
    """In both parts, and nothing in it tells one reader from another."""
    campaign_id = await _asking(database, business, start=False)
    async with database.read(business.id) as db:
        campaign = await campaigns.get(db, campaign_id)
        message = await compiled(db, campaign)
        found = await findings(db, campaign, message)
    _, text, html = read(message.bytes_for(invented(message), SLOTS))
    links = [f"{business.origin}/poll/{campaign_id}/{number}" for number in (1, 2, 3)]
    assert [link in text and link in html for link in links] == [True] * 3
    assert "Spelt &amp; oats" in html
    assert QUESTION in text
    assert found == ()


async def test_opening_counts_nothing_and_a_press_does(
    database: Database, business: Business, site: ASGIApp
) -> None:
    """A scanner that follows every link answers nothing (promise 8); no cookie is asked for."""
    campaign_id = await _asking(database, business)
    path = f"/poll/{campaign_id}/2"
    async with Browser(site, business.origin) as anybody:
        shown = await anybody.get(path)
        assert shown.status_code == 200
        assert "Spelt &amp; oats" in shown.text
        assert await _given(database, business, campaign_id) == 0

        answered = await anybody.post(path)
    assert answered.status_code == 200
    assert "Counted" in answered.text
    assert not re.search("set-cookie", str(answered.headers), re.IGNORECASE)
    assert await _given(database, business, campaign_id) == 1


@pytest.mark.parametrize("number", [0, 4, 99])
async def test_what_was_not_asked_is_not_answered(
    database: Database, business: Business, number: int
) -> None:
    """An answer that is not there, and a campaign that has not begun."""
    running = await _asking(database, business)
    draft = await _asking(database, business, start=False)
    async with database.write(business.id) as db:
        with pytest.raises(NoPoll):
            await poll.answer(db, running, number)
        with pytest.raises(NoPoll):
            await poll.answer(db, draft, 1)


async def test_numbers_are_shown_when_they_tell_of_nobody(
    database: Database, business: Business, root: Any
) -> None:
    """From twenty on; and an answer that few gave stays a few."""
    campaign_id = await _handed_over(database, business, root, 21)
    async with database.write(business.id) as db:
        await _give(db, campaign_id, 1, 15)
        await _give(db, campaign_id, 2, 4)
        early = await poll.result(db, campaign_id)
        await _give(db, campaign_id, 1, 1)
        found = await poll.result(db, campaign_id)
    assert early is not None
    assert (early.given, early.answers, early.hidden) == (None, [], Hidden.few_answers)
    assert found is not None
    assert (found.given, found.hidden) == (15, None)
    assert [(each.answer, each.given) for each in found.answers] == [
        ("Rye", 15),
        ("Spelt & oats", None),
        ("Neither", None),
    ]


async def test_answers_of_others_hide_no_reader(
    database: Database, business: Business, root: Any
) -> None:
    """Staff may press as often as they like: what counts is how many have the mail."""
    campaign_id = await _handed_over(database, business, root, 19)
    async with database.write(business.id) as db:
        await _give(db, campaign_id, 1, 16)
        await _give(db, campaign_id, 2, 4)
        await poll.answer(db, campaign_id, 2)
        found = await poll.result(db, campaign_id)
    assert found == poll.Result(QUESTION, None, [], Hidden.few_mails)


async def test_no_press_is_seen_to_arrive(
    database: Database, business: Business, root: Any
) -> None:
    """In steps of five; the sum too, or it would tell what they do not."""
    campaign_id = await _handed_over(database, business, root, 30)
    async with database.write(business.id) as db:
        await _give(db, campaign_id, 1, 15)
        await _give(db, campaign_id, 2, 5)
        before = await poll.result(db, campaign_id)
        for number in (1, 2, 3):
            await poll.answer(db, campaign_id, number)
        after = await poll.result(db, campaign_id)
    assert before is not None
    assert before.given == 20
    assert after == before


async def test_more_answers_than_mails_are_not_of_readers_alone(
    database: Database, business: Business, root: Any
) -> None:
    """Nobody can tell which are repeated, so staff read that instead of numbers."""
    campaign_id = await _handed_over(database, business, root, 20)
    async with database.write(business.id) as db:
        await _give(db, campaign_id, 1, 20)
        enough = await poll.result(db, campaign_id)
        await poll.answer(db, campaign_id, 1)
        found = await poll.result(db, campaign_id)
    assert enough is not None
    assert enough.given == 20
    assert found == poll.Result(QUESTION, None, [], Hidden.more_than_mails)
    who = await member(database, business)
    async with client(database, business, who=who) as console:
        shown = await console.get(f"/staff/campaigns/{campaign_id}/figures")
    assert "more answers than mails" in shown.text


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("", ["Yes", "No"]),
        ("Well?", ["Yes"]),
        ("Well?", ["Yes", " Yes "]),
        ("Well?", list("abcdef")),
        ("Well?", ["Yes", "x" * 101]),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    database: Database, business: Business, question: str, answers: list[str]
) -> None:
    """When it is written, with what to do."""
    with pytest.raises(Invalid):
        await drafted(database, business, 0, question=question, answers=answers)


async def _handed_over(database: Database, business: Business, root: Any, mails: int) -> UUID:
    """A campaign that asks, as if so many had been sent."""
    campaign_id = await _asking(database, business)
    async with database.write(business.id) as db:
        while await filling.fill_piece(db, campaign_id, 20):
            pass
    sent = "UPDATE crm.lease SET sent = $2, waiting = 0 WHERE campaign_id = $1"
    await root.execute(sent, campaign_id, mails)
    return campaign_id


async def _give(db: Db, campaign_id: UUID, number: int, times: int) -> None:
    for _ in range(times):
        await poll.answer(db, campaign_id, number)


async def _given(database: Database, business: Business, campaign_id: UUID) -> int:
    async with database.read(business.id) as db:
        rows = await db.many(poll.sql.answers, dict, campaign_id=campaign_id)
    return sum(row["given"] for row in rows)
