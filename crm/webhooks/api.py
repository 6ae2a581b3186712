"""Endpoints for programs: /v1/webhooks, what was told to them, and who has heeded it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from crm import webhooks
from crm.db import Db, ReadDb
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.etag import MatchFailed, etag, expected
from crm.web.idempotency import once
from crm.web.paging import Cursors, Slice, capped, link
from crm.webhooks import Endpoint, NewEndpoint, Post, Try
from crm.webhooks.actions import EndpointStale
from crm.webhooks.model import LONGEST_OVERLAP
from crm.webhooks.own import check_may_tell, own

_PATH = "/v1/webhooks"
_BODY = 32 * 1024
READ = [needs("webhooks:read")]
WRITE = [needs("webhooks:write")]
_TAGS = ["Webhooks"]
_EXAMPLE = {
    "name": "Shop",
    "url": "https://shop.example/firsthand",
    "kinds": ["consent.withdrawn", "customer.erased"],
    "acknowledges": True,
}
_DAY = 86_400


class WithSecret(Struct, frozen=True, kw_only=True):
    """An endpoint with the secret that was just made for it, which nobody can see again."""

    endpoint: Endpoint
    secret: str


class Rotation(Struct, kw_only=True, forbid_unknown_fields=True):
    """For how many seconds the former secret signs beside the new one; 0 where it was seen."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=int(LONGEST_OVERLAP.total_seconds()))] = 7 * _DAY


class Since(Struct, kw_only=True, forbid_unknown_fields=True):
    """From when on everything is told once more."""

    since: Annotated[datetime, Meta(tz=True)]


