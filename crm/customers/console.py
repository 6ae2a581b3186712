"""Customers for staff: the list, a customer's record after a reason was given, and forms."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from crm import customers, staff
from crm.customers import (
    AttributeType,
    Changes,
    Customer,
    LawfulBasis,
    NewAttribute,
    NewCustomer,
    Place,
    Source,
    Stale,
    WhenNotAllowed,
    values_console,
)
from crm.customers.asking_why import ask_why, post_look
from crm.customers.basis import BASES
from crm.customers.language import language, languages
from crm.db import Db, ReadDb
from crm.errors import Conflict, Invalid
from crm.staff import LISTED, Member, Right
from crm.staff.auth import Looks, may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.paging import DEFAULT_LIMIT, Cursors

SEE = [may(Right.see_customers)]
CHANGE = [may(Right.change_customers)]
DECLARE = [may(Right.edit_purposes)]

LIST = "/staff/customers"
_NEWEST = 20


@get("/customers", guards=SEE, include_in_schema=False)
async def get_customers(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    after: FromQuery[str | None] = None,
) -> Response[Any]:
    """Show customers, the newest first; each of them can see that the list was opened."""
    cursors = Cursors(db.keys, db.business_id, "staff/customers")
    rows = await customers.page(db, after=cursors.open(after, Place), limit=DEFAULT_LIMIT + 1)
    shown = cursors.cut(rows, DEFAULT_LIMIT, lambda row: Place(row.created_at, row.id))
    await looks.record([row.id for row in shown.rows], reason=LISTED)
    return page(
        "customers/pages/list.html",
        found=shown.rows,
        form=Form(),
        searched=False,
        after=shown.after,
        first=after is None,
        more=False,
        may_change=who.may(Right.change_customers),
        spoken=language,
    )


@post("/customers/search", guards=SEE, status_code=200, include_in_schema=False)
async def post_search(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
) -> Response[Any]:
    """Show whom a search finds; by POST, because an address belongs in no URL."""
    form = await read_form(request)
    words = form.text("words", max=254)
    found = await customers.find(db, words, limit=DEFAULT_LIMIT + 1) if words else []
    shown = found[:DEFAULT_LIMIT]
    await looks.record([row.id for row in shown], reason=LISTED)
    return page(
        "customers/pages/list.html",
        status=422 if form.problems else 200,
        found=shown,
        form=form,
        searched=True,
        after=None,
        first=True,
        more=len(found) > DEFAULT_LIMIT,
        may_change=who.may(Right.change_customers),
        spoken=language,
    )


@get("/customers/new", guards=CHANGE, include_in_schema=False, sync_to_thread=False)
def get_new_customer() -> Response[Any]:
    """Show the form for a new customer."""
    return page("customers/pages/add.html", form=Form(), languages=languages())


@post("/customers", guards=CHANGE, include_in_schema=False)
async def post_customer(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Add a customer, to whom nothing may be sent before she has said so herself."""
    form = await read_form(request)
    address = form.parsed("address", customers.parse, max=254)
    new = NewCustomer(
        address=address.display if address else "",
        name=form.text("name", required=False),
        locale=form.choice("locale", [code for code, _ in languages()], required=False) or "",
        time_zone=form.text("time_zone", required=False, max=64),
        external_id=form.text("external_id", required=False) or None,
    )
    if not form.problems:
        try:
            customer = await customers.add(db, who.actor, new, source=Source.staff)
        except (Invalid, Conflict) as refusal:
            form.take(refusal)
        else:
            await staff.give_reason(db, who, customer.id, "added this record")
            return redirect(f"{LIST}/{customer.id}", say="Added. Nothing may be sent yet.")
    return page("customers/pages/add.html", status=422, form=form, languages=languages())


