"""The merge of two records for staff: find the other one, see what comes of it, confirm."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import customers, staff
from crm.customers import AttributeValue, Customer, Stale, UnknownCustomer
from crm.customers.asking_why import ask_why
from crm.customers.language import language
from crm.db import Db, ReadDb
from crm.errors import Conflict, Invalid
from crm.privacy import merging
from crm.staff import Member, Right
from crm.staff.auth import Looks, may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

LIST = "/staff/customers"
_BODY = 4 * 1024
# It cannot be undone, and is about two of them: whoever may delete one may do it.
_MERGE = [may(Right.erase_customers)]


@get("/customers/{id:uuid}/merge", guards=_MERGE, include_in_schema=False)
async def get_merge(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Ask which other record is of the same person."""
    return await _find(db, who, looks, id, Form())


@post(
    "/customers/{id:uuid}/merge",
    guards=_MERGE,
    request_max_body_size=_BODY,
    include_in_schema=False,
)
async def post_merge(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Find the other record by its address, which belongs in no URL."""
    form = await read_form(request)
    address = form.parsed("address", customers.parse, max=254)
    if address is not None:
        other = await customers.by_address(db, address.display)
        if other is None:
            form.wrong("address", "No record has this address. Look at how it is spelled.")
        elif other.id == id:
            form.wrong("address", "This is the address of this very record. Type the other.")
        else:
            return redirect(f"{LIST}/{id}/merge/{other.id}")
    return await _find(db, who, looks, id, form)


@get("/customers/{id:uuid}/merge/{other:uuid}", guards=_MERGE, include_in_schema=False)
async def get_comparison(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
    other: FromPath[UUID],
) -> Response[Any]:
    """Show both records side by side, and what a merge of them comes to."""
    kept, gone = await customers.get(db, id), await customers.get(db, other)
    form = Form.of(version=str(kept.version), other_version=str(gone.version))
    return await _compared(db, who, looks, (kept, gone), form)


@post(
    "/customers/{id:uuid}/merge/{other:uuid}",
    guards=_MERGE,
    request_max_body_size=_BODY,
    include_in_schema=False,
)
async def post_comparison(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    *,
    id: FromPath[UUID],
    other: FromPath[UUID],
) -> Response[Any]:
    """Merge what the page showed, once the address that goes is typed and the rest is ticked."""
    kept, gone = await customers.get(db, id), await customers.get(db, other)
    form = await read_form(request)
    versions = [form.integer(name, max=2**31 - 1) for name in ("version", "other_version")]
    address = form.parsed("address", customers.parse, max=254)
    if address is not None and address.folded != customers.fold(gone.address):
        form.wrong("address", "This is not the address of the record that goes. Type that one.")
    if not form.boolean("same"):
        form.wrong("same", "Tick that both are the same person. It cannot be undone.")
    if not form.problems:
        try:
            await merging.merge(
                db, who.actor, id, other, expected=versions[0], expected_gone=versions[1]
            )
            return redirect(f"{LIST}/{id}", say="Merged. The other record is part of this one.")
        except UnknownCustomer:
            raise
        except (Invalid, Conflict) as refusal:
            form.take(refusal)
            if isinstance(refusal, Stale):
                kept, gone = await customers.get(db, id), await customers.get(db, other)
                form.values["version"] = [str(kept.version)]
                form.values["other_version"] = [str(gone.version)]
    return await _compared(db, who, looks, (kept, gone), form)


async def _find(
    db: ReadDb, who: Member, looks: Looks, customer_id: UUID, form: Form
) -> Response[Any]:
    customer = await customers.get(db, customer_id)
    reason = await staff.reason_for(db, who, customer_id)
    if reason is None:
        return ask_why(customer_id, Form())
    await looks.record([customer_id], reason=reason)
    return page(
        "privacy/pages/merge_find.html",
        status=422 if form.problems else 200,
        request_path=f"{LIST}/{customer_id}/merge",
        customer=customer,
        form=form,
    )


async def _compared(
    db: ReadDb, who: Member, looks: Looks, both: tuple[Customer, Customer], form: Form
) -> Response[Any]:
    """Show both; the reason for opening the one that is kept counts for both, and both read it."""
    kept, gone = both
    reason = await staff.reason_for(db, who, kept.id)
    if reason is None:
        return ask_why(kept.id, Form())
    await looks.record([kept.id, gone.id], reason=reason)
    mine, others = await customers.held(db, kept), await customers.held(db, gone)
    return page(
        "privacy/pages/merge.html",
        status=422 if form.problems else 200,
        request_path=f"{LIST}/{kept.id}/merge/{gone.id}",
        kept=mine,
        gone=others,
        attributes=_pairs(mine.attributes, others.attributes),
        plan=await merging.plan(db, kept.id, gone.id),
        spoken=language,
        form=form,
    )


def _pairs(
    mine: list[AttributeValue], others: list[AttributeValue]
) -> list[tuple[str, AttributeValue | None, AttributeValue | None]]:
    """Put what both know of one thing beside each other."""
    known = {each.name: each for each in mine}
    told = {each.name: each for each in others}
    names = {each.name: each.label for each in (*mine, *others)}
    return [(label, known.get(name), told.get(name)) for name, label in names.items()]


handlers = [get_merge, post_merge, get_comparison, post_comparison]
