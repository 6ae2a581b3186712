"""Customers for programs: /v1/customers."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, patch, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import BodyKwarg, FromPath, FromQuery, JSONBody

from crm import customers
from crm.customers import (
    Changes,
    Customer,
    NewCustomer,
    Place,
    Source,
    Stale,
    Wanted,
    putting,
)
from crm.customers.bound import BOUND, REFUSED, allowing, bound_to, check_allowed
from crm.db import Db, ReadDb
from crm.staff import Caller, Scope
from crm.staff.auth import Looks, needs
from crm.web.bodies import MERGE_PATCH
from crm.web.etag import MatchFailed, etag, expected
from crm.web.idempotency import once
from crm.web.paging import Cursors, capped, link

READ = [needs("customers:read")]
WRITE = [needs("customers:write")]

# A record with a value of every length in each of a few dozen attributes.
_BODY = 256 * 1024

MergePatch = Annotated[Changes, BodyKwarg(media_type=MERGE_PATCH)]


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


@put(
    "/customers",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": {"external_id": "4711", "address": "nora@example.com", "name": "Nora"}},
    tags=["Customers"],
    summary="Add a customer, or bring her up to date",
    description="For a shop or till that does not ask first whether she is known: she is found by "
    "`external_id`, else by address; added where she is not known (201), else changed in what the "
    "body names (200). Doing it twice changes nothing, so it needs no Idempotency-Key. Her address "
    "is never changed: 409 `address_differs` where who has this `external_id` has another, and 409 "
    "`external_id_differs` where who has this address is another to you. Without the scope "
    "customers:read the answer is 204.",
    responses={
        201: ResponseSpec(Customer, generate_examples=False, description="Added"),
        204: ResponseSpec(None, generate_examples=False, description="Done; the key reads nobody"),
    },
)
async def put_customer(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    data: JSONBody[putting.Put],
) -> Response[Customer | None]:
    """Add a customer, or bring her up to date."""
    customer, added = await putting.put(db, caller.actor, data)
    headers = etag(customer.version)
    if not caller.allows(Scope.customers_read):
        return Response(None, status_code=204, headers=headers)
    if not added:
        await looks.record([customer.id])
        return Response(customer, headers=headers)
    headers["location"] = f"/v1/customers/{customer.id}"
    return Response(customer, status_code=201, headers=headers)


@get(
    "/customers",
    guards=READ,
    opt={"bound": True},
    tags=["Customers"],
    summary="Page through customers",
    description="The newest first; the Link header leads on. Each customer of the answer can see "
    f"that this key looked, when, and why. {BOUND} Those who do not allow it are left out, so a "
    "page can have fewer rows than asked for.",
)
async def get_customers(
    db: NamedDependency[ReadDb],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    *,
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
    purpose: FromQuery[str | None] = None,
) -> Response[list[Customer]]:
    """Page through customers."""
    size = capped(limit)
    read_for = await bound_to(db, caller, purpose)
    cursors = Cursors(db.keys, db.business_id, "customers")
    rows = await customers.page(db, after=cursors.open(after, Place), limit=size + 1)
    shown = cursors.cut(rows, size, lambda row: Place(row.created_at, row.id))
    allowed = await allowing(db, read_for, [row.id for row in shown.rows])
    seen = [row for row in shown.rows if row.id in allowed]
    await looks.record([row.id for row in seen])
    further = {"purpose": purpose} if purpose else {}
    return Response(seen, headers=link("/v1/customers", shown.after, limit=size, **further))


@post(
    "/customers/search",
    guards=READ,
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"address": "nora@example.com"}, "bound": True},
    tags=["Customers"],
    summary="Find a customer by address or external id",
    description="Exactly one of the two, in the body: an address belongs in no URL. Addresses are "
    "compared by rule, so `Nora@Example.com` finds `nora@example.com`. The list has one "
    f"customer or none. {BOUND} Whoever does not allow it is not found.",
)
async def post_customer_search(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    data: JSONBody[Wanted],
    purpose: FromQuery[str | None] = None,
) -> list[Customer]:
    """Find a customer by address or external id."""
    read_for = await bound_to(db, caller, purpose)
    found = await customers.search(db, data)
    allowed = await allowing(db, read_for, [customer.id for customer in found])
    seen = [customer for customer in found if customer.id in allowed]
    await looks.record([customer.id for customer in seen])
    return seen


@get(
    "/customers/{id:uuid}",
    guards=READ,
    opt={"bound": True},
    tags=["Customers"],
    summary="Read a customer",
    description="The ETag names the version, for If-Match. The customer can see this look. "
    f"{BOUND} {REFUSED}",
)
async def get_customer(
    db: NamedDependency[ReadDb],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
    purpose: FromQuery[str | None] = None,
) -> Response[Customer]:
    """Read a customer."""
    customer = await customers.get(db, id)
    await check_allowed(db, await bound_to(db, caller, purpose), id)
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


handlers = [
    post_customer,
    put_customer,
    get_customers,
    post_customer_search,
    get_customer,
    patch_customer,
    post_restriction,
]
