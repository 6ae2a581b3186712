"""Her own pages: what we hold, who looked, a copy to take away, and the way to delete it all."""

from __future__ import annotations

from datetime import date
from itertools import groupby
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from crm import events, privacy
from crm.access.auth import session_cookie
from crm.businesses import Business
from crm.campaigns.render import neutral
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.events import Look
from crm.languages import gettext
from crm.privacy import Fingerprint, restriction
from crm.privacy.erasure.staying import would_stay
from crm.privacy.mailbox import afresh, signed_in_at
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.paging import DEFAULT_LIMIT, Cursors

DELETE = "/me/delete"
CONFIRM = "/me/deletion"
_BODY = 4 * 1024
# When everything goes.
_NOW, _LATER = "now", "later"


class After(Struct, frozen=True):
    """The last look of a page."""

    id: UUID


@get("/")
async def get_home(db: NamedDependency[ReadDb], me: NamedDependency[Customer]) -> Response[Any]:
    """Show what we hold, what we sent, and who looked."""
    return page("privacy/pages/home.html", home=await privacy.home(db, me), neutral=neutral)


@get("/looks")
async def get_looks(
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
    after: FromQuery[str | None] = None,
) -> Response[Any]:
    """Show everybody who opened or copied her record, newest first."""
    cursors = Cursors(db.keys, db.business_id, "me/looks")
    begun = cursors.open(after, After)
    found = await events.looks_at(
        db, me.id, before=begun.id if begun else None, limit=DEFAULT_LIMIT + 1
    )
    shown = cursors.cut(found, DEFAULT_LIMIT, lambda event: After(event.id))
    return page(
        "privacy/pages/looks.html",
        days=_by_day(shown.rows, business),
        older=f"/me/looks?after={shown.after}" if shown.after else "",
        newest="/me/looks" if begun else "",
    )


@get("/delete")
async def get_delete(db: NamedDependency[ReadDb], me: NamedDependency[Customer]) -> Response[Any]:
    """Show the three ways to go, and exactly what goes and what stays; or what she waits for."""
    form = Form.of(fingerprint=Fingerprint.keep.value)
    inventory = await privacy.inventory(db, me)
    return page(
        "privacy/pages/delete.html",
        form=form,
        inventory=inventory,
        stays=await would_stay(db, me, inventory),
        deletion=await privacy.wish(db, me.id),
        ends=await restriction.ending(db, me.id),
    )


@post("/restriction", request_max_body_size=_BODY)
async def post_restriction(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Freeze her record, or have it used again; both count at once."""
    form = await read_form(request)
    decision = form.choice("decision", ("freeze", "free"))
    form.refuse()
    if decision == "freeze":
        await privacy.freeze_herself(db, me)
        return redirect(
            DELETE, say=gettext("Your record is frozen. Nothing is sent until you say so.")
        )
    await privacy.free_herself(db, me)
    return redirect(DELETE, say=gettext("Your record is no longer frozen."))


@post("/deletion", request_max_body_size=_BODY)
async def post_deletion(request: Request[Any, Any, Any]) -> Response[Any]:
    """Take the choice and lead to the last page before it; nothing is deleted yet."""
    form = await read_form(request)
    fingerprint = form.choice("fingerprint", Fingerprint)
    form.refuse()
    return redirect(f"{CONFIRM}?fingerprint={fingerprint}")


@get("/deletion")
async def get_deletion(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    fingerprint: FromQuery[str] = Fingerprint.keep,
) -> Response[Any]:
    """Show the button that deletes everything, to whoever has just come from her mailbox."""
    if not privacy.fresh(signed_in_at(request), db.now):
        return _afresh(me)
    return page(
        "privacy/pages/confirm.html",
        request_path=DELETE,
        # Whatever else was typed there: the choice that loses her nothing.
        fingerprint=Fingerprint.drop if fingerprint == Fingerprint.drop else Fingerprint.keep,
        inventory=await privacy.inventory(db, me),
        form=Form.of(when=_NOW),
        grace=privacy.GRACE.days,
    )


@post("/deletion/call-off", request_max_body_size=_BODY)
async def post_call_off(db: NamedDependency[Db], me: NamedDependency[Customer]) -> Response[Any]:
    """Keep her record after all."""
    await privacy.call_off(db, me.id)
    return redirect(DELETE, say=gettext("Called off. Your record stays, and is used as before."))


@post("/deletion/confirmation", request_max_body_size=_BODY)
async def post_deletion_confirmation(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Delete everything, sign out, and say what stays; or in some days, as she chose."""
    form = await read_form(request)
    fingerprint = form.choice("fingerprint", Fingerprint) or Fingerprint.keep
    when = form.choice("when", (_NOW, _LATER), required=False)
    form.refuse()
    if not privacy.fresh(signed_in_at(request), db.now):
        return _afresh(me)
    if when == _LATER:
        await privacy.plan(db, me, fingerprint)
        return redirect(
            DELETE, say=gettext("It is noted. Nothing of yours is used from now on."), tone="wait"
        )
    erased = await privacy.erase_herself(db, me, fingerprint)
    signed = await privacy.certificate(db, me.id)
    # The layout must not greet, nor a form be marked for, somebody who is no more.
    request.scope["state"].update(me=None, session_secret=None)
    answer = page(
        "privacy/pages/deleted.html",
        erased=erased,
        certificate=signed.certificate,
        token=privacy.certificate_token(db.keys, db.business_id, me.id),
    )
    answer.cookies.append(session_cookie(business, ""))
    return answer


def _by_day(looks: list[Look], business: Business) -> list[tuple[date, list[Look]]]:
    """Group looks by the day that it was for the business."""
    zone = ZoneInfo(business.time_zone)
    days = groupby(looks, lambda look: look.at.astimezone(zone).date())
    return [(day, list(among)) for day, among in days]


def _afresh(me: Customer) -> Response[Any]:
    return afresh(me, DELETE, "deletion")


handlers = [
    get_home,
    get_looks,
    get_delete,
    post_restriction,
    post_deletion,
    get_deletion,
    post_call_off,
    post_deletion_confirmation,
]
