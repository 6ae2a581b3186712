"""The page behind an answer of a poll: a press counts it, opening it does not (promise 8)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm.campaigns import poll
from crm.db import Db, ReadDb
from crm.web.csrf import same_site
from crm.web.pages import page
from crm.web.ratelimit import Limit

# A household may answer; a program that votes all day may not. Redis knows the network for as long
# as the limit lasts, and nobody else does.
_OFTEN = Limit("poll", quota=10, seconds=3600)


@get("/poll/{campaign:uuid}/{number:int}")
async def get_answer(
    db: NamedDependency[ReadDb], campaign: FromPath[UUID], number: FromPath[int]
) -> Response[Any]:
    """Ask whether this is meant; a scanner that opens the link answers nothing."""
    asked = await poll.asked(db, campaign, number)
    return page("campaigns/pages/poll.html", asked=asked, number=number, done=False)


@post("/poll/{campaign:uuid}/{number:int}", guards=[same_site, _OFTEN], status_code=200)
async def post_answer(
    db: NamedDependency[Db], campaign: FromPath[UUID], number: FromPath[int]
) -> Response[Any]:
    """Count it."""
    asked = await poll.asked(db, campaign, number)
    await poll.answer(db, campaign, number)
    return page("campaigns/pages/poll.html", asked=asked, number=number, done=True)


handlers = [get_answer, post_answer]
