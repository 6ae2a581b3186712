"""A copy of everything held about a customer, and her erasure, for programs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from crm import privacy
from crm.db import Db, ReadDb
from crm.privacy import Copy, Erased, Signed, archive
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.idempotency import once

_BODY = 4 * 1024


@post(
    "/customers/{id:uuid}/export",
    guards=[needs("customers:read")],
    status_code=200,
    request_max_body_size=_BODY,
    tags=["Privacy"],
    summary="Take a copy of everything held about a customer",
    description="Attributes with purpose and end, interactions, every decision with the exact text "
    "shown, campaigns with their warrant, service messages, sessions, and who looked. The customer "
    "can see that this key took a copy, when, and why. It is made anew each time and kept nowhere, "
    "so an Idempotency-Key changes nothing.",
    responses={200: ResponseSpec(Copy, generate_examples=False, description="The copy")},
    response_headers=[ResponseHeader(name="content-disposition", value="attachment")],
)
async def post_export(
    db: NamedDependency[Db], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> Response[bytes]:
    """Take a copy of everything held about a customer."""
    copy = await privacy.copy(db, caller.actor, id, reason=caller.reason)
    headers = archive.as_file(copy, "json")
    return Response(archive.packed(copy), media_type="application/json", headers=headers)


@post(
    "/customers/{id:uuid}/erasure",
    guards=[needs("customers:write")],
    status_code=200,
    request_max_body_size=_BODY,
    tags=["Privacy"],
    summary="Delete everything held about a customer",
    description="At her request. Cannot be taken back; again changes nothing. A fingerprint of her "
    "address stays, so that an old list does not bring mails back; stubs that prove there were "
    "decisions stay, and name nobody.",
    responses={200: ResponseSpec(Erased, generate_examples=False, description="Erased")},
)
async def post_erasure(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
) -> Response[bytes]:
    """Delete everything held about a customer."""

    async def act() -> Erased:
        return await privacy.erase(db, caller.actor, id)

    return await once(request, db, str(caller.id), act)


@get(
    "/customers/{id:uuid}/erasure",
    guards=[needs("customers:read")],
    tags=["Privacy"],
    summary="Read the certificate of an erasure",
    description="What was deleted, table by table with counts, and what stays, why and until when; "
    "it names nobody. `jws` is the same signed with the key of receipts "
    "(`/.well-known/jwks.json`, type `firsthand-erasure+jws`). Kept for four years.",
    responses={200: ResponseSpec(Signed, generate_examples=False, description="The certificate")},
)
async def get_erasure(db: NamedDependency[ReadDb], id: FromPath[UUID]) -> Response[bytes]:
    """Return the certificate of an erasure."""
    told = msgspec.json.encode(await privacy.certificate(db, id))
    return Response(told, media_type="application/json")


handlers = [post_export, post_erasure, get_erasure]
