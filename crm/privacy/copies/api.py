"""Copies for programs: asked for on a customer's behalf, watched, and fetched."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from msgspec import Struct

from crm import customers, privacy
from crm.db import Db, ReadDb
from crm.privacy import copies
from crm.privacy.copies.download import download
from crm.privacy.copies.model import Copy, State
from crm.staff import Caller
from crm.staff.auth import Looks, needs
from crm.web.idempotency import once

_BODY = 4 * 1024


class CopyWanted(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether she is told by mail, once it is ready, that a copy was taken, by whom and why."""

    tell_customer: bool = False


class CopyShown(Struct, frozen=True, kw_only=True):
    """A copy of one customer's record; `file` is there while it is `ready`."""

    id: UUID
    customer_id: UUID
    state: State
    percent: int
    reason: str
    asked_at: datetime
    ready_at: datetime | None
    ends_at: datetime | None
    bytes: int | None
    file: str | None


class _Named(Struct):
    id: UUID


@post(
    "/customers/{id:uuid}/copies",
    guards=[needs("customers:export")],
    status_code=202,
    request_max_body_size=_BODY,
    tags=["Privacy"],
    summary="Ask for a copy of everything held about a customer",
    description="On her behalf. It is built in the background; `Location` says where to look. She "
    "sees that this key asked for it, when, and the reason declared on the key; with "
    "`tell_customer` she is told by mail too. Asked again before its end, it is the same copy.",
    responses={202: ResponseSpec(CopyShown, generate_examples=False, description="Asked for")},
    response_headers=[ResponseHeader(name="location", value="/v1/copies/{copy_id}")],
)
async def post_copy(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[CopyWanted],
) -> Response[bytes]:
    """Ask for a copy of everything held about a customer."""

    async def act() -> CopyShown:
        return shown(
            await privacy.ask(db, caller.actor, id, reason=caller.reason, tells=data.tell_customer)
        )

    answer = await once(request, db, str(caller.id), act, status=202)
    # Also where it is an answer given before.
    copy_id = msgspec.json.decode(answer.content, type=_Named).id
    answer.headers["location"] = f"/v1/copies/{copy_id}"
    return answer


@get(
    "/customers/{id:uuid}/copies",
    guards=[needs("customers:export")],
    tags=["Privacy"],
    summary="List the copies that this key asked for about a customer",
    description="The newest first, also those that are over or failed. Of copies that others asked "
    "for, and of what is in any, nothing is told.",
)
async def get_copies(
    db: NamedDependency[ReadDb], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> list[CopyShown]:
    """List the copies that this key asked for about a customer."""
    await customers.get(db, id)
    return [
        shown(each.seen(db.now))
        for each in reversed(await copies.asked_of(db, id))
        if each.actor_id == caller.id
    ]


@get(
    "/copies/{copy_id:uuid}",
    guards=[needs("customers:export")],
    tags=["Privacy"],
    summary="Look how far a copy is",
    description="`waiting`, `building` with about how many per cent are done, `ready` until "
    "`ends_at`, `over`, or `failed`. Only the key that asked for it sees it.",
)
async def get_copy(
    db: NamedDependency[ReadDb], caller: NamedDependency[Caller], copy_id: FromPath[UUID]
) -> CopyShown:
    """Show one copy."""
    return shown(await copies.get(db, caller.actor, copy_id))


@get(
    "/copies/{copy_id:uuid}/file",
    guards=[needs("customers:export")],
    media_type="application/zip",
    tags=["Privacy"],
    summary="Fetch a copy that is ready",
    description="The ZIP that the customer herself would get: docs/copy.md says what is in it. "
    "Refused with `not_ready` before it is there, and when its 72 hours are over; with `frozen` or "
    "`being_erased` once she wants that. She sees each time that it is fetched.",
)
async def get_copy_file(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    copy_id: FromPath[UUID],
) -> Stream:
    """Fetch a copy that is ready."""
    copy = await copies.to_fetch(db, caller.actor, copy_id)
    await looks.record([copy.customer_id])
    return download(request.app.state.database, db.business_id, copy)


def shown(copy: Copy) -> CopyShown:
    """Put a copy into the shape that programs read."""
    return CopyShown(
        id=copy.id,
        customer_id=copy.customer_id,
        state=copy.state,
        percent=copy.percent,
        reason=copy.reason,
        asked_at=copy.asked_at,
        ready_at=copy.ready_at,
        ends_at=copy.ends_at,
        bytes=copy.size,
        file=f"/v1/copies/{copy.id}/file" if copy.state is State.ready else None,
    )


handlers = [post_copy, get_copies, get_copy, get_copy_file]
