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
from crm.access import SignedOut, mailed
from crm.access.auth import session_cookie
from crm.businesses import Business
from crm.campaigns.render import neutral
from crm.consent import OptIn
from crm.customers import Customer, UnknownCustomer
from crm.db import Db, ReadDb
from crm.events import Look
from crm.languages import gettext
from crm.privacy import Fingerprint, restriction
from crm.privacy.erasure.staying import would_stay
from crm.privacy.mailbox import afresh, signed_in_at
from crm.tokens import BadLink
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.paging import DEFAULT_LIMIT, Cursors
from crm.web.reader import language_cookie
from crm.web.refusals import pages_behind

DELETE = "/me/delete"
CONFIRM = "/me/deletion"
CERTIFICATE = "/erased"
_BODY = 4 * 1024
# When everything goes.
_NOW, _LATER = "now", "later"
_signed_out = pages_behind("/sign-in")[Exception]


class After(Struct, frozen=True):
    """The last look of a page."""

    id: UUID


@get("/")
async def get_home(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], me: NamedDependency[Customer]
) -> Response[Any]:
    """Show what we hold, what we sent, and who looked."""
    home = await privacy.home(db, me)
    proof: OptIn | None = request.scope["state"].get("mailbox")
    proved = home.silence is not None and home.silence.answered(proof)
    return page("privacy/pages/home.html", home=home, proved=proved, neutral=neutral)


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
    deletion = await privacy.wish(db, me.id)
    chosen = deletion.fingerprint if deletion else Fingerprint.keep
    inventory = await privacy.inventory(db, me)
    return page(
        "privacy/pages/delete.html",
        form=Form.of(fingerprint=chosen.value),
        inventory=inventory,
        stays=await would_stay(db, me, inventory),
        deletion=deletion,
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
    if await privacy.wish(db, me.id) is not None:
        said = gettext("Your record is frozen until it is deleted. Call the deletion off first.")
        return redirect(DELETE, say=said, tone="wait")
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
    # Whatever else was typed there: the choice that loses her nothing.
    chosen = Fingerprint.drop if fingerprint == Fingerprint.drop else Fingerprint.keep
    return await _last_page(db, me, chosen, Form.of())


@post("/deletion/call-off", request_max_body_size=_BODY)
async def post_call_off(db: NamedDependency[Db], me: NamedDependency[Customer]) -> Response[Any]:
    """Keep her record after all."""
    await privacy.call_off(db, me.id)
    return redirect(DELETE, say=gettext("Called off. Your record stays, and is used as before."))


def _pressed_again(request: Request[Any, Any, Any], exc: Exception) -> Response[Any]:
    """Lead to the certificate whoever presses a second time: her session went with her record.

    Where nothing was deleted, because the session had ended before, that page says so.
    """
    token = request.query_params.get("record", "")
    keys, business_id = request.app.state.database.keys, request.scope["state"]["business_id"]
    try:
        privacy.open_certificate(keys, business_id, token)
    except BadLink:
        return _signed_out(request, exc)
    return redirect(f"{CERTIFICATE}/{token}")


@post(
    "/deletion/confirmation",
    request_max_body_size=_BODY,
    exception_handlers={SignedOut: _pressed_again},
)
async def post_deletion_confirmation(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Delete everything, sign out, and lead to what stays; or in some days, as she chose."""
    form = await read_form(request)
    fingerprint = form.choice("fingerprint", Fingerprint) or Fingerprint.keep
    when = form.choice("when", (_NOW, _LATER))
    if not privacy.fresh(signed_in_at(request), db.now):
        return _afresh(me)
    if form.problems:
        return await _last_page(db, me, fingerprint, form)
    try:
        if when == _LATER:
            await privacy.plan(db, me, fingerprint)
            said = gettext("It is noted. Nothing of yours is used from now on.")
            return redirect(DELETE, say=said, tone="wait")
        await privacy.erase_herself(db, me, fingerprint)
    except UnknownCustomer:
        # Her press in another tab was a moment sooner.
        pass
    token = privacy.certificate_token(db.keys, db.business_id, me.id)
    answer = redirect(f"{CERTIFICATE}/{token}", say=_gone())
    answer.cookies += [session_cookie(business, ""), language_cookie(request)]
    answer.cookies.append(mailed.forgotten(request))
    return answer


async def _last_page(
    db: ReadDb, me: Customer, fingerprint: Fingerprint, form: Form
) -> Response[Any]:
    return page(
        "privacy/pages/confirm.html",
        status=422 if form.problems else 200,
        request_path=DELETE,
        fingerprint=fingerprint,
        inventory=await privacy.inventory(db, me),
        form=form,
        grace=privacy.GRACE.days,
        # Known before, so that whoever presses twice finds it.
        token=privacy.certificate_token(db.keys, db.business_id, me.id),
    )


def _gone() -> str:
    return gettext(
        "Everything we held about you is gone. You are signed out, and nothing more is sent to "
        "you; only a mail that was on its way in that very second may still arrive."
    )


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
