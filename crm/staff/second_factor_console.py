"""Pages about the second factor: type its code, set it up, take it away, insist on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import staff
from crm.businesses import Business
from crm.db import Db
from crm.staff import Member, Right, second_factor
from crm.staff.auth import begin_factor, drop_factor, may, prove_factor
from crm.staff.console import ACCOUNT, HOME, WITHOUT_FACTOR, account_page, entered
from crm.staff.model import WrongPassword
from crm.staff.second_factor import TicketOver, WrongFactor
from crm.web.csrf import same_site
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

_MEMBERS = "/staff/members"


@post("/second-factor", guards=[same_site], status_code=303)
async def post_second_factor(
    request: Request[Any, Any, Any], business: NamedDependency[Business]
) -> Response[Any]:
    """Open a session for whoever gave the right password and now types the right code."""
    form = await read_form(request)
    ticket = form.typed("ticket")
    try:
        _, token = await prove_factor(request, ticket, form.typed("code"))
    except WrongFactor as refusal:
        form.take(refusal)
        shown = Form.of(ticket=ticket)
        shown.problems = form.problems
        return page("staff/pages/second_factor.html", status=422, form=shown)
    except TicketOver as over:
        return redirect("/staff/sign-in", say=over.message, tone="stop")
    return entered(business, token, HOME)


@post("/account/second-factor", opt=WITHOUT_FACTOR, status_code=200)
async def post_begin(
    request: Request[Any, Any, Any],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Show a new secret to be read by a telephone; it counts once a code of it was typed."""
    form = await read_form(request)
    try:
        begun = await begin_factor(request, who, form.typed("proof"))
    except WrongPassword as refusal:
        return await _refused(request, who, business, form, refusal)
    return page("staff/pages/set_up_factor.html", form=Form(), begun=begun)


@post("/account/second-factor/removal", opt=WITHOUT_FACTOR, status_code=303)
async def post_remove(
    request: Request[Any, Any, Any],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Take one's own second factor away; every session ends, this one too."""
    form = await read_form(request)
    try:
        await drop_factor(request, who, form.typed("proof"))
    except WrongPassword as refusal:
        return await _refused(request, who, business, form, refusal)
    return entered(business, "", "/staff/sign-in", say="Removed. Please sign in again.")


@post("/account/second-factor/confirmation", opt=WITHOUT_FACTOR, status_code=200)
async def post_confirm(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Take the second factor by its first code; the answer shows codes for its loss, this once."""
    form = await read_form(request)
    try:
        codes = await second_factor.confirm_factor(db, who, form.typed("code"))
    except WrongFactor as refusal:
        form.take(refusal)
        known = await second_factor.factor_of(db, who.id)
        if known is None or known.confirmed_at:
            return redirect(ACCOUNT, say="Begin anew, please.", tone="stop")
        begun = second_factor.shown_again(db, who, business, known)
        return page("staff/pages/set_up_factor.html", status=422, form=form, begun=begun)
    # Whoever was signed in elsewhere by the password alone proves it anew.
    await staff.close_others(db, who, request.scope["state"]["session_token"])
    return page("staff/pages/recovery_codes.html", codes=codes)


@post("/members/{member_id:uuid}/second-factor", guards=[may(Right.manage_staff)], status_code=303)
async def post_drop(
    db: NamedDependency[Db], who: NamedDependency[Member], member_id: FromPath[UUID]
) -> Response[Any]:
    """Take away the second factor of somebody who lost it; she signs in by password and anew."""
    member = await staff.member(db, member_id)
    await second_factor.drop_factor(db, who.actor, member_id)
    say = f"{member.name} is signed out, and signs in by password until a new one is set up."
    return redirect(_MEMBERS, say=say)


@post("/members/second-factor", guards=[may(Right.manage_staff)], status_code=303)
async def post_rule(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Insist on a second factor for everybody who works here, or leave it open again."""
    form = await read_form(request)
    on = form.choice("decision", ["on", "off"]) == "on"
    form.refuse()
    await second_factor.insist(db, who.actor, on=on)
    say = (
        "From now on nobody works here without a second factor."
        if on
        else "Everybody decides about a second factor for herself or himself again."
    )
    return redirect(_MEMBERS, say=say)


async def _refused(
    request: Request[Any, Any, Any],
    who: Member,
    business: Business,
    form: Form,
    refusal: WrongPassword,
) -> Response[Any]:
    form.wrong("proof", refusal.message)
    async with request.app.state.database.read(business.id) as db:
        return await account_page(request, db, who, form, status=422)


open_handlers = [post_second_factor]
handlers = [post_begin, post_remove, post_confirm, post_drop, post_rule]
