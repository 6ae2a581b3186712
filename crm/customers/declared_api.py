"""What is declared about customers, and held by it, for programs: attributes and interactions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from crm import customers
from crm.customers import (
    Attribute,
    AttributeValue,
    Given,
    Interaction,
    InteractionKind,
    Moment,
    NewAttribute,
    NewInteraction,
    NewKind,
    SetAttributes,
)
from crm.customers.bound import BOUND, REFUSED, bound_to, check_allowed
from crm.db import Db, ReadDb
from crm.staff import Caller, Scope
from crm.staff.auth import Looks, needs
from crm.web.idempotency import once
from crm.web.paging import Cursors, capped, link

READ = [needs("customers:read")]
WRITE = [needs("customers:write")]
# A record with a value of every length in each of a few dozen attributes.
_BODY = 256 * 1024

Values = dict[str, Given | None]

_ATTRIBUTE = {
    "label": "Usual shop",
    "type": "text",
    "purpose": "So that opening hours in mails are the right ones.",
    "basis": "legitimate_interests",
    "origin": "You told us when you ordered.",
    "retention": "P24M",
}


@get(
    "/attributes",
    guards=READ,
    opt={"bound": True},
    tags=["Attributes"],
    summary="List the declared attributes",
)
async def get_attributes(db: NamedDependency[ReadDb]) -> list[Attribute]:
    """List the declared attributes."""
    return await customers.attributes(db)


@put(
    "/attributes/{name:str}",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": _ATTRIBUTE},
    tags=["Attributes"],
    summary="Declare an attribute",
    description="No field on a customer without type, purpose, basis (Art. 6(1) GDPR), origin and "
    "retention. The customer reads label, purpose, basis and origin. Retention is an ISO 8601 "
    "duration of years, months and days, counted from when a value was last set. With `purpose_id` "
    "a value is taken only while the customer allows that purpose (`not_allowed` says whether it "
    "is refused or dropped otherwise), and goes within a day of its end for her or for everybody. "
    "The type stays as first declared.",
)
async def put_attribute(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    name: FromPath[str],
    data: JSONBody[NewAttribute],
) -> Attribute:
    """Declare an attribute."""
    return await customers.declare_attribute(db, caller.actor, name, data)


@get(
    "/customers/{id:uuid}/attributes",
    guards=READ,
    opt={"bound": True},
    tags=["Attributes"],
    summary="Read a customer's attributes",
    description="Each value with what it is for, by what right, and until when it is kept. "
    f"{BOUND} Only the values of attributes declared for it are in the answer. {REFUSED}",
)
async def get_customer_attributes(
    db: NamedDependency[ReadDb],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
    purpose: FromQuery[str | None] = None,
) -> list[AttributeValue]:
    """Read a customer's attributes."""
    await customers.get(db, id)
    read_for = await bound_to(db, caller, purpose)
    await check_allowed(db, read_for, id)
    held = await customers.values(db, id, purpose_id=read_for)
    await looks.record([id])
    return held


@put(
    "/customers/{id:uuid}/attributes",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": {"usual_shop": "Mill Lane"}},
    tags=["Attributes"],
    summary="Set a customer's attributes",
    description="Sets the values given and leaves the others; null takes a value away. All or "
    "none: every problem is in the answer. A value for a purpose that the customer does not allow "
    "is refused (409 `value_not_allowed`), or left out and named in `dropped` where the "
    "declaration says so. Without the scope customers:read `attributes` is null.",
)
async def put_customer_attributes(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
    data: JSONBody[Values],
) -> SetAttributes:
    """Set a customer's attributes; a key that may only write is answered without hers."""
    dropped = await customers.set_attributes(db, caller.actor, id, data)
    if not caller.allows(Scope.customers_read):
        return SetAttributes(dropped=dropped, attributes=None)
    await looks.record([id])
    return SetAttributes(dropped=dropped, attributes=await customers.values(db, id))


@get(
    "/interaction-kinds",
    guards=READ,
    opt={"bound": True},
    tags=["Interactions"],
    summary="List the declared kinds of interaction",
)
async def get_interaction_kinds(db: NamedDependency[ReadDb]) -> list[InteractionKind]:
    """List the declared kinds of interaction."""
    return await customers.kinds(db)


@put(
    "/interaction-kinds/{name:str}",
    guards=WRITE,
    request_max_body_size=_BODY,
    tags=["Interactions"],
    summary="Declare a kind of interaction",
    description="What it is for and how long each is kept, counted from when it happened. With "
    "`purpose_id` one is taken only while the customer allows that purpose, and goes with it.",
)
async def put_interaction_kind(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    name: FromPath[str],
    data: JSONBody[NewKind],
) -> InteractionKind:
    """Declare a kind of interaction."""
    return await customers.declare_kind(db, caller.actor, name, data)


@post(
    "/customers/{id:uuid}/interactions",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": {"kind": "purchase", "title": "Birthday cake"}},
    tags=["Interactions"],
    summary="Record an interaction",
    description="A purchase, a note, a call: anything of a declared kind. The customer can read "
    "it. With an Idempotency-Key a repeated request records nothing twice.",
    responses={201: ResponseSpec(Interaction, generate_examples=False, description="Recorded")},
)
async def post_interaction(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[NewInteraction],
) -> Response[bytes]:
    """Record an interaction."""

    async def act() -> Interaction:
        return await customers.interact(db, caller.actor, id, data)

    return await once(request, db, str(caller.id), act, status=201)


@get(
    "/customers/{id:uuid}/interactions",
    guards=READ,
    opt={"bound": True},
    tags=["Interactions"],
    summary="Page through a customer's interactions",
    description="The newest first; the Link header leads on. "
    f"{BOUND} Only interactions of kinds declared for it are in the answer. {REFUSED}",
)
async def get_interactions(
    db: NamedDependency[ReadDb],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    *,
    id: FromPath[UUID],
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
    purpose: FromQuery[str | None] = None,
) -> Response[list[Interaction]]:
    """Page through a customer's interactions."""
    size = capped(limit)
    await customers.get(db, id)
    read_for = await bound_to(db, caller, purpose)
    await check_allowed(db, read_for, id)
    cursors = Cursors(db.keys, db.business_id, f"interactions/{id}")
    rows = await customers.interactions(
        db, id, after=cursors.open(after, Moment), limit=size + 1, purpose_id=read_for
    )
    shown = cursors.cut(rows, size, lambda row: Moment(row.at, row.id))
    await looks.record([id])
    path = f"/v1/customers/{id}/interactions"
    further = {"purpose": purpose} if purpose else {}
    return Response(shown.rows, headers=link(path, shown.after, limit=size, **further))


handlers = [
    get_attributes,
    put_attribute,
    get_customer_attributes,
    put_customer_attributes,
    get_interaction_kinds,
    put_interaction_kind,
    post_interaction,
    get_interactions,
]
