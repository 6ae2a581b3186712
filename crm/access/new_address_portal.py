"""Her address changes: she names the new one, and its mailbox answers."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import customers
from crm.access import new_address
from crm.access.auth import Tries
from crm.access.model import AskedAgain, LinkOver, SameAddress, WrongCode, fresh
from crm.access.new_address import HERE
from crm.consent import Notice
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.languages import gettext, marked, ngettext
from crm.web.forms import Form, read_form
from crm.web.pages import Flash, page, redirect

_BODY = 20_000
_CHANGED = marked(
    "What you allow, or its words, changed since you opened this page, so your address was not "
    "changed. Read it as it is now, and confirm anew."
)


@get("/address")
async def get_address(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], me: NamedDependency[Customer]
) -> Response[Any]:
    """Ask for the new address, and where one waits, for the code that was mailed there."""
    if await new_address.waiting(db, me.id) is None and not _fresh(request, db):
        return page("access/pages/address_afresh.html", status=403, address=me.address)
    return await _shown(request, db, me, Form())


@post("/address", request_max_body_size=_BODY)
async def post_address(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Mail the new address; the answer is the same whoever has it, and nothing changes yet."""
    if not _fresh(request, db):
        return page("access/pages/address_afresh.html", status=403, address=me.address)
    form = await read_form(request)
    address = form.parsed("address", customers.parse, max=1000)
    if address is None:
        return await _shown(request, db, me, form)
    try:
        wait = await new_address.ask(db, me, address)
    except SameAddress as wrong:
        form.take(wrong)
        return await _shown(request, db, me, form)
    if wait:
        minutes = math.ceil(wait / 60)
        again = ngettext(
            "You asked for this a few times already, so no mail was sent. Ask again in a minute.",
            "You asked for this a few times already, so no mail was sent. Ask again in %(number)s "
            "minutes.",
            minutes,
        )
        return redirect(HERE, say=again, tone="wait")
    return redirect(
        HERE, say=gettext("A mail is on its way there. Nothing changes until you confirm it.")
    )


@post(
    "/address/code",
    guards=[Tries("address_code")],
    request_max_body_size=_BODY,
    opt={"holds_her": True},
)
async def post_code(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Make the new address hers by the typed code."""
    form = await read_form(request)
    code = form.text("code", max=40)
    if form.problems:
        return await _shown(request, db, me, form)
    return await _confirmed(request, db, me, form, code=code)


@get("/address/{token:str}")
async def get_link(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    token: FromPath[str],
) -> Response[Any]:
    """Show the button that makes the new address hers; opening it has changed nothing."""
    try:
        await new_address.named(db, me.id, token)
    except LinkOver:
        return await _over(db, me)
    return await _shown(request, db, me, Form(), token=token)


@post("/address/{token:str}", request_max_body_size=_BODY, opt={"holds_her": True})
async def post_link(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    me: NamedDependency[Customer],
    token: FromPath[str],
) -> Response[Any]:
    """Make the new address hers by the link, once."""
    return await _confirmed(request, db, me, await read_form(request), token=token)


async def _confirmed(
    request: Request[Any, Any, Any],
    db: Db,
    me: Customer,
    form: Form,
    *,
    token: str | None = None,
    code: str = "",
) -> Response[Any]:
    try:
        change = await new_address.held(db, me.id, token)
    except LinkOver:
        return await _over(db, me)
    again = _said_again(form, await new_address.asked_again(db, me))
    if again is None:
        flash = Flash(gettext(_CHANGED), "wait")
        return await _shown(request, db, me, Form(), token=token, status=409, flash=flash)
    session = request.scope["state"]["session_token"]
    try:
        changed = await new_address.confirm(
            db, me, change, again, session=session, token=token, code=code
        )
    except WrongCode as wrong:
        form.take(wrong)
        return await _shown(request, db, me, form)
    return redirect(
        "/me/details", say=gettext("Your address is %(address)s now.", address=changed.address)
    )


async def _over(db: ReadDb, me: Customer) -> Response[Any]:
    """Say that it is over, and which address she has by now: she may have pressed twice."""
    now = await customers.get(db, me.id)
    return page("access/pages/address_over.html", status=404, address=now.address)


def _said_again(form: Form, asked: list[AskedAgain]) -> dict[UUID, Notice] | None:
    """Read the texts she ticked; None where the page showed others than she is asked with now."""
    texts = {str(each.notice.id): each.notice for each in asked if each.notice is not None}
    if set(form.values.get("shown", ())) != set(texts):
        return None
    ticked = [texts[each] for each in form.values.get("again", ()) if each in texts]
    return {each.purpose_id: each for each in ticked}


async def _shown(
    request: Request[Any, Any, Any],
    db: ReadDb,
    me: Customer,
    form: Form,
    *,
    token: str | None = None,
    status: int = 0,
    flash: Flash | None = None,
) -> Response[Any]:
    values: dict[str, Any] = {"flash": flash} if flash else {}
    return page(
        "access/pages/address.html",
        status=status or (422 if form.problems else 200),
        form=form,
        token=token or "",
        change=await new_address.waiting(db, me.id),
        asked=await new_address.asked_again(db, me),
        fresh=_fresh(request, db),
        **values,
    )


def _fresh(request: Request[Any, Any, Any], db: ReadDb) -> bool:
    signed_in_at: datetime = request.scope["state"]["signed_in_at"]
    return fresh(signed_in_at, db.now)


handlers = [get_address, post_address, post_code, get_link, post_link]
