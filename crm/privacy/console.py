"""Requests that a customer makes to staff: a copy of everything, or its deletion."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import customers, privacy, staff
from crm.businesses import Business
from crm.customers.asking_why import ask_why
from crm.db import Db, ReadDb
from crm.privacy import copies, restriction
from crm.privacy.copies.download import download
from crm.privacy.erasure.staying import would_stay
from crm.staff import Member, ReasonMissing, Right
from crm.staff.auth import Looks, may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

LIST = "/staff/customers"
_BODY = 4 * 1024


@get("/customers/{id:uuid}/privacy", guards=[may(Right.see_customers)], include_in_schema=False)
async def get_privacy(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show how much is held of a customer, and what can be done at her request."""
    return await _shown(db, who, looks, id, Form())


@post(
    "/customers/{id:uuid}/copy",
    guards=[may(Right.export_customers)],
    request_max_body_size=_BODY,
    include_in_schema=False,
)
async def post_copy(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Have a copy built for a customer who asked for it; she reads who took it, and why."""
    reason = await staff.reason_for(db, who, id)
    if reason is None:
        raise ReasonMissing
    await privacy.ask(db, who.actor, id, reason=reason)
    return redirect(f"{LIST}/{id}/privacy")


@get(
    "/customers/{id:uuid}/copy/file",
    guards=[may(Right.export_customers)],
    include_in_schema=False,
)
async def get_copy_file(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Give a member the file that she or he asked for; the customer sees each time."""
    copy = await copies.to_take(db, who.actor, id)
    await looks.record([id], reason=copy.reason)
    return download(request.app.state.database, db.business_id, copy)


@post(
    "/customers/{id:uuid}/erasure",
    guards=[may(Right.erase_customers)],
    request_max_body_size=_BODY,
    include_in_schema=False,
)
async def post_erasure(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Delete everything held about a customer who asked for it."""
    form = await read_form(request)
    if not form.boolean("asked"):
        form.wrong("asked", "Tick that the customer asked for it. It cannot be taken back.")
        return await _shown(db, who, looks, id, form)
    await privacy.erase(db, who.actor, id)
    return redirect(f"{LIST}/{id}/erasure", say="Deleted. What stays names nobody.")


@get("/customers/{id:uuid}/erasure", guards=[may(Right.see_customers)], include_in_schema=False)
async def get_erasure(
    db: NamedDependency[ReadDb], business: NamedDependency[Business], id: FromPath[UUID]
) -> Response[Any]:
    """Show the certificate of an erasure, which names nobody."""
    signed = await privacy.certificate(db, id)
    token = privacy.certificate_token(db.keys, db.business_id, id)
    return page(
        "privacy/pages/erased_for_staff.html",
        certificate=signed.certificate,
        link=f"{business.origin}/erased/{token}",
    )


@post(
    "/customers/{id:uuid}/restriction/end",
    guards=[may(Right.change_customers)],
    request_max_body_size=_BODY,
    include_in_schema=False,
    status_code=303,
)
async def post_restriction_end(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Have a freeze end, three days after she was told; she may keep it."""
    ends = await restriction.announce(db, who.actor, id)
    if ends is None:
        return redirect(f"{LIST}/{id}", say="Nothing is frozen.", tone="wait")
    until = f"{ends.due_at:%Y-%m-%d %H:%M} UTC"
    return redirect(f"{LIST}/{id}", say=f"She is told by mail. The freeze ends at {until}.")


async def _shown(
    db: ReadDb, who: Member, looks: Looks, customer_id: UUID, form: Form
) -> Response[Any]:
    customer = await customers.get(db, customer_id)
    reason = await staff.reason_for(db, who, customer_id)
    if reason is None:
        return ask_why(customer_id, Form())
    await looks.record([customer_id], reason=reason)
    inventory = await privacy.inventory(db, customer)
    return page(
        "privacy/pages/customer.html",
        status=422 if form.problems else 200,
        # Also where a refused form is shown again at its own address.
        request_path=f"{LIST}/{customer_id}/privacy",
        customer=customer,
        reason=reason,
        form=form,
        inventory=inventory,
        stays=await would_stay(db, customer, inventory),
        copy=await copies.newest(db, who.actor, customer_id),
        may_export=who.may(Right.export_customers),
        may_erase=who.may(Right.erase_customers),
    )


handlers = [
    get_privacy,
    post_copy,
    get_copy_file,
    post_erasure,
    get_erasure,
    post_restriction_end,
]
