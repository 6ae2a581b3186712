"""The merge of two customers' records, for programs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from crm.customers import Stale
from crm.db import Db, ReadDb
from crm.privacy import merging
from crm.privacy.merging.model import Merged, Plan
from crm.staff import Caller
from crm.staff.auth import Looks, needs
from crm.web.etag import MatchFailed, etag, expected
from crm.web.idempotency import needs_key, once

_BODY = 4 * 1024


class Merge(Struct, forbid_unknown_fields=True):
    """Which record goes."""

    gone: UUID


@get(
    "/customers/{id:uuid}/merge/{other:uuid}",
    guards=[needs("customers:read"), needs("consents:read")],
    tags=["Customers"],
    summary="See what a merge of two customers would come to",
    description="What would end, move and stay, purposes by name and details by what they are "
    "called; where both records say something and not the same, with both values. `hindrance` "
    "says why it would be refused now and what to do. Changes nothing. Both customers can see "
    "this look. 409 `being_erased` while one of them waits for her deletion.",
)
async def get_merge(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
    other: FromPath[UUID],
) -> Plan:
    """See what a merge of two customers would come to."""
    plan = await merging.plan(db, id, other)
    await looks.record([id, other])
    return plan


@post(
    "/customers/{id:uuid}/merge",
    guards=[needs("customers:write"), needs("consents:write")],
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"gone": "OTHER"}},
    tags=["Customers"],
    summary="Merge two customers who are one person",
    description="The customer of the path is kept; `gone` becomes part of her. It cannot be "
    "undone. A withdrawal wins: what either said no to, or had a yes for that ended, is off, and a "
    "yes of the one that goes does not move, because it was said for another address. Afterwards "
    "its id is unknown (404), but for what only ever takes away: a withdrawal or an erasure by it "
    "counts for the one that is kept, and links in mails to its address work on. The event "
    "`customer.merged` has the kept id as `customer_id` and the other as `ref`. If-Match with the "
    "ETag of the kept one is required (428, 412). The Idempotency-Key is required. 409 "
    "`not_mergeable` where one of them is frozen, waits for its deletion, or has a privacy request "
    "without an answer: `detail` says what to do.",
    responses={200: ResponseSpec(Merged, generate_examples=False, description="Merged")},
)
async def post_merge(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[Merge],
) -> Response[bytes]:
    """Merge two customers who are one person."""
    needs_key(request)
    version = expected(request)

    async def act() -> Merged:
        try:
            return await merging.merge(db, caller.actor, id, data.gone, expected=version)
        except Stale:
            raise MatchFailed from None

    answer = await once(request, db, str(caller.id), act)
    merged = msgspec.json.decode(answer.content, type=Merged)
    answer.headers.update(etag(merged.version))
    return answer


handlers = [get_merge, post_merge]
