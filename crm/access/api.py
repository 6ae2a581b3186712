"""Leaving, told to the business elsewhere: by address, whoever it is, known or not (promise 2)."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta, Struct

from crm import access, consent, customers
from crm.consent import Method
from crm.consent.terms import Named
from crm.db import Db
from crm.events import Actor
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.idempotency import once
from crm.web.transaction import attempt

_BODY = 10_000


class NewWithdrawal(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who leaves, and what."""

    address: Annotated[str, Meta(min_length=3, max_length=1000)]
    # One purpose, by its id or by its short name; absent means every one there is.
    purpose: Named | None = None
    # She reported a mail as unwanted.
    complaint: bool = False


class Withdrawal(Struct, frozen=True):
    """From when on nothing is sent; the same for an address that nobody has."""

    withdrawn_at: datetime


@post(
    "/withdrawals",
    guards=[needs("consents:write")],
    request_max_body_size=_BODY,
    opt={"example": {"address": "nora@example.com"}},
    tags=["Consent"],
    summary="Record that an address leaves",
    description="Always accepted, at once, and again changes nothing; waiting deliveries are taken "
    "out before this answers. Of an address that no customer has, a fingerprint is kept, so that "
    "no later import or sign-up by others brings it back; the answer is the same. `purpose` is "
    "its id or its short name; without it she leaves all. With an Idempotency-Key a repeated "
    "request does nothing twice.",
    responses={201: ResponseSpec(Withdrawal, generate_examples=False, description="Recorded")},
)
async def post_withdrawal(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewWithdrawal],
) -> Response[bytes]:
    """Record that an address leaves one purpose, or all."""

    async def act(db: Db) -> Response[bytes]:
        left = partial(_left, db, caller.actor, data)
        return await once(request, db, str(caller.id), left, status=201)

    return await attempt(request, db, act)


async def _left(db: Db, by: Actor, data: NewWithdrawal) -> Withdrawal:
    address = customers.parse(data.address)
    method = Method.complaint if data.complaint else Method.api
    purpose_id = await consent.purpose_named(db, data.purpose) if data.purpose else None
    await access.leave_by_address(db, by, address, purpose_id, method=method)
    return Withdrawal(db.now)


handlers = [post_withdrawal]
