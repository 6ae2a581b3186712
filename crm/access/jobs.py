"""Entry point of the worker for access: what has ended goes."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from crm.access import actions
from crm.db import Database
from crm.rounds import each_business


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def tidy(ctx: Ctx) -> None:
    """Delete sign-ups, ways in and sessions that have ended, business by business."""

    async def tidied(business_id: UUID) -> None:
        await ctx["database"].attempt(business_id, actions.tidy)

    await each_business(ctx["database"], "access.tidy", tidied)
