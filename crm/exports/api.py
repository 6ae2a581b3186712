"""All customers for programs: /v1/customers.ndjson."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery
from litestar.response import Stream

from crm import exports
from crm.customers.bound import BOUND, bound_to
from crm.db import Db, ReadDb
from crm.exports.model import CustomerLine, Reading
from crm.ndjson import MEDIA
from crm.staff import Caller, Scope
from crm.staff.auth import Looks, check_key, needs
from crm.web.head import BODILESS

# What each customer reads behind the reason of the key.
_WHY = "export of all"


@get(
    "/customers.ndjson",
    guards=[needs("customers:read")],
    opt={"bound": True},
    media_type=MEDIA,
    tags=["Customers"],
    summary="Read all customers as a stream",
    description="One JSON object a line, in no order that means anything; attributes and tags by "
    "name, and with the scope consents:read what each decided. Each customer can see that this key "
    'looked, before her line leaves. The last line is `{"closing":{"count":…,"sha256":…}}`, over '
    "all bytes before it: without it the answer is not whole. A key that is revoked meanwhile "
    'stops it, and `{"stopped":…}` says so. Nobody who waits for her deletion is in it. '
    f"{BOUND} Those who do not allow it are left out. POST /v1/imports takes such a file.",
    responses={
        200: ResponseSpec(
            CustomerLine, generate_examples=False, media_type=MEDIA, description="Line by line"
        )
    },
)
async def get_every_customer(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    purpose: FromQuery[str | None] = None,
) -> Stream:
    """Stream all customers."""
    reading = Reading(await bound_to(db, caller, purpose), caller.allows(Scope.consents_read))

    async def look(writing: Db, customer_ids: Sequence[UUID]) -> bool:
        await check_key(writing, request)
        return await looks.within(writing, customer_ids, reason=_WHY)

    if request.scope["state"].get(BODILESS):
        # Nothing leaves, so nobody is looked at.
        return Stream([], media_type=MEDIA)
    everybody = exports.EveryCustomer(request.app.state.database, db.business_id, reading, look)
    return Stream(everybody.lines(), media_type=MEDIA)


handlers = [get_every_customer]
