"""Campaigns for programs: /v1/campaigns."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from crm import campaigns
from crm.campaigns import Campaign, CampaignLine, DeliveryState, DraftChanged, NewCampaign
from crm.campaigns.aim import check_may_aim, check_may_count
from crm.campaigns.documents import (
    CampaignWithCounts,
    DeliveryLine,
    Forecast,
    forecast_of,
    line_of,
    numbers_of,
)
from crm.campaigns.figures_api import handlers as figures_handlers
from crm.campaigns.images_api import handlers as images_handlers
from crm.campaigns.looking import api_handlers as looking_handlers
from crm.db import Db, ReadDb
from crm.staff import Caller
from crm.staff.auth import Looks, needs
from crm.web.etag import MatchFailed, etag, expected
from crm.web.idempotency import needs_key, once
from crm.web.paging import Cursors, capped, link

READ = [needs("campaigns:read")]
WRITE = [needs("campaigns:write")]
SEND = [needs("campaigns:send")]

_PATH = "/v1/campaigns"
# A text of a megabyte, as JSON may write it.
_TEXT = 8 * 1024 * 1024
_SMALL = 4 * 1024
_DRAFT = {
    "purpose_id": "PURPOSE_ID",
    "subject": "Rye on Saturdays",
    "source": "# Rye\n\nThere is rye bread.",
}


class Start(Struct, forbid_unknown_fields=True):
    """When a campaign starts by itself."""

    at: Annotated[datetime, Meta(tz=True)]
    # Not at that instant, but when each customer's own clock shows the time written in `at`.
    by_customers_clock: bool = False
    # Approve it although some customers lack what it says of them.
    despite_gaps: bool = False
    # The version that was reviewed; another one is refused.
    version: int | None = None


class Trial(Struct, forbid_unknown_fields=True):
    """To whom a test goes: somebody who works here."""

    address: Annotated[str, Meta(max_length=254)]


class Last(Struct, frozen=True):
    """The last row of a page."""

    id: UUID


@post(
    "/campaigns",
    guards=WRITE,
    request_max_body_size=_TEXT,
    opt={"example": _DRAFT},
    tags=["Campaigns"],
    summary="Write a draft",
    description="Kept whatever is wrong with its text: the review says so, and so does the start. "
    "With an Idempotency-Key a repeated request writes nothing twice.",
    responses={201: ResponseSpec(Campaign, generate_examples=False, description="Kept")},
)
async def post_campaign(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewCampaign],
) -> Response[bytes]:
    """Write a draft."""
    if data.segment_id is not None:
        check_may_aim(caller)

    async def act() -> Campaign:
        return await campaigns.draft(db, caller.actor, data)

    answer = await once(request, db, str(caller.id), act, status=201)
    kept = msgspec.json.decode(answer.content, type=Campaign)
    answer.headers.update({"location": f"{_PATH}/{kept.id}", **etag(kept.version)})
    return answer


@get(
    "/campaigns",
    guards=READ,
    tags=["Campaigns"],
    summary="Page through campaigns",
    description="The newest first, with counts and without texts; the Link header leads on.",
)
async def get_campaigns(
    db: NamedDependency[ReadDb],
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[list[CampaignLine]]:
    """Page through campaigns."""
    size = capped(limit)
    cursors = Cursors(db.keys, db.business_id, "campaigns")
    last = cursors.open(after, Last)
    rows = await campaigns.page(db, before=last.id if last else None, limit=size + 1)
    shown = cursors.cut(rows, size, lambda row: Last(row.id))
    return Response(shown.rows, headers=link(_PATH, shown.after, limit=size))


@get(
    "/campaigns/{id:uuid}",
    guards=READ,
    tags=["Campaigns"],
    summary="Read a campaign",
    description="With its text and counts. The ETag names the version, for If-Match.",
)
async def get_campaign(
    db: NamedDependency[ReadDb], id: FromPath[UUID]
) -> Response[CampaignWithCounts]:
    """Read a campaign."""
    campaign = await campaigns.get(db, id)
    counts = numbers_of(await campaigns.counts(db, id))
    shown = CampaignWithCounts(**msgspec.structs.asdict(campaign), counts=counts)
    return Response(shown, headers=etag(campaign.version))


@put(
    "/campaigns/{id:uuid}",
    guards=WRITE,
    request_max_body_size=_TEXT,
    opt={"example": _DRAFT},
    tags=["Campaigns"],
    summary="Change a draft",
    description="Replaces the whole text. If-Match with the ETag you read is required (428), and a "
    "version no longer current is refused (412). Only a draft can be changed (409).",
)
async def put_campaign(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[NewCampaign],
) -> Response[Campaign]:
    """Change a draft."""
    version = expected(request)
    present = await campaigns.get(db, id)
    if version is None:
        version = present.version
    if data.segment_id not in {None, present.segment_id}:
        check_may_aim(caller)
    try:
        changed = await campaigns.change(db, caller.actor, id, data, version=version)
    except DraftChanged:
        raise MatchFailed from None
    return Response(changed, headers=etag(changed.version))


@get(
    "/campaigns/{id:uuid}/review",
    guards=READ,
    tags=["Campaigns"],
    summary="Ask who would get a campaign now",
    description="How many would get it, how many not and for which reason, and everything that "
    "keeps it from being sent, but for values that some customers lack (`warnings`). Each customer "
    "is looked at once more at the moment of sending. Of a campaign to a segment this takes the "
    "scopes that counting takes.",
)
async def get_review(
    db: NamedDependency[ReadDb], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> Forecast:
    """Ask who would get a campaign now."""
    campaign = await campaigns.get(db, id)
    check_may_count(caller, campaign)
    checked = await campaigns.check(db, campaign)
    hindrances = await campaigns.hindrances(db, campaign)
    return forecast_of(await campaigns.review(db, id), checked, hindrances)


@post(
    "/campaigns/{id:uuid}/test",
    guards=WRITE,
    status_code=202,
    request_max_body_size=_SMALL,
    opt={"example": {"address": "owner@bakery.example"}},
    tags=["Campaigns"],
    summary="Send a test",
    description="To somebody who works here, and nobody else; its links stop nobody's mail.",
)
async def post_test(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[Trial],
) -> None:
    """Send a test."""
    await campaigns.try_out(db, caller.actor, id, data.address)


@post(
    "/campaigns/{id:uuid}/schedule",
    guards=SEND,
    status_code=200,
    request_max_body_size=_SMALL,
    tags=["Campaigns"],
    summary="Schedule a campaign",
    description="`at` is an instant with its offset (RFC 3339), later than now. With `version`, "
    "the one that you reviewed, another is refused (409 `changed_since_review`).",
)
async def post_schedule(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[Start],
) -> Campaign:
    """Schedule a campaign."""
    act = campaigns.schedule_by_clock if data.by_customers_clock else campaigns.schedule
    return await act(
        db, caller.actor, id, data.at, version=data.version, despite_gaps=data.despite_gaps
    )


@delete(
    "/campaigns/{id:uuid}/schedule",
    guards=SEND,
    status_code=200,
    tags=["Campaigns"],
    summary="Take a scheduled campaign back",
    description="It is a draft again, approved by nobody.",
)
async def delete_schedule(
    db: NamedDependency[Db], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> Campaign:
    """Take a scheduled campaign back."""
    return await campaigns.unschedule(db, caller.actor, id)


@post(
    "/campaigns/{id:uuid}/start",
    guards=SEND,
    status_code=200,
    request_max_body_size=_SMALL,
    tags=["Campaigns"],
    summary="Start a campaign",
    description="An Idempotency-Key is required. Of two starts at once one is refused (409). So "
    "is a text whose values are still being checked, or for which some customers lack a value, "
    "unless `despite_gaps` is true. With `version`, the one that you reviewed, another is refused "
    "(409 `changed_since_review`).",
    responses={200: ResponseSpec(Campaign, generate_examples=False, description="Started")},
)
async def post_start(  # noqa: PLR0917  (as the router calls it)
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    despite_gaps: FromQuery[bool] = False,  # noqa: FBT002  (Litestar names parameters)
    version: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Start a campaign."""
    needs_key(request)

    async def act() -> Campaign:
        return await campaigns.start(
            db, caller.actor, id, version=version, despite_gaps=despite_gaps
        )

    return await once(request, db, str(caller.id), act)


