"""The erasure of a customer, for programs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from crm import privacy
from crm.db import Db, ReadDb
from crm.privacy import Erased, Signed, restriction
from crm.privacy.restriction.actions import FreezeEnds
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.idempotency import once

_BODY = 4 * 1024


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


@delete(
    "/customers/{id:uuid}/restriction",
    guards=[needs("customers:write")],
    status_code=202,
    tags=["Privacy"],
    summary="Have the restriction of a customer's data end",
    description="She is told by mail, and it ends three days later unless she keeps it (Art. 18(3) "
    "GDPR). Again changes nothing; null where nothing is restricted.",
)
async def delete_restriction(
    db: NamedDependency[Db], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> FreezeEnds | None:
    """Have the restriction of a customer's data end."""
    return await restriction.announce(db, caller.actor, id)


handlers = [post_erasure, get_erasure, delete_restriction]
