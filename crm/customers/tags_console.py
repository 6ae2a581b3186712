"""Tags for staff: they are declared under /staff/tags, and put on a customer on her record."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import customers
from crm.customers import NewTag
from crm.db import Db, ReadDb
from crm.errors import Invalid
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

SEE = [may(Right.see_customers)]
CHANGE = [may(Right.change_customers)]
DECLARE = [may(Right.edit_purposes)]


@get("/tags", guards=SEE, include_in_schema=False)
async def get_tags(db: NamedDependency[ReadDb], who: NamedDependency[Member]) -> Response[Any]:
    """Show the declared tags."""
    return await _declared(db, who, Form())


@post("/tags", guards=DECLARE, include_in_schema=False)
async def post_tag(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Declare a tag, or say anew what one is for."""
    form = await read_form(request)
    name = form.text("name", max=63)
    label = form.text("label")
    purpose = form.text("purpose", max=500)
    retention = form.text("retention", max=20).upper()
    ends_with = {str(each.id): each.id for each in await customers.purposes_to_end_with(db)}
    chosen = form.choice("purpose_id", ends_with, required=False)
    if not form.problems:
        new = NewTag(
            label=label,
            purpose=purpose,
            retention=retention,
            purpose_id=ends_with[chosen] if chosen else None,
        )
        try:
            await customers.declare_tag(db, who.actor, name, new)
            return redirect("/staff/tags", say=f"Declared: {label}.")
        except Invalid as refusal:
            form.take(refusal)
    return await _declared(db, who, form)


@post("/customers/{id:uuid}/tags", guards=CHANGE, include_in_schema=False)
async def post_customer_tag(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Put a tag on a customer, or take one off."""
    form = await read_form(request)
    put_on = form.choice("decision", ("put", "take"))
    name = form.choice("tag", [each.name for each in await customers.tags(db)])
    form.refuse()
    if put_on == "put":
        await customers.put_tag(db, who.actor, id, name or "")
    else:
        await customers.drop_tag(db, who.actor, id, name or "")
    return redirect(f"/staff/customers/{id}", say="Changed.")


async def _declared(db: ReadDb, who: Member, form: Form) -> Response[Any]:
    return page(
        "customers/pages/tags.html",
        status=422 if form.problems else 200,
        tags=await customers.tags(db),
        form=form,
        purposes=await customers.purposes_to_end_with(db),
        may_declare=who.may(Right.edit_purposes),
    )


handlers = [get_tags, post_tag, post_customer_tag]
