"""Mail it to me: the receipt of one decision, to the address of whoever is signed in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import access
from crm.customers import Customer
from crm.db import Db
from crm.languages import gettext
from crm.web.pages import redirect

_BODY = 4 * 1024


@post("/receipts/{event_id:uuid}/letter", request_max_body_size=_BODY)
async def post_letter(
    db: NamedDependency[Db], me: NamedDependency[Customer], event_id: FromPath[UUID]
) -> Response[Any]:
    """Mail her a receipt of hers."""
    await access.mail_receipt(db, me, event_id)
    return redirect(
        f"/me/receipts/{event_id}", say=gettext("The receipt is on its way to your mailbox.")
    )


handlers = [post_letter]
