"""Her mailbox works again: what stopped her mails, because one came back, ends with her press."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency

from crm import mail
from crm.consent import OptIn
from crm.customers import Customer, fold
from crm.db import Db
from crm.events import Actor
from crm.languages import gettext
from crm.web.pages import redirect

_HERE = "/me/consent"
_BODY = 4 * 1024


@post("/mailbox", request_max_body_size=_BODY)
async def post_mailbox(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Mail her again, where she came in through a mail that arrived after the one that did not."""
    proof: OptIn = request.scope["state"]["mailbox"]
    address_hash = db.keys.address_hash(db.business_id, fold(me.address))
    by = Actor.customer(me.id)
    lifted = await mail.works_again(db, by, address_hash, proof.confirmed_at)
    # Of two presses the second finds nothing, and is told what the first did.
    if await mail.suppressed(db, address_hash) is None:
        return redirect(_HERE, say=gettext("Mail goes to your address again."))
    if lifted:
        said = gettext(
            "Your mailbox works again. What else keeps newsletters from it is said below."
        )
    else:
        said = gettext("Nothing has changed. First sign in once more, so that a mail has arrived.")
    return redirect(_HERE, say=said, tone="wait")


handlers = [post_mailbox]
