"""Customers, their attributes and interactions, for programs: /v1/customers and beside it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, patch, post, put
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import BodyKwarg, FromPath, FromQuery, JSONBody

from crm import customers
from crm.customers import (
    Attribute,
    AttributeValue,
    Changes,
    Customer,
    Given,
    Interaction,
    InteractionKind,
    Moment,
    NewAttribute,
    NewCustomer,
    NewInteraction,
    NewKind,
    Place,
    Source,
    Stale,
    Wanted,
)
from crm.db import Db, ReadDb
from crm.errors import Invalid, Problem
from crm.staff import Caller, Scope
from crm.staff.auth import Looks, needs
from crm.web.etag import MatchFailed, etag, expected
from crm.web.idempotency import once
from crm.web.paging import Cursors, capped, link

READ = [needs("customers:read")]
WRITE = [needs("customers:write")]

MERGE_PATCH = "application/merge-patch+json"
# A record with a value of every length in each of a few dozen attributes.
_BODY = 256 * 1024

MergePatch = Annotated[Changes, BodyKwarg(media_type=MERGE_PATCH)]
Values = dict[str, Given | None]


@post(
    "/customers",
    guards=WRITE,
    request_max_body_size=_BODY,
    tags=["Customers"],
    summary="Add a customer",
    description="Adds a customer, to whom nothing may be sent yet: consent is recorded on its own. "
    "409 `address_taken` where the address has a customer already; compare by search. "
    "With an Idempotency-Key a repeated request is answered as the first was.",
    responses={201: ResponseSpec(Customer, generate_examples=False, description="Added")},
)
async def post_customer(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewCustomer],
) -> Response[bytes]:
    """Add a customer."""

    async def act() -> Customer:
        return await customers.add(db, caller.actor, data, source=Source.api)

    answer = await once(request, db, str(caller.id), act, status=201)
    added = msgspec.json.decode(answer.content, type=Customer)
    answer.headers.update({"location": f"/v1/customers/{added.id}", **etag(added.version)})
    return answer


@get(
    "/customers",
    guards=READ,
    tags=["Customers"],
    summary="Page through customers",
    description="The newest first; the Link header leads on. Each customer of the answer can see "
    "that this key looked, when, and why.",
)
async def get_customers(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[list[Customer]]:
    """Page through customers."""
    _only(request, "limit", "after")
    size = capped(limit)
    cursors = Cursors(db.keys, db.business_id, "customers")
    rows = await customers.page(db, after=cursors.open(after, Place), limit=size + 1)
    shown = cursors.cut(rows, size, lambda row: Place(row.created_at, row.id))
    await looks.record([row.id for row in shown.rows])
    return Response(shown.rows, headers=link("/v1/customers", shown.after, limit=size))


@post(
    "/customers/search",
    guards=READ,
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"address": "nora@example.com"}},
    tags=["Customers"],
    summary="Find a customer by address or external id",
    description="Exactly one of the two, in the body: an address belongs in no URL. Addresses are "
    "compared by rule, so `Nora@Example.com` finds `nora@example.com`. The list has one "
    "customer or none.",
)
async def post_customer_search(
    db: NamedDependency[Db], looks: NamedDependency[Looks], data: JSONBody[Wanted]
) -> list[Customer]:
    """Find a customer by address or external id."""
    found = await customers.search(db, data)
    await looks.record([customer.id for customer in found])
    return found


@get(
    "/customers/{id:uuid}",
    guards=READ,
    tags=["Customers"],
    summary="Read a customer",
    description="The ETag names the version, for If-Match. The customer can see this look.",
)
async def get_customer(
    db: NamedDependency[ReadDb], looks: NamedDependency[Looks], id: FromPath[UUID]
) -> Response[Customer]:
    """Read a customer."""
    customer = await customers.get(db, id)
    await looks.record([id])
    return Response(customer, headers=etag(customer.version))


@patch(
    "/customers/{id:uuid}",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": {"name": "Nora Lindqvist"}},
    tags=["Customers"],
    summary="Change a customer",
    description="A merge patch (RFC 7396) of name, locale, zone or external id: null takes away. "
    "If-Match with the ETag you read is required (428), and a version no longer current is "
    "refused (412). The address is never changed here, because consent was given for one mailbox: "
    "the customer changes it herself under /me/address on your host, where the new mailbox answers "
    "and she says anew what may go there. Nor is consent, which is recorded as an event. Without "
    "the scope customers:read the answer is 204.",
)
async def patch_customer(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    *,
    id: FromPath[UUID],
    data: MergePatch,
) -> Response[Customer | None]:
    """Change a customer; a key that may only write is answered without her record."""
    if request.content_type[0] != MERGE_PATCH:
        raise HTTPException(status_code=415, headers={"accept-patch": MERGE_PATCH})
    version = expected(request)
    try:
        customer = await customers.change(db, caller.actor, id, data, expected=version)
    except Stale:
        raise MatchFailed from None
    if not caller.allows(Scope.customers_read):
        return Response(None, status_code=204, headers=etag(customer.version))
    await looks.record([id])
    return Response(customer, headers=etag(customer.version))


@post(
    "/customers/{id:uuid}/restriction",
    guards=WRITE,
    status_code=204,
    tags=["Customers"],
    summary="Freeze a customer's data",
    description="Art. 18 GDPR: kept, and used for nothing, until the restriction is lifted.",
)
async def post_restriction(
    db: NamedDependency[Db], caller: NamedDependency[Caller], id: FromPath[UUID]
) -> None:
    """Freeze a customer's data."""
    await customers.restrict(db, caller.actor, id)


