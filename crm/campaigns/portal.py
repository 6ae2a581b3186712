"""Why did I get this, and may it go on: by the link in each mail."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import campaigns, customers
from crm.campaigns import mails_portal
from crm.campaigns.render import neutral
from crm.consent.asking import network_of
from crm.db import Db, ReadDb
from crm.languages import gettext, marked
from crm.tokens import open_why
from crm.web.csrf import same_site
from crm.web.forms import read_form
from crm.web.pages import Flash, page, redirect
from crm.web.ratelimit import by_address
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
    """Ask her mailbox whether a consent that ends soon goes on, in the words that were shown."""
    why = open_why(db.keys, token)
    form = await read_form(request)
    try:
        shown = UUID(form.typed("notice")), bytes.fromhex(form.typed("sha256"))
    except ValueError:
        shown = UUID(int=0), b""
    asked = await campaigns.ask_again(
        db, why, *shown, network_of(request), asker=by_address(request)
    )
    told = await campaigns.explain(db, why)
    prefer_hers(request, told.locale)
    if asked:
        said = gettext(
            "Look for our mail to %(address)s. It goes on once you confirm from there.",
            address=customers.masked(told.address),
        )
        return redirect(f"/why/{token}", say=said)
    flash = Flash(gettext(_CHANGED), "wait")
    return page("campaigns/pages/why.html", status=409, neutral=neutral, told=told, flash=flash)


by_link = [get_why, post_renewal]
handlers = mails_portal.handlers
