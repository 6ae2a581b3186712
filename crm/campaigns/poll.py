"""One question to the readers of a campaign, answered without saying who one is.

Each answer is a link, the same in everybody's mail. So nobody is known who answered, and whoever
answers twice counts twice: the price of asking nothing else. Staff may press as well, so answers
alone hide no reader among others; only how many have the mail does.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from crm.campaigns.tree import Node
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid, NotFound, Problem

sql = Statements("campaigns")

# Fewer mails, or answers in all, say nothing; of a kind they are told in such steps, for fewer may
# say who gave them, and a number that moves with each press says when one did.
ENOUGH, STEP = 20, 5
_MOST = 5
_LONGEST = 100


class NoPoll(NotFound):
    """There is no such question, or not any more."""


class Poll(Struct, frozen=True):
    """What is asked in a mail, and where each answer leads."""

    question: str
    answers: tuple[str, ...]
    links: tuple[str, ...]


class Asked(Struct, frozen=True, kw_only=True):
    """A question as its page shows it."""

    question: str
    answers: list[str]
    started_at: datetime | None


class Hidden(StrEnum):
    """Why no answer is shown."""

    few_mails = "few_mails"
    few_answers = "few_answers"
    # Some are given twice, or by somebody who has no mail: nobody knows which.
    more_than_mails = "more_than_mails"


class Answer(Struct, frozen=True):
    """How often one answer was given, rounded down to fives; None where it was fewer than five."""

    answer: str
    given: int | None


class Result(Struct, frozen=True):
    """What came of a question, or why nothing is shown of it.

    `given` adds up what is shown: with more in it, an answer could be worked out. It is null as
    long as none is.
    """

    question: str
    given: int | None
    answers: list[Answer]
    hidden: Hidden | None = None


class _Given(Struct, frozen=True):
    answer: int
    given: int


def checked(question: str, answers: list[str]) -> tuple[str, list[str]]:
    """Return what was typed if it can be asked, or refuse; nothing typed is nothing asked."""
    question = " ".join(question.split())
    answers = [" ".join(answer.split()) for answer in answers if answer.strip()]
    if not question and not answers:
        return "", []
    sentence = ""
    if not question:
        sentence = "Write the question to these answers, or take the answers away."
    elif not 1 < len(answers) <= _MOST:
        sentence = f"A question has two to {_MOST} answers, each in a line."
    elif len(set(answers)) < len(answers):
        sentence = "Two answers are the same."
    elif max(map(len, answers)) > _LONGEST:
        sentence = f"An answer has at most {_LONGEST} characters."
    if sentence:
        raise Invalid(sentence, [Problem("answers" if question else "question", sentence)])
    return question, answers


def link(origin: str, campaign_id: UUID, number: int) -> str:
    """Return where an answer leads: the same for everybody."""
    return f"{origin}/poll/{campaign_id}/{number}"


def block(poll: Poll) -> list[Node | str]:
    """Return the question as it stands under the text of a mail."""
    items: list[Node | str] = [
        Node("li", {}, [Node("a", {"href": href}, [answer])])
        for answer, href in zip(poll.answers, poll.links, strict=True)
    ]
    return [
        Node("hr", {}, []),
        Node("p", {}, [Node("strong", {}, [poll.question])]),
        Node("ul", {}, items),
    ]


async def asked(db: ReadDb, campaign_id: UUID, number: int) -> Asked:
    """Return the question of a campaign that has started, or refuse with NoPoll."""
    found = await db.maybe(sql.poll, Asked, campaign_id=campaign_id)
    if found is None or found.started_at is None or not 1 <= number <= len(found.answers):
        raise NoPoll
    return found


async def answer(db: Db, campaign_id: UUID, number: int) -> None:
    """Count one answer; of whom nothing is known, and nothing is kept."""
    await asked(db, campaign_id, number)
    await db.run(sql.count_answer, campaign_id=campaign_id, answer=number)


async def result(db: ReadDb, campaign_id: UUID) -> Result | None:
    """Return what came of a campaign's question, or None where it asks none."""
    found = await db.maybe(sql.poll, Asked, campaign_id=campaign_id)
    if found is None or not found.question:
        return None
    counted = await db.many(sql.answers, _Given, campaign_id=campaign_id)
    given = {each.answer: each.given for each in counted}
    sent = await db.one(sql.mails_sent, int, campaign_id=campaign_id)
    if hidden := _hidden(sent, sum(given.values())):
        return Result(found.question, None, [], hidden)
    shown = [
        Answer(text, given.get(place, 0) // STEP * STEP or None)
        for place, text in enumerate(found.answers, start=1)
    ]
    return Result(found.question, sum(each.given or 0 for each in shown), shown)


def _hidden(sent: int, answers: int) -> Hidden | None:
    if sent < ENOUGH:
        return Hidden.few_mails
    if answers < ENOUGH:
        return Hidden.few_answers
    return Hidden.more_than_mails if answers > sent else None
