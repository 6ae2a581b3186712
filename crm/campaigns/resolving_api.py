"""What became of uncertain deliveries, said by a program: one, or all that there are."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from crm import campaigns
from crm.campaigns import DeliveryState
from crm.campaigns.documents import Tally, tally_of
from crm.db import Db
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.idempotency import once

SEND = [needs("campaigns:send")]
_SMALL = 4 * 1024


class Ending(Struct, forbid_unknown_fields=True):
    """What became of it."""

    state: Literal["sent", "failed"]


class EndingOfAll(Struct, forbid_unknown_fields=True):
    """What became of all of them; `uncertain` is the number that was looked at."""

    state: Literal["sent", "failed"]
    uncertain: Annotated[int, Meta(ge=1)]


@post(
    "/campaigns/{id:uuid}/deliveries/{customer_id:uuid}/resolution",
    guards=SEND,
    status_code=200,
    request_max_body_size=_SMALL,
    opt={"example": {"state": "sent"}},
    tags=["Campaigns"],
    summary="Say what became of an uncertain delivery",
    description="As the relay's log says: `sent` or `failed`. It is never sent again. Refused "
    "(409) where the delivery is not uncertain.",
)
async def post_resolution(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    *,
    id: FromPath[UUID],
    customer_id: FromPath[UUID],
    data: JSONBody[Ending],
) -> Response[bytes]:
    """Say what became of an uncertain delivery."""

    async def act() -> Tally:
        state = DeliveryState(data.state)
        await campaigns.resolve(db, caller.actor, id, customer_id, state)
        return tally_of(await campaigns.counts(db, id))

    return await once(request, db, str(caller.id), act)


@post(
    "/campaigns/{id:uuid}/uncertain/resolution",
    guards=SEND,
    status_code=200,
    request_max_body_size=_SMALL,
    opt={"example": {"state": "failed", "uncertain": 1}},
    tags=["Campaigns"],
    summary="Say what became of all that is uncertain",
    description="`uncertain` repeats the number that the counts said; where it is another by now, "
    "nothing is resolved (409). The key stays on each delivery, and one event says it.",
)
async def post_resolution_of_all(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[EndingOfAll],
) -> Response[bytes]:
    """Say what became of all that is uncertain."""

    async def act() -> Tally:
        state = DeliveryState(data.state)
        await campaigns.get(db, id)
        await campaigns.resolve_all(db, caller.actor, id, state, number=data.uncertain)
        return tally_of(await campaigns.counts(db, id))

    return await once(request, db, str(caller.id), act)


handlers = [post_resolution, post_resolution_of_all]
