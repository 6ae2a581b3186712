"""Entry point of the worker for what HTTP keeps: answers to repeated requests, past their time."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from crm.db import Database
from crm.rounds import each_business
from crm.web import idempotency


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def tidy(ctx: Ctx) -> None:
    """Delete answers whose time is over, business by business."""

    async def tidied(business_id: UUID) -> None:
        while await ctx["database"].attempt(business_id, idempotency.forget):
            pass

    await each_business(ctx["database"], "web.tidy", tidied)