@get("/customers/{id:uuid}", guards=SEE, include_in_schema=False)
async def get_customer(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show a customer's record, or ask first why it is opened."""
    customer = await customers.get(db, id)
    reason = await staff.reason_for(db, who, id)
    if reason is None:
        return ask_why(id, Form())
    await looks.record([id], reason=reason)
    return await _record(db, who, customer, reason, Form())


@post("/customers/{id:uuid}/notes", guards=CHANGE, include_in_schema=False)
async def post_note(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Add a note, which the customer can read."""
    form = await read_form(request)
    title = form.text("title", max=300)
    detail = form.text("detail", required=False, max=10_000, lines=True)
    if not form.problems:
        await customers.note(db, who.actor, id, title, detail)
        return redirect(f"{LIST}/{id}", say="The note is added. The customer can read it.")
    customer = await customers.get(db, id)
    await looks.record([id])
    reason = await staff.reason_for(db, who, id)
    return await _record(db, who, customer, reason or "", form)


@get("/customers/{id:uuid}/change", guards=CHANGE, include_in_schema=False)
async def get_change(
    db: NamedDependency[ReadDb], looks: NamedDependency[Looks], id: FromPath[UUID]
) -> Response[Any]:
    """Show the form that changes a customer."""
    customer = await customers.get(db, id)
    await looks.record([id])
    form = Form.of(
        name=customer.name,
        locale=customer.locale,
        time_zone=customer.time_zone,
        external_id=customer.external_id or "",
        version=str(customer.version),
    )
    return _change(customer, form)


@post("/customers/{id:uuid}/change", guards=CHANGE, include_in_schema=False)
async def post_change(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Change exactly the version that the form showed."""
    customer = await customers.get(db, id)
    form = await read_form(request)
    codes = [code for code, _ in languages(customer.locale)]
    version = form.integer("version", max=2**31 - 1)
    changes = Changes(
        name=form.text("name", required=False),
        locale=form.choice("locale", codes, required=False),
        time_zone=form.text("time_zone", required=False, max=64),
        external_id=form.text("external_id", required=False) or None,
    )
    if not form.problems:
        try:
            await customers.change(db, who.actor, id, changes, expected=version)
            return redirect(f"{LIST}/{id}", say="Changed.")
        except (Invalid, Conflict) as refusal:
            form.take(refusal)
            if isinstance(refusal, Stale):
                # What was typed stays; pressing again puts it over what somebody else wrote.
                form.values["version"] = [str(customer.version)]
    await looks.record([id])
    return _change(customer, form)


@post("/customers/{id:uuid}/restriction", guards=CHANGE, include_in_schema=False)
async def post_restriction(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Freeze a customer's data; how a freeze ends is a matter of crm/privacy."""
    form = await read_form(request)
    form.choice("decision", ("freeze",))
    form.refuse()
    await customers.restrict(db, who.actor, id)
    return redirect(f"{LIST}/{id}", say="Frozen: kept, and used for nothing.")


@get("/attributes", guards=SEE, include_in_schema=False)
async def get_attributes(
    db: NamedDependency[ReadDb], who: NamedDependency[Member]
) -> Response[Any]:
    """Show what is declared: every attribute and every kind of interaction."""
    return await _declared(db, who, Form())


@post("/attributes", guards=DECLARE, include_in_schema=False)
async def post_attribute(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Declare an attribute, or say anew what one is for."""
    form = await read_form(request)
    name = form.text("name", max=63)
    label = form.text("label")
    kind = form.choice("type", AttributeType)
    purpose = form.text("purpose", max=500)
    retention = form.text("retention", max=20).upper()
    basis = form.choice("basis", LawfulBasis)
    origin = form.text("origin", max=500)
    ends_with = form.parsed("purpose_id", _purpose, required=False)
    otherwise = form.choice("not_allowed", WhenNotAllowed, required=False)
    if not form.problems and kind is not None and basis is not None:
        new = NewAttribute(
            label=label,
            type=kind,
            purpose=purpose,
            basis=basis,
            origin=origin,
            retention=retention,
            hers=form.boolean("hers"),
            purpose_id=ends_with,
            not_allowed=otherwise or WhenNotAllowed.refuse,
        )
        try:
            await customers.declare_attribute(db, who.actor, name, new)
            return redirect("/staff/attributes", say=f"Declared: {label}.")
        except (Invalid, Conflict) as refusal:
            form.take(refusal)
    return await _declared(db, who, form)


async def _record(
    db: ReadDb, who: Member, customer: Customer, reason: str, form: Form
) -> Response[Any]:
    # What tells of health, belief, politics or sexual life is not for every role (Art. 9 GDPR).
    special = who.may(Right.see_special)
    happened = await customers.interactions(db, customer.id, limit=_NEWEST + 1, special=special)
    tags = await customers.tags_of(db, customer.id, special=special)
    has = {each.name for each in tags}
    return page(
        "customers/pages/customer.html",
        status=422 if form.problems else 200,
        customer=customer,
        reason=reason,
        form=form,
        held=await customers.values(db, customer.id, special=special),
        tags=tags,
        offered=[(e.name, e.label) for e in await customers.tags(db) if e.name not in has],
        happened=happened[:_NEWEST],
        more=len(happened) > _NEWEST,
        may_change=who.may(Right.change_customers),
        spoken=language,
    )


def _change(customer: Customer, form: Form) -> Response[Any]:
    return page(
        "customers/pages/change.html",
        status=422 if form.problems else 200,
        customer=customer,
        form=form,
        languages=languages(customer.locale),
    )


async def _declared(db: ReadDb, who: Member, form: Form) -> Response[Any]:
    return page(
        "customers/pages/attributes.html",
        status=422 if form.problems else 200,
        attributes=await customers.attributes(db),
        kinds=await customers.kinds(db),
        types=[(each.value, each.value) for each in AttributeType],
        bases={basis.value: words for basis, words in BASES.items()},
        form=form,
        purposes=await customers.purposes_to_end_with(db),
        may_declare=who.may(Right.edit_purposes),
    )


def _purpose(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        sentence = "Please choose one of these."
        raise Invalid(sentence) from None


handlers = [
    get_customers,
    post_search,
    get_new_customer,
    post_customer,
    get_customer,
    post_look,
    post_note,
    get_change,
    post_change,
    *values_console.handlers,
    post_restriction,
    get_attributes,
    post_attribute,
]
