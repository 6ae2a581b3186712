"""Entry points of the worker: carry out what the journal has and nobody committed."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from crm.db import Database
from crm.journal import Watch
from crm.restore.settling import settle


class Ctx(TypedDict):
    """What the worker hands to its jobs."""

    database: Database
    watch: Watch


async def sweep(ctx: Ctx) -> None:
    """Find businesses with something open; a press of a link during a restore is such a thing."""
    keeper = ctx["watch"].keeper

    def with_open() -> list[UUID]:
        known = keeper.journal.businesses()
        return [each for each in known if keeper.journal.log(each).tail().open]

    for business_id in await keeper.do(with_open):
        await settle(ctx["database"], keeper, business_id)
