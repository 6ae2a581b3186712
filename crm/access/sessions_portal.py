"""Where she is signed in: every browser of hers, each of which she can sign out from here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm.access import sessions
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.languages import gettext
from crm.web.pages import page, redirect

_LIST = "/me/sessions"
_BODY = 4 * 1024


@get("/sessions")
async def get_sessions(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], me: NamedDependency[Customer]
) -> Response[Any]:
    """Show every browser in which she is signed in, and which of them is this one."""
    found = await sessions.open_sessions(db, me.id)
    mine = request.scope["state"]["mailbox"].proof_id
    return page("access/pages/sessions.html", sessions=found, mine=mine)


@post("/sessions/{proof_id:uuid}/end", request_max_body_size=_BODY, opt={"beside": True})
async def post_end(
    db: NamedDependency[Db], me: NamedDependency[Customer], proof_id: FromPath[UUID]
) -> Response[Any]:
    """Sign one browser out."""
    await sessions.close_one(db, me.id, proof_id)
    return redirect(_LIST, say=gettext("That browser is signed out."))


@post("/sessions/end", request_max_body_size=_BODY)
async def post_end_others(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Sign every other browser out, and let no way in that is under way come through."""
    await sessions.close_others(db, me.id, request.scope["state"]["session_token"])
    return redirect(_LIST, say=gettext("You are signed in here only."))


handlers = [get_sessions, post_end, post_end_others]
