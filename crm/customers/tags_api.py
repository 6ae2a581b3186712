"""Tags for programs: /v1/tags, and those of one customer."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from crm import customers
from crm.customers import HeldTag, NewTag, Tag
from crm.customers.bound import BOUND, REFUSED, bound_to, check_allowed
from crm.db import Db, ReadDb
from crm.staff import Caller, Scope
from crm.staff.auth import Looks, needs

READ = [needs("customers:read")]
WRITE = [needs("customers:write")]


@get(
    "/tags",
    guards=READ,
    opt={"bound": True},
    tags=["Tags"],
    summary="List the declared tags",
)
async def get_tags(db: NamedDependency[ReadDb]) -> list[Tag]:
    """List the declared tags."""
    return await customers.tags(db)


@put(
    "/tags/{name:str}",
    guards=WRITE,
    tags=["Tags"],
    summary="Declare a tag",
    description="A word to put on customers, what it is for and how long it stays on each, counted "
    "from when it was last put on. The customer reads label and purpose. With `purpose_id` it is "
    "put on only while the customer allows that purpose, and goes within a day of its end for her "
    "or for everybody.",
)
async def put_tag(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    name: FromPath[str],
    data: JSONBody[NewTag],
) -> Tag:
    """Declare a tag."""
    return await customers.declare_tag(db, caller.actor, name, data)


@get(
    "/customers/{id:uuid}/tags",
    guards=READ,
    opt={"bound": True},
    tags=["Tags"],
    summary="Read a customer's tags",
    description="Each with what it is for and until when it is kept. "
    f"{BOUND} Only the tags declared for it are in the answer. {REFUSED}",
)
async def get_customer_tags(
    db: NamedDependency[ReadDb],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
    purpose: FromQuery[str | None] = None,
) -> list[HeldTag]:
    """Read a customer's tags."""
    await customers.get(db, id)
    read_for = await bound_to(db, caller, purpose)
    await check_allowed(db, read_for, id)
    held = await customers.tags_of(db, id, purpose_id=read_for)
    await looks.record([id])
    return held


@put(
    "/customers/{id:uuid}/tags/{name:str}",
    guards=WRITE,
    tags=["Tags"],
    summary="Put a tag on a customer",
    description="Again, its time begins anew. 409 `value_not_allowed` for one that is for a "
    "purpose which the customer does not allow. Answered with all tags of hers; without the "
    "scope customers:read with 204.",
)
async def put_customer_tag(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
    name: FromPath[str],
) -> Response[list[HeldTag] | None]:
    """Put a tag on a customer; a key that may only write is answered without hers."""
    held = await customers.put_tag(db, caller.actor, id, name)
    if not caller.allows(Scope.customers_read):
        return Response(None, status_code=204)
    await looks.record([id])
    return Response(held)


@delete(
    "/customers/{id:uuid}/tags/{name:str}",
    guards=WRITE,
    tags=["Tags"],
    summary="Take a tag off a customer",
    description="One that the customer does not have changes nothing.",
)
async def delete_customer_tag(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    name: FromPath[str],
) -> None:
    """Take a tag off a customer."""
    await customers.drop_tag(db, caller.actor, id, name)


handlers = [get_tags, put_tag, get_customer_tags, put_customer_tag, delete_customer_tag]
