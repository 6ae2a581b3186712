"""For programs: why a campaign paused by itself, for what its customers wait, and its expiry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from crm import campaigns
from crm.campaigns import breaker
from crm.campaigns.model import LONGEST_HOURS
from crm.db import Db, ReadDb
from crm.staff.auth import needs

_SMALL = 4 * 1024


class Waiting(Struct, frozen=True):
    """For what some wait: `relay` or `relay WHY`, `cap NAME`, `domain NAME`, or what was said."""

    waits_for: str
    customers: int
    due_at: datetime


class Going(Struct, frozen=True):
    """How a campaign goes; `expires_hours` of null is the installation's rule."""

    expires_hours: int | None
    paused_why: str
    warning: str
    waits: list[Waiting]


class Expiry(Struct, forbid_unknown_fields=True):
    """After how many hours a campaign gives up what has not gone; null: the installation's rule."""

    hours: Annotated[int, Meta(ge=1, le=LONGEST_HOURS)] | None


@get(
    "/campaigns/{id:uuid}/course",
    guards=[needs("campaigns:read")],
    tags=["Campaigns"],
    summary="See how a campaign goes",
    description="Why it paused by itself, what to look at, and for what its customers wait.",
)
async def get_course(db: NamedDependency[ReadDb], id: FromPath[UUID]) -> Going:
    """See how a campaign goes."""
    return await _going(db, id)


@put(
    "/campaigns/{id:uuid}/expiry",
    guards=[needs("campaigns:write")],
    request_max_body_size=_SMALL,
    opt={"example": {"hours": 24}},
    tags=["Campaigns"],
    summary="Set when a campaign expires",
    description=(
        "In hours after its start; what has not gone by then fails as stale. Refused once it has "
        "started (409)."
    ),
)
async def put_expiry(db: NamedDependency[Db], id: FromPath[UUID], data: JSONBody[Expiry]) -> Going:
    """Set when a campaign expires."""
    await campaigns.expire_after(db, id, data.hours)
    return await _going(db, id)


async def _going(db: ReadDb, campaign_id: UUID) -> Going:
    course = await campaigns.course(db, campaign_id)
    return Going(
        course.expires_hours,
        course.paused_why,
        breaker.warns(await campaigns.health(db, campaign_id)),
        [
            Waiting(each.waits_for, each.customers, each.due_at)
            for each in await campaigns.waits(db, campaign_id)
        ],
    )


handlers = [get_course, put_expiry]
