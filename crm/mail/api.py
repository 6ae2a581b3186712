"""Suppressions for programs: an address that must not be mailed, known to us or not."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.response import Response
from msgspec import Struct

from crm import customers, mail
from crm.db import Db
from crm.mail.model import Scope, Suppression, Why
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.idempotency import once

_BODY = 10_000


class NewSuppression(Struct, forbid_unknown_fields=True):
    """Whom not to mail, and how far that reaches."""

    address: str
    scope: Scope = Scope.marketing


@post(
    "/suppressions",
    guards=[needs("suppressions:write")],
    summary="Suppress an address",
    description=(
        "Always accepted, for unknown addresses too; kept as a fingerprint only. Deliveries that "
        "wait for this address are taken out before this answers. A wider scope replaces a "
        "narrower one; only the owner of the address lifts it, by saying yes again."
    ),
    tags=["Suppressions"],
    status_code=201,
    request_max_body_size=_BODY,
    opt={"example": {"address": "nora@example.com", "scope": "marketing"}},
    responses={201: ResponseSpec(Suppression, generate_examples=False, description="Suppressed")},
)
async def post_suppression(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewSuppression],
) -> Response[bytes]:
    """Suppress an address by the wish of its owner, told to the business elsewhere."""

    async def act() -> Suppression:
        folded = customers.parse(data.address).folded
        address_hash = db.keys.address_hash(db.business_id, folded)
        await mail.suppress(db, caller.actor, address_hash, data.scope, Why.staff)
        kept = await mail.suppressed(db, address_hash)
        assert kept is not None  # noqa: S101  (written a moment ago, or before)
        return kept

    return await once(request, db, str(caller.id), act, status=201)


handlers = [post_suppression]
