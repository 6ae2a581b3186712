"""Why a member opens a record: asked before it is shown, and read by the customer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import customers, staff
from crm.db import Db
from crm.errors import Invalid
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

# What a record is mostly opened for, in the words that the customer reads.
USUAL_REASONS = {
    "question": "to answer a question of yours",
    "order": "to look after an order or a booking of yours",
    "request": "to do what you asked of us with your record",
    "mistake": "to put right a mistake in your record",
    "mail": "to find out what became of a mail to you",
}
SEE = [may(Right.see_customers)]


def ask_why(customer_id: UUID, form: Form, *, status: int = 200) -> Response[Any]:
    """Show the question; nothing of the record is on its page."""
    return page(
        "customers/pages/reason.html",
        status=status,
        id=customer_id,
        form=form,
        usual=USUAL_REASONS,
    )


@post("/customers/{id:uuid}/look", guards=SEE, include_in_schema=False)
async def post_look(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Keep why the record is opened; the customer reads it beside each look."""
    await customers.get(db, id)
    form = await read_form(request)
    usual = form.choice("usual", USUAL_REASONS, required=False)
    reason = USUAL_REASONS[usual] if usual else form.text("reason", max=500)
    if not form.problems:
        try:
            await staff.give_reason(db, who, id, reason)
        except Invalid as refusal:
            form.take(refusal)
        else:
            return redirect(f"/staff/customers/{id}")
    return ask_why(id, form, status=422)
