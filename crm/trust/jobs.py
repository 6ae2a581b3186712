"""Entry point of the worker for trust: the figures are counted."""

from __future__ import annotations

from typing import TypedDict

from crm import above
from crm.db import Database
from crm.log import logger
from crm.trust import actions

_log = logger(__name__)


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


async def count(ctx: Ctx) -> None:
    """Count every business's figures anew."""
    for business_id in await above.businesses(ctx["database"]):
        try:
            async with ctx["database"].write(business_id) as db:
                await actions.count(db)
        except Exception:  # noqa: BLE001  (one business must not keep the others from theirs)
            _log.exception("trust_not_counted", business=str(business_id))
