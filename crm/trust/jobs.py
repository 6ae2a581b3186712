"""Entry point of the worker for trust: the figures are counted."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from crm.db import Database
from crm.rounds import each_business
from crm.trust import actions


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def count(ctx: Ctx) -> None:
    """Count every business's figures anew."""

    async def counted(business_id: UUID) -> None:
        await ctx["database"].attempt(business_id, actions.count)

    await each_business(ctx["database"], "trust.count", counted)
