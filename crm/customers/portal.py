"""What a customer changes of her own details: /me/details."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from msgspec import Struct

from crm import customers
from crm.businesses import Business
from crm.customers import Attribute, AttributeValue, Changes, Customer, ValueNotAllowed
from crm.customers.language import languages
from crm.customers.model import changed
from crm.customers.value import LONGEST_TEXT
from crm.customers.zones import zones
from crm.db import Db, ReadDb
from crm.errors import Invalid
from crm.events import Actor
from crm.languages import chosen, gettext, language, speak
from crm.web.forms import Form, read_form, shown_as, touched
from crm.web.pages import page, redirect


class _Hers(Struct, frozen=True):
    """An attribute that she may correct, and what it says now, as a form shows it."""

    name: str
    attribute: Attribute
    text: str


@get("/details", include_in_schema=False)
async def get_details(
    db: NamedDependency[ReadDb], me: NamedDependency[Customer], business: NamedDependency[Business]
) -> Response[Any]:
    """Show what she may change herself: name, language, time zone, and attributes that are hers."""
    held = _held(me, await _hers(db, me))
    shown = {shown_as(name): text for name, text in held.items()}
    return await _details(db, me, business, Form.of(**held, **shown))


@post("/details", include_in_schema=False)
async def post_details(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Change what she changed of name, language, time zone and attributes that are hers.

    What was shown and is sent back stays as it is now: a page that is open in another tab takes
    nothing back that was saved meanwhile, and no retention begins anew.
    """
    form = await read_form(request)
    hers = await _hers(db, me)
    held = _held(me, hers)
    codes = [code for code, _ in languages(me.locale)]
    read: dict[str, Any] = {
        "name": form.text("name", required=False),
        "locale": form.choice("locale", codes, required=False),
        "time_zone": form.text("time_zone", required=False, max=64),
    }
    changes = Changes(
        **{name: value for name, value in read.items() if touched(form, name, held[name])}
    )
    given = {
        each.name: form.text(field, required=False, max=LONGEST_TEXT, lines=True) or None
        for each in hers
        if touched(form, field := _field(each.name), each.text)
    }
    if not form.problems:
        try:
            # Before anything is set: nothing is kept of a form that is shown again.
            changed(me, changes)
            await customers.set_attributes(db, Actor.customer(me.id), me.id, given)
            her = await customers.change(db, Actor.customer(me.id), me.id, changes)
            speak(chosen(her.locale) or language())
            return redirect("/me", say=gettext("Changed."))
        except (Invalid, ValueNotAllowed) as refusal:
            form.take(refusal)
    return await _details(db, me, business, form)


async def _hers(db: ReadDb, me: Customer) -> list[_Hers]:
    held = {each.name: each for each in await customers.values(db, me.id)}
    return [
        _Hers(each.name, each, _written(held.get(each.name)))
        for each in await customers.attributes(db)
        if each.hers
    ]


def _written(value: AttributeValue | None) -> str:
    if value is None:
        return ""
    return str(value.value).lower() if isinstance(value.value, bool) else str(value.value)


def _field(name: str) -> str:
    return f"attributes/{name}"


def _held(me: Customer, hers: list[_Hers]) -> dict[str, str]:
    """Return what the form shows of her, by the names of its fields."""
    held = {"name": me.name, "locale": me.locale, "time_zone": me.time_zone}
    return held | {_field(each.name): each.text for each in hers}


async def _details(db: ReadDb, me: Customer, business: Business, form: Form) -> Response[Any]:
    hers = await _hers(db, me)
    return page(
        "customers/pages/details.html",
        status=422 if form.problems else 200,
        form=form,
        address=me.address,
        languages=languages(me.locale),
        zones=zones(business.country, me.time_zone),
        hers=[each.attribute for each in hers],
    )


handlers = [get_details, post_details]
