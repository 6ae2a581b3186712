"""Settings of the business: what every mail and page says about whose it is."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from crm import businesses
from crm.businesses import Business, NewBusiness
from crm.db import Db
from crm.errors import Refused
from crm.events import Actor
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

_PATH = "/staff/settings"
_FIELDS = NewBusiness.__struct_fields__


# A right by name: the guard of the router asks for it, this domain lies below the one of roles.
@get("/settings", opt={"right": "change_business"}, sync_to_thread=False)
def get_settings(business: NamedDependency[Business]) -> Response[Any]:
    """Show what is known of the business."""
    known = {name: getattr(business, name) for name in _FIELDS}
    return page("businesses/pages/settings.html", form=Form.of(**known))


@post("/settings", opt={"right": "change_business"}, status_code=303)
async def post_settings(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    by: NamedDependency[Actor],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Replace what is known of the business, or show what is wrong with it."""
    form = await read_form(request)
    new = _read(form)
    if new is not None:
        try:
            changed = await businesses.change(db, by, new)
        except Refused as refusal:
            _take(form, refusal)
        else:
            return redirect(_PATH, say=_said(business, changed))
    return page("businesses/pages/settings.html", status=422, form=form)


def _read(form: Form) -> NewBusiness | None:
    given = {
        "name": form.text("name"),
        "legal_name": form.text("legal_name", max=300),
        "postal_address": form.text("postal_address", max=500, lines=True),
        "sender_name": form.text("sender_name"),
        "sender_address": form.address("sender_address"),
        "privacy_contact": form.address("privacy_contact"),
        "locale": form.text("locale"),
        "time_zone": form.text("time_zone"),
        "origin": form.text("origin"),
    }
    if given["time_zone"] and given["time_zone"] not in available_timezones():
        form.wrong("time_zone", "There is no such time zone. One looks like Europe/Lisbon.")
    if form.problems:
        return None
    try:
        return msgspec.convert(given, NewBusiness)
    except msgspec.ValidationError:
        # The one pattern that the form does not know by itself.
        form.wrong("locale", "A language looks like en, de or pt-BR.")
        return None


def _take(form: Form, refusal: Refused) -> None:
    # Whatever an action refuses here, it refuses because of the origin.
    form.wrong("origin", refusal.message)


def _said(before: Business, after: Business) -> str:
    if before.origin == after.origin:
        return "Saved. The next mail and the next page say so."
    return f"Saved. Your pages answer at {after.origin} from now on, and no longer here."


handlers = [get_settings, post_settings]
