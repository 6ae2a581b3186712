"""Why did I get this, and may it go on: by the link in each mail."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import campaigns
from crm.campaigns import mails_portal
from crm.campaigns.render import neutral
from crm.consent.asking import network_of
from crm.db import Db, ReadDb
from crm.languages import gettext, marked
from crm.tokens import open_why
from crm.web.csrf import same_site
from crm.web.forms import read_form
from crm.web.pages import Flash, page, redirect
from crm.web.reader import prefer_hers

_BODY = 4 * 1024
_CHANGED = marked(
    "The words have changed since you opened this page, so nothing was renewed. Read them as they "
    "are now, and decide anew."
)


@get("/why/{token:str}")
async def get_why(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], token: FromPath[str]
) -> Response[Any]:
    """Say why a mail was sent, to whoever holds its link; changes nothing, and needs no sign-in."""
    told = await campaigns.explain(db, open_why(db.keys, token))
    prefer_hers(request, told.locale)
    return page("campaigns/pages/why.html", neutral=neutral, told=told)


@post("/why/{token:str}/renewal", guards=[same_site], request_max_body_size=_BODY)
async def post_renewal(
    request: Request[Any, Any, Any], db: NamedDependency[Db], token: FromPath[str]
) -> Response[Any]:
    """Say a consent again that ends soon, with exactly the words that were shown."""
    why = open_why(db.keys, token)
    form = await read_form(request)
    try:
        shown = UUID(form.typed("notice")), bytes.fromhex(form.typed("sha256"))
    except ValueError:
        shown = UUID(int=0), b""
    renewed = await campaigns.renew(db, why, *shown, network_of(request))
    told = await campaigns.explain(db, why)
    prefer_hers(request, told.locale)
    if renewed:
        return redirect(f"/why/{token}", say=gettext("It goes on. Thank you for saying so."))
    flash = Flash(gettext(_CHANGED), "wait")
    return page("campaigns/pages/why.html", status=409, neutral=neutral, told=told, flash=flash)


by_link = [get_why, post_renewal]
handlers = mails_portal.handlers
