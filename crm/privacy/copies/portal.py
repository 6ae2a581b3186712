"""Her copy of everything: she asks, sees how far it is, and downloads it."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from crm import privacy
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.events import Actor
from crm.privacy import brought, copies
from crm.privacy.copies.download import download
from crm.privacy.mailbox import afresh, signed_in_at
from crm.web.forms import read_form
from crm.web.pages import page, redirect

COPY = "/me/copy"
_SHOWN = 200
_BODY = 4 * 1024


@get("/copy")
async def get_copy(
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Show how far her copy is, and until when it can be taken."""
    copy = await copies.newest(db, Actor.customer(me.id), me.id)
    came = bool(await brought.newest(db, me.id, 1))
    return page("privacy/pages/take.html", copy=copy, business=business, came=came)


@get("/brought")
async def get_brought(db: NamedDependency[ReadDb], me: NamedDependency[Customer]) -> Response[Any]:
    """Show the newest of what she brought along from another business; all is in her copy."""
    held = await brought.newest(db, me.id, _SHOWN)
    return page("privacy/pages/brought.html", held=held, most=_SHOWN)


@post("/copy", request_max_body_size=_BODY)
async def post_copy(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Ask for a copy; asked twice, it is the same one, unless she wants one that is ready anew."""
    form = await read_form(request)
    if not privacy.fresh(signed_in_at(request), db.now):
        return afresh(me, COPY, "copy")
    await privacy.ask(db, Actor.customer(me.id), me.id, anew=form.boolean("anew"))
    return redirect(COPY)


@get("/copy/file")
async def get_copy_file(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], me: NamedDependency[Customer]
) -> Response[Any]:
    """Give her the file. Nothing changes by it: that she asked is recorded already."""
    if not privacy.fresh(signed_in_at(request), db.now):
        return afresh(me, COPY, "copy")
    mine = Actor.customer(me.id)
    copy = await copies.to_take(db, mine, me.id)
    return download(request.app.state.database, db.business_id, copy)


handlers = [get_copy, get_brought, post_copy, get_copy_file]