class Switch(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether events go there."""

    on: bool


class Acknowledged(Struct, frozen=True):
    """Since when it is on record that whoever was told has heeded it."""

    acknowledged_at: datetime


class AfterNumber(Struct, frozen=True):
    """The last delivery of a page."""

    number: int


class After(Struct, frozen=True):
    """The last attempt of a page."""

    id: UUID


@get(
    "/webhooks",
    guards=READ,
    tags=_TAGS,
    summary="List the endpoints that events are told to",
    description="With who made each. A key manages those that it made itself; those of others, "
    "also of keys that are revoked, take the scope `webhooks:manage` (403 `others_endpoint`).",
)
async def get_webhooks(db: NamedDependency[ReadDb]) -> list[Endpoint]:
    """List the endpoints."""
    return await webhooks.endpoints(db)


@post(
    "/webhooks",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": _EXAMPLE},
    tags=_TAGS,
    summary="Have events told to an endpoint",
    description="From now on, after the Standard Webhooks specification; what happened in the last "
    "seconds, and while an import runs more, may be told too. docs/webhooks.md shows how to check "
    "a signature. `kinds` empty stands for all. The secret is in this answer and in no other. "
    "With `consent.withdrawn` goes `customer.erased`, which ends every consent. A key can have "
    "told only what it may read: `events:read` "
    "and `customers:read`, and `consents:read` for what customers decided (403 `scope_missing`). "
    "With `acknowledges` whoever receives a withdrawal or an erasure says that it was heeded.",
    responses={201: ResponseSpec(WithSecret, generate_examples=False, description="Added")},
)
async def post_webhook(
    request: Request[Any, Any, State],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewEndpoint],
) -> Response[bytes]:
    """Have events told to an endpoint."""
    check_may_tell(caller, data.kinds)

    async def act() -> WithSecret:
        made, secret = await webhooks.add(db, caller.actor, data, local=_local(request))
        return WithSecret(endpoint=made, secret=secret)

    return await once(request, db, str(caller.id), act, status=201)


@get("/webhooks/{endpoint_id:uuid}", guards=READ, tags=_TAGS, summary="Read an endpoint")
async def get_webhook(
    db: NamedDependency[ReadDb], endpoint_id: FromPath[UUID]
) -> Response[Endpoint]:
    """Read an endpoint."""
    found = await webhooks.endpoint(db, endpoint_id)
    return Response(found, headers=etag(found.version))


@put(
    "/webhooks/{endpoint_id:uuid}",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": _EXAMPLE},
    tags=_TAGS,
    summary="Change an endpoint",
    description="Replaces name, address, kinds and whether it acknowledges; secrets stay, and what "
    "waits of the kinds that are still wanted. A key can change only what tells no more than it "
    "may read, before and after (403 `scope_missing`). If-Match with the ETag you read is required "
    "(428, 412).",
)
async def put_webhook(
    request: Request[Any, Any, State],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    *,
    endpoint_id: FromPath[UUID],
    data: JSONBody[NewEndpoint],
) -> Response[Endpoint]:
    """Change an endpoint."""
    check_may_tell(caller, data.kinds)
    # What waits goes where this leads it.
    check_may_tell(caller, (await own(db, caller, endpoint_id)).kinds)
    try:
        changed = await webhooks.change(
            db, caller.actor, endpoint_id, data, local=_local(request), expected=expected(request)
        )
    except EndpointStale:
        raise MatchFailed from None
    return Response(changed, headers=etag(changed.version))


@delete(
    "/webhooks/{endpoint_id:uuid}",
    guards=WRITE,
    tags=_TAGS,
    summary="Remove an endpoint",
    description="Nothing goes there any more, and its secrets are deleted. Its name stays on the "
    "record of customers whose withdrawals it was told.",
)
async def delete_webhook(
    db: NamedDependency[Db], caller: NamedDependency[Caller], endpoint_id: FromPath[UUID]
) -> None:
    """Remove an endpoint."""
    await own(db, caller, endpoint_id)
    await webhooks.remove(db, caller.actor, endpoint_id)


@post(
    "/webhooks/{endpoint_id:uuid}/switch",
    guards=WRITE,
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"on": True}},
    tags=_TAGS,
    summary="Switch an endpoint on or off",
    description="What happens while it is off waits, and goes in its order afterwards. An endpoint "
    "that answers 410, or takes nothing for more than three days, is switched off by itself; its "
    "owners are told by mail.",
)
async def post_webhook_switch(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    endpoint_id: FromPath[UUID],
    data: JSONBody[Switch],
) -> Endpoint:
    """Switch an endpoint on or off."""
    await own(db, caller, endpoint_id)
    return await webhooks.switch(db, caller.actor, endpoint_id, on=data.on)


@post(
    "/webhooks/{endpoint_id:uuid}/test",
    guards=WRITE,
    status_code=202,
    tags=_TAGS,
    summary="Have a test event told",
    description="An event `webhook.tested` goes to this endpoint alone, whatever kinds it wants, "
    "by the way of all others.",
)
async def post_webhook_test(
    db: NamedDependency[Db], caller: NamedDependency[Caller], endpoint_id: FromPath[UUID]
) -> None:
    """Have a test event told."""
    await own(db, caller, endpoint_id)
    await webhooks.try_out(db, caller.actor, endpoint_id)


@post(
    "/webhooks/{endpoint_id:uuid}/secrets",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": {"overlap_seconds": 7 * _DAY}},
    tags=_TAGS,
    summary="Make a new secret",
    description="Posts carry a signature by each secret that is good: by the new one at once, by "
    "the former for `overlap_seconds`. The secret is in this answer and in no other.",
    responses={201: ResponseSpec(WithSecret, generate_examples=False, description="Made")},
)
async def post_webhook_secret(
    request: Request[Any, Any, State],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    *,
    endpoint_id: FromPath[UUID],
    data: JSONBody[Rotation],
) -> Response[bytes]:
    """Make a new secret."""

    async def act() -> WithSecret:
        await own(db, caller, endpoint_id)
        overlap = timedelta(seconds=data.overlap_seconds)
        found, secret = await webhooks.rotate(db, caller.actor, endpoint_id, overlap)
        return WithSecret(endpoint=found, secret=secret)

    return await once(request, db, str(caller.id), act, status=201)


@get(
    "/webhooks/{endpoint_id:uuid}/deliveries",
    guards=READ,
    tags=_TAGS,
    summary="Page through what was told to an endpoint",
    description="The newest first; the Link header leads on. `only` shows just what waits, was "
    "told, or was given up after its whole schedule. Kept for 30 days; withdrawals and erasures "
    "that were told are kept as long as the event.",
)
async def get_webhook_deliveries(
    db: NamedDependency[ReadDb],
    *,
    endpoint_id: FromPath[UUID],
    only: FromQuery[Literal["waiting", "told", "failed"] | None] = None,
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[Slice[Post]]:
    """Page through what was told to an endpoint."""
    shown = capped(limit)
    cursors = Cursors(db.keys, db.business_id, f"webhooks/{endpoint_id}/deliveries/{only or ''}")
    begun = cursors.open(after, AfterNumber)
    found = await webhooks.posts(
        db, endpoint_id, state=only or "", before=begun.number if begun else None, limit=shown + 1
    )
    cut = cursors.cut(found, shown, lambda each: AfterNumber(each.number))
    query: dict[str, str | int] = {"limit": shown} | ({"only": only} if only else {})
    return Response(cut, headers=link(f"{_PATH}/{endpoint_id}/deliveries", cut.after, **query))


@get(
    "/webhooks/{endpoint_id:uuid}/attempts",
    guards=READ,
    tags=_TAGS,
    summary="Page through the attempts of an endpoint",
    description="Each time a post went out: the status that was answered, or in a word what stood "
    "in the way. The newest first; the Link header leads on.",
)
async def get_webhook_attempts(
    db: NamedDependency[ReadDb],
    *,
    endpoint_id: FromPath[UUID],
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[Slice[Try]]:
    """Page through the attempts of an endpoint."""
    shown = capped(limit)
    cursors = Cursors(db.keys, db.business_id, f"webhooks/{endpoint_id}/attempts")
    begun = cursors.open(after, After)
    before = begun.id if begun else None
    found = await webhooks.tries(db, endpoint_id, before=before, limit=shown + 1)
    cut = cursors.cut(found, shown, lambda each: After(each.id))
    path = f"{_PATH}/{endpoint_id}/attempts"
    return Response(cut, headers=link(path, cut.after, limit=shown))


@post(
    "/webhooks/{endpoint_id:uuid}/replay",
    guards=WRITE,
    status_code=202,
    request_max_body_size=_BODY,
    opt={"example": {"since": "2026-05-01T09:00:00Z"}},
    tags=_TAGS,
    summary="Have everything since an instant told once more",
    description="In its order and under the same `webhook-id`s, so that what was heeded is known. "
    "Of customers who were erased meanwhile only that they were is told.",
)
async def post_webhook_replay(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    endpoint_id: FromPath[UUID],
    data: JSONBody[Since],
) -> None:
    """Have everything since an instant told once more."""
    await own(db, caller, endpoint_id)
    await webhooks.replay_since(db, caller.actor, endpoint_id, data.since)


@post(
    "/webhooks/{endpoint_id:uuid}/deliveries/{event_id:uuid}/replay",
    guards=WRITE,
    status_code=202,
    tags=_TAGS,
    summary="Have one event told once more",
    description="Under the same `webhook-id`, and before whatever else of the same customer waits.",
)
async def post_delivery_replay(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    endpoint_id: FromPath[UUID],
    event_id: FromPath[UUID],
) -> None:
    """Have one event told once more."""
    await own(db, caller, endpoint_id)
    await webhooks.replay(db, caller.actor, endpoint_id, event_id)


@post(
    "/webhooks/{endpoint_id:uuid}/deliveries/{event_id:uuid}/acknowledgement",
    guards=[needs("webhooks:acknowledge")],
    status_code=200,
    tags=_TAGS,
    summary="Say that a withdrawal or an erasure was heeded",
    description="For a receiver that could not say so at once, by answering the post with 2xx and "
    '`{"acknowledged": "<webhook-id>"}`. It is kept as proof that the recipient was told (Art. 19 '
    "GDPR), and the customer sees it. Again changes nothing.",
)
async def post_delivery_acknowledgement(
    db: NamedDependency[Db], endpoint_id: FromPath[UUID], event_id: FromPath[UUID]
) -> Acknowledged:
    """Say that a withdrawal or an erasure was heeded."""
    return Acknowledged(await webhooks.acknowledge(db, endpoint_id, event_id))


def _local(request: Request[Any, Any, State]) -> bool:
    local: bool = request.app.state.settings.webhooks.local
    return local


handlers = [
    get_webhooks,
    post_webhook,
    get_webhook,
    put_webhook,
    delete_webhook,
    post_webhook_switch,
    post_webhook_test,
    post_webhook_secret,
    get_webhook_deliveries,
    get_webhook_attempts,
    post_webhook_replay,
    post_delivery_replay,
    post_delivery_acknowledgement,
]
