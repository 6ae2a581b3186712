"""The values of a customer's attributes, for staff: one form with all that are declared."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import customers
from crm.customers import Given, ValueNotAllowed
from crm.customers.value import LONGEST_TEXT
from crm.db import Db, ReadDb
from crm.errors import Invalid
from crm.staff import Member, Right
from crm.staff.auth import Looks, may
from crm.web.forms import Form, read_form, shown_as, touched
from crm.web.pages import page, redirect

_CHANGE = [may(Right.change_customers)]
_LIST = "/staff/customers"


@get("/customers/{id:uuid}/attributes", guards=_CHANGE, include_in_schema=False)
async def get_customer_attributes(
    db: NamedDependency[ReadDb], looks: NamedDependency[Looks], id: FromPath[UUID]
) -> Response[Any]:
    """Show the form with a value for each declared attribute."""
    customer = await customers.get(db, id)
    declared = await customers.attributes(db)
    says = await _says(db, id)
    await looks.record([id])
    shown = {shown_as(field := f"attributes/{e.name}"): says.get(field, "") for e in declared}
    form = Form.of(**says, **shown)
    return page("customers/pages/values.html", customer=customer, form=form, declared=declared)


@post("/customers/{id:uuid}/attributes", guards=_CHANGE, include_in_schema=False)
async def post_customer_attributes(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Set what was filled in anew, and take away what was emptied.

    What was shown and is sent back stays as it is now: nothing is taken back that was saved
    meanwhile, and no retention begins anew.
    """
    customer = await customers.get(db, id)
    await customers.hold(db, id)
    declared = await customers.attributes(db)
    says = await _says(db, id)
    form = await read_form(request)
    given: dict[str, Given | None] = {
        each.name: form.text(field, required=False, max=LONGEST_TEXT, lines=True) or None
        for each in declared
        if touched(form, field := f"attributes/{each.name}", says.get(field, ""))
    }
    if not form.problems:
        try:
            await customers.set_attributes(db, who.actor, id, given)
            return redirect(f"{_LIST}/{id}", say="Changed.")
        except (Invalid, ValueNotAllowed) as refusal:
            form.take(refusal)
    await looks.record([id])
    return page(
        "customers/pages/values.html",
        status=422,
        customer=customer,
        form=form,
        declared=declared,
    )


async def _says(db: ReadDb, customer_id: UUID) -> dict[str, str]:
    held = [(each.name, each.value) for each in await customers.values(db, customer_id)]
    return {
        f"attributes/{name}": str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in held
    }


handlers = [get_customer_attributes, post_customer_attributes]
