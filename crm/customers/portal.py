"""What a customer changes of her own details: /me/details."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from crm import customers
from crm.customers import Changes, Customer
from crm.customers.language import languages
from crm.db import Db
from crm.errors import Invalid
from crm.events import Actor
from crm.languages import gettext
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect


@get("/details", include_in_schema=False, sync_to_thread=False)
def get_details(me: NamedDependency[Customer]) -> Response[Any]:
    """Show the form with name, language and time zone."""
    return _details(me, Form.of(name=me.name, locale=me.locale, time_zone=me.time_zone))


@post("/details", include_in_schema=False)
async def post_details(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Change name, language and time zone; the address has a page of its own."""
    form = await read_form(request)
    codes = [code for code, _ in languages(me.locale)]
    changes = Changes(
        name=form.text("name", required=False),
        locale=form.choice("locale", codes, required=False),
        time_zone=form.text("time_zone", required=False, max=64),
    )
    if not form.problems:
        try:
            await customers.change(db, Actor.customer(me.id), me.id, changes)
            return redirect("/me", say=gettext("Changed."))
        except Invalid as refusal:
            form.take(refusal)
    return _details(me, form)


def _details(me: Customer, form: Form) -> Response[Any]:
    return page(
        "customers/pages/details.html",
        status=422 if form.problems else 200,
        form=form,
        address=me.address,
        languages=languages(me.locale),
    )


handlers = [get_details, post_details]
