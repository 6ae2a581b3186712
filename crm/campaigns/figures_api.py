"""Numbers of a campaign for programs: /v1/campaigns/ID/counts and /figures."""

from __future__ import annotations

from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import campaigns
from crm.campaigns import Figures
from crm.campaigns.aim import check_may_count
from crm.campaigns.documents import Tally, tally_of
from crm.db import ReadDb
from crm.staff import Caller
from crm.staff.auth import needs

READ = [needs("campaigns:read")]


@get(
    "/campaigns/{id:uuid}/figures",
    guards=READ,
    tags=["Campaigns"],
    summary="Read what a campaign came to",
    description="Its sum with the reasons, from start to end in seconds, and who left its purpose "
    "since the start: how many, how many of them after this mail, and what was on its way at that "
    "moment, with the longest time in seconds until it was over. Opens and clicks are not known.",
)
async def get_figures(
    db: NamedDependency[ReadDb], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> Figures:
    """Read what a campaign came to."""
    check_may_count(caller, await campaigns.get(db, id))
    return await campaigns.figures(db, id)


@get(
    "/campaigns/{id:uuid}/counts",
    guards=READ,
    tags=["Campaigns"],
    summary="Count a campaign's deliveries",
    description="Each number is counted from the rows at this moment, and they add up. To watch a "
    "campaign often, read the campaign itself: its counts are as true and cost less.",
)
async def get_counts(
    db: NamedDependency[ReadDb], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> Tally:
    """Count a campaign's deliveries."""
    check_may_count(caller, await campaigns.get(db, id))
    return tally_of(await campaigns.recount(db, id))


handlers = [get_counts, get_figures]
