"""The old mailbox undoes a change of address, by the link of its mail alone."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import customers, privacy
from crm.access import LinkOver, new_address
from crm.db import Db, ReadDb
from crm.web.pages import page
from crm.web.reader import prefer_hers

_BODY = 20_000


@get("/undo/{token:str}")
async def get_undo(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], token: FromPath[str]
) -> Response[Any]:
    """Show the button that puts the old address back."""
    try:
        found = await new_address.undoable(db, token)
    except LinkOver:
        return page("access/pages/undo_over.html", status=404)
    prefer_hers(request, (await customers.get(db, found.customer_id)).locale)
    masked = customers.masked(found.address)
    return page("access/pages/undo.html", change=found, masked=masked, token=token)


@post("/undo/{token:str}", status_code=200, request_max_body_size=_BODY)
async def post_undo(
    request: Request[Any, Any, Any], db: NamedDependency[Db], token: FromPath[str]
) -> Response[Any]:
    """Put the old address back; the link alone is the right: the session may be a thief's."""
    try:
        done = await privacy.take_back(db, token)
    except LinkOver:
        return page("access/pages/undo_over.html", status=404)
    prefer_hers(request, done.customer.locale)
    masked = customers.masked(done.customer.address)
    return page("access/pages/undone.html", masked=masked, done=done)


by_link = [get_undo, post_undo]
