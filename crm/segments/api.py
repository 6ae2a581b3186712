"""Segments for programs: /v1/segments."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from crm import segments
from crm.db import Db, ReadDb
from crm.segments.model import Asked, Counted, NewSegment, Segment, SegmentStale
from crm.segments.rule import LONGEST
from crm.staff import Caller
from crm.staff.auth import Looks, needs
from crm.web.etag import MatchFailed, etag, expected
from crm.web.idempotency import once

READ = [needs("campaigns:read")]
WRITE = [needs("campaigns:write")]
# Who is selected says something of them: their consents as well as what is recorded.
COUNT = [needs("customers:read"), needs("consents:read")]

_RULE = {
    "test": "all",
    "of": [
        {"test": "consent", "purpose_id": "PURPOSE_ID", "state": "allowed"},
        {"test": "not", "of": {"test": "mailed", "within_days": 30}},
    ],
}
_EXAMPLE = {"name": "Not mailed for a month", "rule": _RULE}


@get("/segments", guards=READ, tags=["Segments"], summary="List the segments")
async def get_segments(db: NamedDependency[ReadDb]) -> list[Segment]:
    """List the segments."""
    return await segments.segments(db)


@post(
    "/segments",
    guards=WRITE,
    request_max_body_size=LONGEST,
    opt={"example": _EXAMPLE},
    tags=["Segments"],
    summary="Write a segment",
    description="A name for staff, and a rule in the language of docs/segments.md. 422 `bad_rule` "
    "says everything that is wrong with it, each with its place. With an Idempotency-Key a "
    "repeated request is answered as the first was.",
    responses={201: ResponseSpec(Segment, generate_examples=False, description="Written")},
)
async def post_segment(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewSegment],
) -> Response[bytes]:
    """Write a segment."""

    async def act() -> Segment:
        return await segments.add(db, caller.actor, data)

    answer = await once(request, db, str(caller.id), act, status=201)
    added = msgspec.json.decode(answer.content, type=Segment)
    answer.headers.update({"location": f"/v1/segments/{added.id}", **etag(added.version)})
    return answer


@get("/segments/{id:uuid}", guards=READ, tags=["Segments"], summary="Read a segment")
async def get_segment(db: NamedDependency[ReadDb], id: FromPath[UUID]) -> Response[Segment]:
    """Read a segment."""
    found = await segments.get(db, id)
    return Response(found, headers=etag(found.version))


@put(
    "/segments/{id:uuid}",
    guards=[*WRITE, *COUNT],
    request_max_body_size=LONGEST,
    opt={"example": {**_EXAMPLE, "name": "Not mailed lately"}},
    tags=["Segments"],
    summary="Replace a segment",
    description="If-Match with the ETag you read is required (428), and a version no longer "
    "current is refused (412). 409 `segment_in_use` while an approved campaign waits to go to it. "
    "A campaign that has started has kept the rule as it was. Since a draft may name it, this "
    "takes the scopes that counting takes.",
)
async def put_segment(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[NewSegment],
) -> Response[Segment]:
    """Replace a segment."""
    version = expected(request)
    try:
        changed = await segments.change(db, caller.actor, id, data, expected=version)
    except SegmentStale:
        raise MatchFailed from None
    return Response(changed, headers=etag(changed.version))


@delete(
    "/segments/{id:uuid}",
    guards=WRITE,
    tags=["Segments"],
    summary="Delete a segment",
    description="409 `segment_in_use` while a campaign that has not started names it.",
)
async def delete_segment(
    db: NamedDependency[Db], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> None:
    """Delete a segment."""
    await segments.drop(db, caller.actor, id)


@post(
    "/segments/count",
    guards=COUNT,
    status_code=200,
    request_max_body_size=LONGEST,
    opt={"example": {"rule": _RULE}},
    tags=["Segments"],
    summary="Count whom a rule selects",
    description="How many customers it selects now, and the ids of ten of them, who can see that "
    "this key looked. Nothing is saved. Nobody is counted whose record is frozen, and nobody by a "
    "detail whose use she has not allowed.",
)
async def post_count(
    db: NamedDependency[ReadDb], looks: NamedDependency[Looks], data: JSONBody[Asked]
) -> Counted:
    """Count whom a rule selects."""
    counted = await segments.count(db, data.rule)
    await looks.listed(counted.sample)
    return counted


handlers = [
    get_segments,
    post_segment,
    post_count,
    get_segment,
    put_segment,
    delete_segment,
]