@post(
    "/campaigns/{id:uuid}/pause",
    guards=SEND,
    status_code=200,
    tags=["Campaigns"],
    summary="Pause a campaign",
    description="Nothing more is claimed; what is on its way arrives and is counted.",
)
async def post_pause(
    db: NamedDependency[Db], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> Campaign:
    """Pause a campaign."""
    return await campaigns.pause(db, caller.actor, id)


@post(
    "/campaigns/{id:uuid}/resumption",
    guards=SEND,
    status_code=200,
    tags=["Campaigns"],
    summary="Resume a paused campaign",
    description="Refused while the sender's domain is not ready (409 `domain_not_ready`), and "
    "while soft opt-in is off, for a purpose that rests on it (409 `soft_opt_in_off`).",
)
async def post_resumption(
    db: NamedDependency[Db], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> Campaign:
    """Resume a paused campaign."""
    return await campaigns.resume(db, caller.actor, id)


@post(
    "/campaigns/{id:uuid}/cancellation",
    guards=SEND,
    status_code=200,
    tags=["Campaigns"],
    summary="Cancel a campaign",
    description="Whoever still waits is excluded, for good; what is on its way arrives.",
)
async def post_cancellation(
    db: NamedDependency[Db], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> Campaign:
    """Cancel a campaign."""
    return await campaigns.cancel(db, caller.actor, id)


@get(
    "/campaigns/{id:uuid}/deliveries",
    guards=READ,
    tags=["Campaigns"],
    summary="Page through a campaign's deliveries in one state",
    description="Ids only. Each customer of the answer can see that this key looked, when and why.",
)
async def get_deliveries(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    *,
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    wanted: Annotated[DeliveryState, QueryParameter(name="state")],
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[list[DeliveryLine]]:
    """Page through a campaign's deliveries in one state."""
    size = capped(limit)
    check_may_count(caller, await campaigns.get(db, id))
    cursors = Cursors(db.keys, db.business_id, f"deliveries/{id}/{wanted}")
    last = cursors.open(after, Last)
    rows = await campaigns.deliveries(
        db, id, wanted, after=last.id if last else None, limit=size + 1
    )
    shown = cursors.cut(rows, size, lambda row: Last(row.customer_id))
    await looks.listed([row.customer_id for row in shown.rows])
    lines = [line_of(row) for row in shown.rows]
    path = f"{_PATH}/{id}/deliveries"
    return Response(lines, headers=link(path, shown.after, state=wanted.value, limit=size))


handlers = [
    post_campaign,
    get_campaigns,
    get_campaign,
    put_campaign,
    *looking_handlers,
    get_review,
    post_test,
    post_schedule,
    delete_schedule,
    post_start,
    post_pause,
    post_resumption,
    post_cancellation,
    *figures_handlers,
    *images_handlers,
    get_deliveries,
]