@get(
    "/attributes",
    guards=READ,
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
    tags=["Attributes"],
    summary="Declare an attribute",
    description="No field on a customer without type, purpose and retention. The customer reads "
    "label and purpose. Retention is an ISO 8601 duration of years, months and days, "
    "counted from when a value was last set. With `purpose_id` a value goes with that purpose too, "
    "within a day of its end for the customer or for everybody. The type stays as first declared.",
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
    tags=["Attributes"],
    summary="Read a customer's attributes",
    description="Each value with what it is for and until when it is kept.",
)
async def get_customer_attributes(
    db: NamedDependency[ReadDb], looks: NamedDependency[Looks], id: FromPath[UUID]
) -> list[AttributeValue]:
    """Read a customer's attributes."""
    await customers.get(db, id)
    held = await customers.values(db, id)
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
    "none: every problem is in the answer. Without the scope customers:read the answer is 204.",
)
async def put_customer_attributes(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
    data: JSONBody[Values],
) -> Response[list[AttributeValue] | None]:
    """Set a customer's attributes; a key that may only write is answered without hers."""
    held = await customers.set_attributes(db, caller.actor, id, data)
    if not caller.allows(Scope.customers_read):
        return Response(None, status_code=204)
    await looks.record([id])
    return Response(held)


@get(
    "/interaction-kinds",
    guards=READ,
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
    description="What it is for and how long each is kept, counted from when it happened.",
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
    tags=["Interactions"],
    summary="Page through a customer's interactions",
    description="The newest first; the Link header leads on.",
)
async def get_interactions(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    *,
    id: FromPath[UUID],
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[list[Interaction]]:
    """Page through a customer's interactions."""
    _only(request, "limit", "after")
    size = capped(limit)
    await customers.get(db, id)
    cursors = Cursors(db.keys, db.business_id, f"interactions/{id}")
    rows = await customers.interactions(db, id, after=cursors.open(after, Moment), limit=size + 1)
    shown = cursors.cut(rows, size, lambda row: Moment(row.at, row.id))
    await looks.record([id])
    path = f"/v1/customers/{id}/interactions"
    return Response(shown.rows, headers=link(path, shown.after, limit=size))


def _only(request: Request[Any, Any, Any], *known: str) -> None:
    """Refuse query parameters that nobody reads: a misspelt filter must not look like one."""
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        sentence = f"This takes only the parameters {', '.join(known)}."
        raise Invalid(sentence, [Problem("", sentence)])


handlers = [
    post_customer,
    get_customers,
    post_customer_search,
    get_customer,
    patch_customer,
    post_restriction,
    get_attributes,
    put_attribute,
    get_customer_attributes,
    put_customer_attributes,
    get_interaction_kinds,
    put_interaction_kind,
    post_interaction,
    get_interactions,
]
