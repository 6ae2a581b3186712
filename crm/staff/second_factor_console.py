"""Pages about the second factor: type its code, set it up, take it away, insist on it."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency

from crm import staff
from crm.businesses import Business
from crm.db import Db
from crm.staff import Member, second_factor
from crm.staff.console import (
    ACCOUNT,
    OPEN_BODY,
    PASSWORD_SET,
    WITHOUT_FACTOR,
    account_page,
    entered,
    welcome,
)
from crm.staff.entering import check_again, prove_factor, tell
from crm.staff.factor import TicketOver, WrongFactor
from crm.staff.model import News, WrongPassword
from crm.web.csrf import same_site
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.transaction import reading, writing


@post("/second-factor", guards=[same_site], status_code=303, request_max_body_size=OPEN_BODY)
async def post_second_factor(
    request: Request[Any, Any, Any], business: NamedDependency[Business]
) -> Response[Any]:
    """Open a session for whoever gave the right password and now types the right code."""
    form = await read_form(request)
    ticket = form.typed("ticket")
    try:
        who, token, replaced = await prove_factor(request, ticket, form.typed("code"))
    except WrongFactor as refusal:
        form.take(refusal)
        shown = Form.of(ticket=ticket)
        shown.problems = form.problems
        return page("staff/pages/second_factor.html", status=422, form=shown)
    except TicketOver as over:
        return redirect("/staff/sign-in", say=over.message, tone="stop")
    say = PASSWORD_SET if replaced else ""
    return welcome(request, business, who, token, say=say)


@post("/account/second-factor", opt=WITHOUT_FACTOR, status_code=200)
async def post_begin(
    request: Request[Any, Any, Any],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Show a new secret to be read by a telephone; it counts once a code of it was typed."""
    form = await read_form(request)
    try:
        await check_again(request, who, form.typed("proof"))
    except WrongPassword as refusal:
        return await _refused(request, who, form, refusal)
    async with writing(request) as db:
        begun = await second_factor.begin(db, who, business)
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
        await check_again(request, who, form.typed("proof"))
    except WrongPassword as refusal:
        return await _refused(request, who, form, refusal)
    async with writing(request) as db:
        if await second_factor.drop(db, who.actor, who.id):
            await tell(request, db, who, News.factor_removed)
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
        codes = await second_factor.confirm(db, who, form.typed("code"))
    except WrongFactor as refusal:
        form.take(refusal)
        known = await second_factor.factor_of(db, who.id)
        if known is None or known.confirmed_at:
            return redirect(ACCOUNT, say="Begin anew, please.", tone="stop")
        begun = second_factor.shown_again(db, who, business, known)
        return page("staff/pages/set_up_factor.html", status=422, form=form, begun=begun)
    # Whoever was signed in elsewhere by the password alone proves it anew.
    await staff.close_others(db, who, request.scope["state"]["session_token"])
    await tell(request, db, who, News.factor_set_up)
    return page("staff/pages/recovery_codes.html", codes=codes)


async def _refused(
    request: Request[Any, Any, Any],
    who: Member,
    form: Form,
    refusal: WrongPassword,
) -> Response[Any]:
    form.wrong("proof", refusal.message)
    async with reading(request) as db:
        return await account_page(request, db, who, form, status=422)


open_handlers = [post_second_factor]
handlers = [post_begin, post_remove, post_confirm]
